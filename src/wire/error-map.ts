import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { type ErrorReason, type FieldViolation, ProcmanError } from "../contract/errors.js";

const ERROR_DOMAIN = "procman";

const CODE_OF = {
  JOB_NOT_FOUND: Code.NotFound,
  JOB_RUNNING: Code.FailedPrecondition,
  JOB_NOT_RUNNING: Code.FailedPrecondition,
  INVALID_ARGUMENT: Code.InvalidArgument,
  COMMAND_NOT_FOUND: Code.InvalidArgument,
  WORK_DIR_NOT_FOUND: Code.InvalidArgument,
  INVALID_PAGE_TOKEN: Code.InvalidArgument,
  COMMAND_NOT_EXECUTABLE: Code.PermissionDenied,
  REQUEST_ID_CONFLICT: Code.AlreadyExists,
  OFFSET_OUT_OF_RANGE: Code.OutOfRange,
  INPUT_NOT_OPEN: Code.FailedPrecondition,
  INPUT_BACKLOG: Code.ResourceExhausted,
  INPUT_LIMIT: Code.ResourceExhausted,
  NO_TERMINAL: Code.FailedPrecondition,
  DISK_FULL: Code.ResourceExhausted,
  TOO_MANY_OPEN_FILES: Code.ResourceExhausted,
  PROCESS_LIMIT: Code.ResourceExhausted,
  UNAUTHENTICATED: Code.Unauthenticated,
  STORAGE_UNAVAILABLE: Code.Unavailable,
  RECORD_UNREADABLE: Code.DataLoss,
  SHUTTING_DOWN: Code.Unavailable,
  UNREACHABLE: Code.Unavailable,
  INTERNAL: Code.Internal,
} as const satisfies Record<ErrorReason, Code>;

/**
 * Errors travel in HTTP headers over gRPC, and callers' ids and arguments end
 * up in their texts: both are kept to what clients take.
 */
const MAX_TEXT_CHARS = 1024;
const MAX_VIOLATIONS = 16;
const MAX_VIOLATION_CHARS = 256;

/**
 * What a call that failed is answered with.
 *
 * @param signal the call's. Where it is aborted, an abort means what its reason
 * says: CANCELED, DEADLINE_EXCEEDED, or that the server is closing.
 */
export function toConnectError(error: unknown, signal?: AbortSignal): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof ProcmanError) return encodeProcmanError(error);
  if (signal?.aborted && (error === signal.reason || isAbortError(error))) {
    return abortError(signal.reason);
  }
  // Its true message may tell of what is no client's business; it is in the log.
  return errorWithInfo(Code.Internal, "INTERNAL", "internal error", { cause: error });
}

/** An error with google.rpc.ErrorInfo, as every error of procman has. */
export function errorWithInfo(
  code: Code,
  reason: string,
  message: string,
  rest: { jobId?: string; violations?: readonly FieldViolation[]; cause?: unknown } = {},
): ConnectError {
  const { jobId, violations = [], cause } = rest;
  const info = {
    reason,
    domain: ERROR_DOMAIN,
    metadata: jobId === undefined ? {} : { job_id: clipped(jobId, MAX_VIOLATION_CHARS) },
  };
  const error = new ConnectError(clipped(message, MAX_TEXT_CHARS), code, undefined, [], cause);
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

function encodeProcmanError(error: ProcmanError): ConnectError {
  const { reason, message, jobId, violations } = error;
  return errorWithInfo(CODE_OF[reason], reason, message, {
    ...(jobId === undefined ? {} : { jobId }),
    violations,
    cause: error,
  });
}

function abortError(reason: unknown): ConnectError {
  if (reason instanceof ProcmanError) return encodeProcmanError(reason);
  if (reason instanceof ConnectError) return reason;
  return new ConnectError("the call was canceled", Code.Canceled, undefined, undefined, reason);
}

function isAbortError(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** Well-formed as well, which a gRPC message has to be to be sent. */
function clipped(text: string, maxChars: number): string {
  const short = text.length > maxChars ? `${text.slice(0, maxChars - 1)}…` : text;
  return short.replace(/\p{Surrogate}/gu, "\uFFFD");
}
