import type { ListOptions, SendInputOptions, StartOptions } from "../contract/procman.js";
import { type FieldViolation, ProcmanError } from "../contract/errors.js";
import { type JobSpec, MAX_INPUT_PIECE_BYTES, type WindowSize } from "../contract/job.js";
import { logLimitFault } from "./log-limit.js";
import type { InputPiece } from "./ports.js";

/** As long as the contract can tell, 10,000 years; Infinity could not be recorded. */
const MAX_DURATION_MS = 315_576_000_000_000;
const MAX_PAGE_SIZE = 1000;
const DEFAULT_PAGE_SIZE = 100;
const MAX_REQUEST_ID_BYTES = 1024;
const MAX_PORT = 65_535;
const INPUT_SENDER = /^[\w.:-]{0,64}$/;
/** The kernel keeps each in 16 bits. */
const MAX_WINDOW_SIDE = 65_535;
const DEFAULT_WINDOW_SIZE: WindowSize = { rows: 24, columns: 80 };

/** What a request asks a job to be, without what is decided when it is made. */
export type RequestedSpec = Omit<JobSpec, "id">;

/**
 * Checks a Start's arguments, all of them, and fills in the defaults.
 * @throws ProcmanError INVALID_ARGUMENT with a violation for each that is wrong.
 */
export function requestedSpec(options: StartOptions, defaultWorkDir: string): RequestedSpec {
  const violations = new Violations();
  const { command, args = [], env = {}, labels = {}, timeoutMs, logLimitBytes = 0 } = options;
  const workDir = options.workDir || defaultWorkDir;
  const requestId = options.requestId ?? "";

  violations.text("command", command);
  if (command === "") violations.add("command", "must not be empty");
  args.forEach((arg, index) => violations.text(`args[${index}]`, arg));
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || name.includes("=") || name.includes("\0")) {
      violations.add("env", `${JSON.stringify(name)} is not a variable name`);
    }
    violations.text(`env[${JSON.stringify(name)}]`, value);
  }
  if (Object.hasOwn(labels, "")) violations.add("labels", "a key must not be empty");
  violations.text("work_dir", workDir);
  if (!workDir.startsWith("/")) violations.add("work_dir", "must be an absolute path");
  if (Buffer.byteLength(requestId) > MAX_REQUEST_ID_BYTES) {
    violations.add("request_id", `must not be longer than ${MAX_REQUEST_ID_BYTES} bytes`);
  }
  if (timeoutMs !== undefined && !(timeoutMs > 0 && Number.isFinite(timeoutMs))) {
    violations.add("timeout", "must be positive");
  }
  const limitFault = logLimitFault(logLimitBytes);
  if (limitFault !== undefined) violations.add("log_limit_bytes", limitFault);
  const { pty = false, windowSize } = options;
  const { rows, columns } = windowSize ?? DEFAULT_WINDOW_SIZE;
  if (windowSize) violations.windowSize("window_size", windowSize);
  if (windowSize && !pty) violations.add("window_size", "is only for a job with pty");
  violations.throwIfAny();
  return {
    requestId,
    command,
    args: [...args],
    env: { ...env },
    clearEnv: options.clearEnv ?? false,
    workDir,
    labels: { ...labels },
    // A terminal has one output.
    mergeOutput: pty || (options.mergeOutput ?? false),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(logLimitBytes === 0 ? {} : { logLimitBytes }),
    pty,
    ...(pty ? { windowSize: { rows, columns } } : {}),
    stdin: options.stdin ?? false,
  };
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validPageSize({ pageSize = 0 }: ListOptions): number {
  const violations = new Violations();
  if (!(Number.isInteger(pageSize) && pageSize >= 0 && pageSize <= MAX_PAGE_SIZE)) {
    violations.add("page_size", `must be a whole number from 0 to ${MAX_PAGE_SIZE}`);
  }
  violations.throwIfAny();
  return pageSize || DEFAULT_PAGE_SIZE;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validDuration(
  field: "timeout" | "grace_period" | "older_than",
  valueMs: number,
): number {
  const violations = new Violations();
  if (!(valueMs >= 0)) violations.add(field, "must not be negative");
  violations.throwIfAny();
  return Math.min(valueMs, MAX_DURATION_MS);
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validPort(port: number): number {
  const violations = new Violations();
  if (!(Number.isInteger(port) && port >= 0 && port <= MAX_PORT)) {
    violations.add("port", `must be a whole number from 0 to ${MAX_PORT}`);
  }
  violations.throwIfAny();
  return port;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validWindowSize(size: WindowSize): WindowSize {
  const violations = new Violations();
  violations.windowSize("window_size", size);
  violations.throwIfAny();
  return size;
}

/** What a call asks to add to a job's input. @throws ProcmanError INVALID_ARGUMENT */
export function validInputPiece(options: SendInputOptions): InputPiece {
  const violations = new Violations();
  const { sender = "", offset, data = new Uint8Array(), close = false } = options;
  // The types allow no other, but callers in JavaScript may.
  if (typeof sender !== "string" || !INPUT_SENDER.test(sender)) {
    violations.add("sender", 'must be at most 64 letters, digits and characters of "-_.:"');
  }
  if (offset !== undefined && !(Number.isSafeInteger(offset) && offset >= 0)) {
    violations.add("offset", "must be a whole number from 0 on");
  }
  if (data.length > MAX_INPUT_PIECE_BYTES) {
    violations.add("data", `must not be longer than ${MAX_INPUT_PIECE_BYTES} bytes`);
  }
  violations.throwIfAny();
  return { sender, data, close, ...(offset === undefined ? {} : { offset }) };
}

class Violations {
  readonly #found: FieldViolation[] = [];

  add(field: string, description: string): void {
    this.#found.push({ field, description });
  }

  /** The kernel ends a string at its first NUL. */
  text(field: string, value: string): void {
    // The types allow no other, but callers in JavaScript may.
    if (typeof value !== "string") this.add(field, "must be a string");
    else if (value.includes("\0")) this.add(field, "must not contain a NUL byte");
  }

  windowSize(field: string, size: WindowSize): void {
    for (const side of ["rows", "columns"] as const) {
      const value = size[side];
      if (Number.isInteger(value) && value >= 1 && value <= MAX_WINDOW_SIDE) continue;
      this.add(field, `${side} must be a whole number from 1 to ${MAX_WINDOW_SIDE}`);
    }
  }

  throwIfAny(): void {
    if (this.#found.length === 0) return;
    const message = this.#found.map(({ field, description }) => `${field}: ${description}`);
    throw new ProcmanError("INVALID_ARGUMENT", message.join("; "), { violations: this.#found });
  }
}
