import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type ErrorReason, type FieldViolation, ProcmanError } from "../contract/errors.js";
import { codeOf } from "../platform/errno.js";

const ERROR_DOMAIN = "procman";

/** System errors of a connection that trying again does not help: no permission, TLS. */
const LASTING_FAILURE =
  /^(EACCES|EPERM|EPROTO|ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/**
 * What a call failed with.
 * @param server where the server is, for the message: "http://127.0.0.1:7420".
 */
export function decodeError(error: unknown, server: string): ProcmanError {
  if (error instanceof ProcmanError) return error;
  if (!(error instanceof ConnectError)) {
    const message = error instanceof Error ? error.message : String(error);
    return new ProcmanError("INTERNAL", message, { cause: error });
  }
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  if (info) {
    const jobId = info.metadata["job_id"];
    // A newer server may have a reason that this version has no name for: it is
    // passed on as it is.
    return new ProcmanError(info.reason as ErrorReason, error.rawMessage, {
      cause: error,
      violations: violationsOf(error),
      ...(jobId === undefined ? {} : { jobId }),
    });
  }
  if (isConnectionLost(error)) return unreachable(server, error.rawMessage, error);
  const reason = refusedWithoutReason(error) ? "UNAUTHENTICATED" : "INTERNAL";
  return new ProcmanError(reason, `${server}: ${error.rawMessage}`, { cause: error });
}

export function unreachable(server: string, why: string, cause?: unknown): ProcmanError {
  return new ProcmanError("UNREACHABLE", `cannot reach procman at ${server}: ${why}`, { cause });
}

/** Whether the same call may succeed a little later: the server restarts, or the network is back. */
export function isTransient(error: ProcmanError): boolean {
  if (error.reason === "SHUTTING_DOWN") return true;
  return error.reason === "UNREACHABLE" && !causesOf(error).some(isLasting);
}

function violationsOf(error: ConnectError): FieldViolation[] {
  return error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) =>
      fieldViolations.map(({ field, description }) => ({ field, description })),
    );
}

/**
 * Whether an error that procman's server did not give (it says a reason with
 * every one) means that the connection broke, or that something between has no
 * connection to the server.
 */
function isConnectionLost(error: ConnectError): boolean {
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
    case Code.Canceled:
    case Code.DeadlineExceeded:
      return true;
    // An answer that was cut short is "a protocol error" to Connect.
    case Code.InvalidArgument:
      return error.rawMessage.startsWith("protocol error:");
    // What the socket, or fetch, fails with.
    case Code.Internal:
    case Code.Unknown:
      return error.cause instanceof Error;
    default:
      return false;
  }
}

/** By a proxy, or before a stream has begun: only the HTTP status is known. */
function refusedWithoutReason({ code }: ConnectError): boolean {
  return code === Code.Unauthenticated || code === Code.PermissionDenied;
}

function isLasting(error: Error): boolean {
  return LASTING_FAILURE.test(codeOf(error) ?? "");
}

function causesOf(error: Error): Error[] {
  const causes: Error[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (causes.includes(each)) break;
    causes.push(each);
  }
  return causes;
}
