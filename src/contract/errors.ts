import { defined } from "../platform/defined.js";
import { codeOf } from "../platform/errno.js";

/** Every reason an RPC can fail for; the contract names most of them. */
export type ErrorReason =
  | "JOB_NOT_FOUND"
  | "JOB_RUNNING"
  | "JOB_NOT_RUNNING"
  | "INVALID_ARGUMENT"
  | "COMMAND_NOT_FOUND"
  | "WORK_DIR_NOT_FOUND"
  | "INVALID_PAGE_TOKEN"
  | "COMMAND_NOT_EXECUTABLE"
  | "REQUEST_ID_CONFLICT"
  | "OFFSET_OUT_OF_RANGE"
  /** The job takes no input, its input is closed, or nobody reads it any more. */
  | "INPUT_NOT_OPEN"
  /** The command does not read; there may be room later. */
  | "INPUT_BACKLOG"
  /** More than one job can have in all. */
  | "INPUT_LIMIT"
  | "NO_TERMINAL"
  | "DISK_FULL"
  | "TOO_MANY_OPEN_FILES"
  | "PROCESS_LIMIT"
  | "UNAUTHENTICATED"
  /** The state directory cannot be used now (read-only, gone, I/O error). */
  | "STORAGE_UNAVAILABLE"
  /** A job's record is there but cannot be read; it is left as it is. */
  | "RECORD_UNREADABLE"
  /** The server is closing; come back later. */
  | "SHUTTING_DOWN"
  /** A client could not reach its server, or lost it; only clients give this one. */
  | "UNREACHABLE"
  /** A fault of procman's own. */
  | "INTERNAL";

/** One argument that is wrong. `field` is the proto field's name. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

export interface ProcmanErrorOptions {
  readonly jobId?: string;
  readonly violations?: readonly FieldViolation[];
  readonly cause?: unknown;
}

/** What every method of the manager and of the client fails with. */
export class ProcmanError extends Error {
  override readonly name = "ProcmanError";
  readonly reason: ErrorReason;
  /** The job it is about, where it is about one. */
  readonly jobId: string | undefined;
  /** The arguments that are wrong; empty unless the reason is about arguments. */
  readonly violations: readonly FieldViolation[];

  constructor(reason: ErrorReason, message: string, options: ProcmanErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.reason = reason;
    this.jobId = options.jobId;
    this.violations = options.violations ?? [];
  }
}

/** Collects the arguments that are wrong, so that a caller is told of all of them at once. */
export class Violations {
  readonly #found: FieldViolation[] = [];

  add(field: string, description: string): void {
    this.#found.push({ field, description });
  }

  /** @throws ProcmanError INVALID_ARGUMENT with every violation that was added */
  throwIfAny(): void {
    if (this.#found.length > 0) throw argumentError("INVALID_ARGUMENT", this.#found);
  }
}

export interface ArgumentErrorOptions extends Omit<ProcmanErrorOptions, "violations"> {
  /** Default: "field: description" of every violation. */
  readonly message?: string;
}

/** An error that names the arguments to blame. */
export function argumentError(
  reason: ErrorReason,
  violations: readonly FieldViolation[],
  options: ArgumentErrorOptions = {},
): ProcmanError {
  const texts = violations.map(({ field, description }) => `${field}: ${description}`);
  const { message = texts.join("; "), ...rest } = options;
  return new ProcmanError(reason, message, { ...rest, violations });
}

/** An INVALID_ARGUMENT about one field. */
export function invalidArgument(field: string, description: string, cause?: unknown): ProcmanError {
  return argumentError("INVALID_ARGUMENT", [{ field, description }], { cause });
}

export function jobNotFound(id: string): ProcmanError {
  return new ProcmanError("JOB_NOT_FOUND", `no job ${JSON.stringify(id)}`, { jobId: id });
}

export function jobNotRunning(id: string): ProcmanError {
  return new ProcmanError("JOB_NOT_RUNNING", `job ${id} is not running`, { jobId: id });
}

/**
 * An operating-system error as the reason a client can act on. `attempt` says
 * what was tried on which path or job.
 */
export function fromSystemError(error: unknown, attempt: string, jobId?: string): ProcmanError {
  if (error instanceof ProcmanError) return error;
  const message = `${attempt}: ${error instanceof Error ? error.message : String(error)}`;
  const options = { cause: error, ...defined({ jobId }) };
  switch (codeOf(error)) {
    case "ENOSPC":
    case "EDQUOT":
      return new ProcmanError("DISK_FULL", message, options);
    case "EMFILE":
    case "ENFILE":
      return new ProcmanError("TOO_MANY_OPEN_FILES", message, options);
    case "EAGAIN":
    case "ENOMEM":
      return new ProcmanError("PROCESS_LIMIT", message, options);
    case "EROFS":
    case "EACCES":
    case "EPERM":
    case "ENOENT":
    case "ENOTDIR":
    case "EIO":
      return new ProcmanError("STORAGE_UNAVAILABLE", message, options);
    default:
      return new ProcmanError("INTERNAL", message, options);
  }
}
