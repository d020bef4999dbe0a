import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import {
  type ErrorReason,
  type FieldViolation,
  ProcmanError,
  type ProcmanErrorOptions,
} from "../contract/errors.js";
import { codeOf } from "../platform/errno.js";
import { defined } from "../platform/defined.js";

const ERROR_DOMAIN = "procman";

const CODE_OF = {
  JOB_NOT_FOUND: Code.NotFound,
  JOB_RUNNING: Code.FailedPrecondition,
  JOB_NOT_RUNNING: Code.FailedPrecondition,
  JOB_HAS_PROCESSES: Code.FailedPrecondition,
  INVALID_ARGUMENT: Code.InvalidArgument,
  COMMAND_NOT_FOUND: Code.InvalidArgument,
  WORK_DIR_NOT_FOUND: Code.InvalidArgument,
  LIMIT_NOT_SUPPORTED: Code.FailedPrecondition,
  INVALID_PAGE_TOKEN: Code.InvalidArgument,
  COMMAND_NOT_EXECUTABLE: Code.PermissionDenied,
  REQUEST_ID_CONFLICT: Code.AlreadyExists,
  NAME_IN_USE: Code.AlreadyExists,
  OFFSET_OUT_OF_RANGE: Code.OutOfRange,
  INPUT_NOT_OPEN: Code.FailedPrecondition,
  INPUT_BACKLOG: Code.ResourceExhausted,
  INPUT_LIMIT: Code.ResourceExhausted,
  NO_TERMINAL: Code.FailedPrecondition,
  NO_LEASE: Code.FailedPrecondition,
  DISK_FULL: Code.ResourceExhausted,
  TOO_MANY_OPEN_FILES: Code.ResourceExhausted,
  PROCESS_LIMIT: Code.ResourceExhausted,
  UNAUTHENTICATED: Code.Unauthenticated,
  HOST_NOT_ALLOWED: Code.PermissionDenied,
  ORIGIN_NOT_ALLOWED: Code.PermissionDenied,
  STORAGE_UNAVAILABLE: Code.Unavailable,
  RECORD_UNREADABLE: Code.DataLoss,
  SHUTTING_DOWN: Code.Unavailable,
  UNREACHABLE: Code.Unavailable,
  INTERNAL: Code.Internal,
} as const satisfies Record<ErrorReason, Code>;

/*
 * Over gRPC, errors travel in HTTP headers, whose size clients limit. Callers' ids
 * and arguments end up in them, so their texts and their number are limited too.
 */
const MAX_TEXT_CHARS = 1024;
const MAX_VIOLATIONS = 16;
const MAX_VIOLATION_CHARS = 256;

/** Codes of errors that last, so that calling again is of no use: no permission, no server, TLS, ssh. */
const LASTING_ERROR_CODES =
  /^(EACCES|EPERM|EPROTO|ERR_SERVER_START|ERR_SSH_|ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

/**
 * Returns the error that a client is answered with.
 *
 * @param signal the call's. Once it is aborted, an AbortError stands for its
 * reason: CANCELED, DEADLINE_EXCEEDED, or that the server is closing.
 */
export function encodeError(error: unknown, signal?: AbortSignal): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof ProcmanError) return encodeProcmanError(error);
  if (signal?.aborted && (error === signal.reason || isAbortError(error))) {
    return encodeAbort(signal.reason);
  }
  // Its message may hold what is not for clients. The log has it.
  return errorWithInfo(Code.Internal, "INTERNAL", "internal error", { cause: error });
}

/** Makes an error with the google.rpc.ErrorInfo that all of procman's errors have. */
export function errorWithInfo(
  code: Code,
  reason: string,
  message: string,
  { jobId, violations = [], cause }: ProcmanErrorOptions = {},
): ConnectError {
  const error = new ConnectError(clipped(message, MAX_TEXT_CHARS), code, undefined, [], cause);
  const metadata = defined({ job_id: jobId && clipped(jobId, MAX_VIOLATION_CHARS) });
  const info = { reason, domain: ERROR_DOMAIN, metadata };
  error.details.push({ desc: ErrorInfoSchema, value: info });
  if (violations.length > 0) {
    const fieldViolations = violations.slice(0, MAX_VIOLATIONS).map((violation) => ({
      field: clipped(violation.field, MAX_VIOLATION_CHARS),
      description: clipped(violation.description, MAX_VIOLATION_CHARS),
    }));
    error.details.push({ desc: BadRequestSchema, value: { fieldViolations } });
  }
  return error;
}

/**
 * Returns what a client's call failed with.
 * @param server where the server is, for the message: "http://127.0.0.1:7420"
 */
export function decodeError(error: unknown, server: string): ProcmanError {
  if (error instanceof ProcmanError) return error;
  if (!(error instanceof ConnectError)) {
    const message = error instanceof Error ? error.message : String(error);
    return new ProcmanError("INTERNAL", message, { cause: error });
  }
  const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === ERROR_DOMAIN);
  if (info) {
    // A newer server may have a reason that this version has no name for: it is
    // passed on as it is.
    return new ProcmanError(info.reason as ErrorReason, error.rawMessage, {
      cause: error,
      violations: decodeViolations(error),
      ...defined({ jobId: info.metadata["job_id"] }),
    });
  }
  if (isConnectionLost(error)) return unreachable(server, error.rawMessage, error);
  const reason = isRefusedWithoutReason(error) ? "UNAUTHENTICATED" : "INTERNAL";
  return new ProcmanError(reason, `${server}: ${error.rawMessage}`, { cause: error });
}

export function unreachable(server: string, why: string, cause?: unknown): ProcmanError {
  return new ProcmanError("UNREACHABLE", `cannot reach procman at ${server}: ${why}`, { cause });
}

/** For what no server of this version sends: the server is newer, or not procman. */
export function malformedResponse(what: string): ProcmanError {
  return new ProcmanError("INTERNAL", `the server sent ${what}`);
}

/** Whether the same call may succeed a little later, when the server or the network is back. */
export function isTransient(error: ProcmanError): boolean {
  if (error.reason === "SHUTTING_DOWN") return true;
  return error.reason === "UNREACHABLE" && !causesOf(error).some(isLasting);
}

function encodeProcmanError(error: ProcmanError): ConnectError {
  const { reason, message, jobId, violations } = error;
  const options = { violations, cause: error, ...defined({ jobId }) };
  return errorWithInfo(CODE_OF[reason], reason, message, options);
}

function encodeAbort(reason: unknown): ConnectError {
  if (reason instanceof ProcmanError) return encodeProcmanError(reason);
  if (reason instanceof ConnectError) return reason;
  return new ConnectError("the call was canceled", Code.Canceled, undefined, undefined, reason);
}

function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** Cuts a text, and replaces lone surrogates, since gRPC sends well-formed strings only. */
export function clipped(text: string, maxChars: number): string {
  const short = text.length > maxChars ? `${text.slice(0, maxChars - 1)}…` : text;
  return short.replace(/\p{Surrogate}/gu, "\uFFFD");
}

function decodeViolations(error: ConnectError): FieldViolation[] {
  return error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) =>
      fieldViolations.map(({ field, description }) => ({ field, description })),
    );
}

/**
 * Whether an error without a reason, which is none of the server's own, means that
 * the connection broke, or that a proxy has no connection to the server.
 */
function isConnectionLost(error: ConnectError): boolean {
  switch (error.code) {
    case Code.Unavailable:
    case Code.Aborted:
    case Code.Canceled:
    case Code.DeadlineExceeded:
      return true;
    // Connect calls an answer that was cut short a protocol error.
    case Code.InvalidArgument:
      return error.rawMessage.startsWith("protocol error:");
    // The socket, or fetch, failed.
    case Code.Internal:
    case Code.Unknown:
      return error.cause instanceof Error;
    default:
      return false;
  }
}

/** Refused by a proxy, or before a stream began: only the HTTP status is known. */
function isRefusedWithoutReason({ code }: ConnectError): boolean {
  return code === Code.Unauthenticated || code === Code.PermissionDenied;
}

function isLasting(error: Error): boolean {
  return LASTING_ERROR_CODES.test(codeOf(error) ?? "");
}

function causesOf(error: Error): Error[] {
  const causes: Error[] = [];
  for (let each: unknown = error; each instanceof Error; each = each.cause) {
    if (causes.includes(each)) break;
    causes.push(each);
  }
  return causes;
}
