import { defined } from "../platform/defined.js";
import { codeOf } from "../platform/errno.js";

/** Every reason a call can fail for. Procman says which call can fail for which. */
export type ErrorReason =
  | "JOB_NOT_FOUND"
  /** A job that has not ended cannot be removed. */
  | "JOB_RUNNING"
  | "JOB_NOT_RUNNING"
  /** A job whose command has left processes behind is removed only where these may be ended. */
  | "JOB_HAS_PROCESSES"
  | "INVALID_ARGUMENT"
  | "COMMAND_NOT_FOUND"
  | "WORK_DIR_NOT_FOUND"
  /** A limit that was asked for cannot be enforced here; the violation says why. */
  | "LIMIT_NOT_SUPPORTED"
  | "INVALID_PAGE_TOKEN"
  | "COMMAND_NOT_EXECUTABLE"
  | "REQUEST_ID_CONFLICT"
  /** A job that has not ended bears the name. */
  | "NAME_IN_USE"
  | "OFFSET_OUT_OF_RANGE"
  /** The job takes no input, its input is closed, or nobody reads it any more. */
  | "INPUT_NOT_OPEN"
  /** The command does not read its input, and as much waits for it as may; try again later. */
  | "INPUT_BACKLOG"
  /** The job has been sent as much input as one job can have in all. */
  | "INPUT_LIMIT"
  | "NO_TERMINAL"
  /** The job was started without a lease. */
  | "NO_LEASE"
  | "DISK_FULL"
  | "TOO_MANY_OPEN_FILES"
  | "PROCESS_LIMIT"
  | "UNAUTHENTICATED"
  /** The server is not to be called by that name; see `serve --allow-host`. */
  | "HOST_NOT_ALLOWED"
  /** Pages of that origin may not call the server; see `serve --allow-origin`. */
  | "ORIGIN_NOT_ALLOWED"
  /** The state directory cannot be used now (read-only, gone, I/O error). */
  | "STORAGE_UNAVAILABLE"
  /** A job's record is there but cannot be read; it is left as it is. */
  | "RECORD_UNREADABLE"
  /** The manager, the server or the client is closed, or about to be. */
  | "SHUTTING_DOWN"
  /** A client could not reach its server, or lost the connection; only clients fail with it. */
  | "UNREACHABLE"
  /** A fault of procman's own. */
  | "INTERNAL";

/** One argument that is wrong. */
export interface FieldViolation {
  /** The argument's field in the proto: "timeout", "args[2]", "output.pattern". */
  readonly field: string;
  /** What is wrong with it: "must be positive". */
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

/** Tells by the name: each bundle of the command line has a class of its own. */
export function isProcmanError(error: unknown): error is ProcmanError {
  return error instanceof Error && error.name === "ProcmanError";
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

/** An INVALID_ARGUMENT error about one field. */
export function invalidArgument(field: string, description: string, cause?: unknown): ProcmanError {
  return argumentError("INVALID_ARGUMENT", [{ field, description }], { cause });
}

export function jobNotFound(id: string): ProcmanError {
  return new ProcmanError("JOB_NOT_FOUND", `no job ${JSON.stringify(id)}`, { jobId: id });
}

export function jobNotRunning(id: string): ProcmanError {
  return new ProcmanError("JOB_NOT_RUNNING", `job ${id} is not running`, { jobId: id });
}

export function isNotRunning(error: unknown): boolean {
  return error instanceof ProcmanError && error.reason === "JOB_NOT_RUNNING";
}

/** For a promise's `catch`, where a job that has ended already is as good. */
export function ignoreNotRunning(error: unknown): void {
  if (!isNotRunning(error)) throw error;
}

const REASON_OF_ERRNO: Readonly<Record<string, ErrorReason>> = {
  ENOSPC: "DISK_FULL",
  EDQUOT: "DISK_FULL",
  EMFILE: "TOO_MANY_OPEN_FILES",
  ENFILE: "TOO_MANY_OPEN_FILES",
  EAGAIN: "PROCESS_LIMIT",
  ENOMEM: "PROCESS_LIMIT",
  EROFS: "STORAGE_UNAVAILABLE",
  EACCES: "STORAGE_UNAVAILABLE",
  EPERM: "STORAGE_UNAVAILABLE",
  ENOENT: "STORAGE_UNAVAILABLE",
  ENOTDIR: "STORAGE_UNAVAILABLE",
  EIO: "STORAGE_UNAVAILABLE",
  ESTALE: "STORAGE_UNAVAILABLE",
  ENOTCONN: "STORAGE_UNAVAILABLE",
  ELOOP: "STORAGE_UNAVAILABLE",
  EISDIR: "STORAGE_UNAVAILABLE",
  ENXIO: "STORAGE_UNAVAILABLE",
  EFTYPE: "STORAGE_UNAVAILABLE",
  EFBIG: "STORAGE_UNAVAILABLE",
};

/**
 * Turns an operating-system error into one whose reason a client can act on.
 * @param attempt what was tried on which path or job, for the message
 */
export function fromSystemError(error: unknown, attempt: string, jobId?: string): ProcmanError {
  if (error instanceof ProcmanError) return error;
  const reason = REASON_OF_ERRNO[codeOf(error) ?? ""] ?? "INTERNAL";
  const message = `${attempt}: ${error instanceof Error ? error.message : String(error)}`;
  return new ProcmanError(reason, message, { cause: error, ...defined({ jobId }) });
}
