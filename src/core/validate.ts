import { invalidArgument, Violations } from "../contract/errors.js";
import { MAX_LABELS_BYTES } from "../contract/listed-job.js";
import {
  isJobName,
  JOB_NAME_RULE,
  type JobSpec,
  type Limits,
  MAX_INPUT_PIECE_BYTES,
  MAX_UMASK,
  NO_LIMIT,
  OUTPUT_KINDS,
  type SoftLimits,
  type WindowSize,
} from "../contract/job.js";
import {
  hasFilters,
  IF_RUNNING,
  type JobSelection,
  type ListOptions,
  MAX_DURATION_MS,
  endsFault,
  maxBytesFault,
  type OutputEnds,
  type ReadOutputOptions,
  type RequestedOnEnd,
  type SendInputOptions,
  type StartOptions,
} from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { RESOURCES } from "../platform/resource-limits.js";
import type { InputPiece } from "./ports.js";

const MAX_PAGE_SIZE = 1000;
const DEFAULT_PAGE_SIZE = 100;
const DEFAULT_OUTPUT_BYTES = 64 * 1024;
const MAX_SELECTED_IDS = 10_000;
const MAX_REQUEST_ID_BYTES = 1024;
const MAX_PORT = 65_535;
const INPUT_SENDER = /^[\w.:-]{0,64}$/;
/** The kernel stores rows and columns in 16 bits each. */
const MAX_WINDOW_SIDE = 65_535;
/** A lower limit would have the log cut all the time, to save next to nothing. */
const MIN_LOG_LIMIT_BYTES = 64 * 1024;
const MIN_NICE = -20;
const MAX_NICE = 19;
/** In less, not even a shell can begin. */
const MIN_MEMORY_BYTES = 1024 * 1024;
/** The kernel gives no less than a millisecond in each tenth of a second. */
const MIN_CPUS = 0.01;
const MAX_CPUS = 10_000;
/** The most that pid_max can be. */
const MAX_PIDS = 2 ** 22;
/** The standard streams, and what it takes to load a program. */
const MIN_OPEN_FILES = 8;
const MAX_OPEN_FILES = 2 ** 30;
const DEFAULT_ON_END_TIMEOUT_MS = 60_000;
const MAX_ON_END_TIMEOUT_MS = 3_600_000;
const DEFAULT_WINDOW_SIZE: WindowSize = { rows: 24, columns: 80 };

/** What a request asks a job to be. Its id is chosen when the job is made. */
export type RequestedSpec = Omit<JobSpec, "id">;

/**
 * Checks all arguments of a Start and fills in the defaults.
 * @throws ProcmanError INVALID_ARGUMENT with a violation for each wrong argument
 */
export function requestedSpec(options: StartOptions, defaultWorkDir: string): RequestedSpec {
  const violations = new Violations();
  const { command, args = [], env = {}, labels = {}, timeoutMs, logLimitBytes = 0 } = options;
  const { leaseMs } = options;
  const workDir = options.workDir || defaultWorkDir;
  const requestId = options.requestId ?? "";

  checkText("command", command, violations);
  if (command === "") violations.add("command", "must not be empty");
  args.forEach((arg, index) => checkText(`args[${index}]`, arg, violations));
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || name.includes("=") || name.includes("\0")) {
      violations.add("env", `${JSON.stringify(name)} is not a variable name`);
    }
    checkText(`env[${JSON.stringify(name)}]`, value, violations);
  }
  if (Object.hasOwn(labels, "")) violations.add("labels", "a key must not be empty");
  if (labelsBytes(labels) > MAX_LABELS_BYTES) {
    violations.add("labels", `must not be longer than ${MAX_LABELS_BYTES} bytes in all`);
  }
  checkText("work_dir", workDir, violations);
  if (!workDir.startsWith("/")) violations.add("work_dir", "must be an absolute path");
  checkRequestId(requestId, violations);
  checkName(options, violations);
  checkLimit("timeout", timeoutMs, violations);
  checkLimit("lease", leaseMs, violations);
  const limitFault = logLimitFault(logLimitBytes);
  if (limitFault !== undefined) violations.add("log_limit_bytes", limitFault);
  const { pty = false, windowSize } = options;
  const { rows, columns } = windowSize ?? DEFAULT_WINDOW_SIZE;
  if (windowSize) checkWindowSize(windowSize, violations);
  if (windowSize && !pty) violations.add("window_size", "is only for a job with pty");
  const { umask, nice, softLimits = {} } = options;
  if (umask !== undefined && !isWholeNumber(umask, 0, MAX_UMASK)) {
    violations.add("umask", "must be from 0 to 0777");
  }
  if (nice !== undefined && !isWholeNumber(nice, MIN_NICE, MAX_NICE)) {
    violations.add("nice", `must be a whole number from ${MIN_NICE} to ${MAX_NICE}`);
  }
  checkSoftLimits(softLimits, violations);
  const limits = checkedLimits(options.limits, violations);
  const { output = "file", onEnd } = options;
  if (onEnd) checkOnEnd(onEnd, violations);
  if (!OUTPUT_KINDS.includes(output)) {
    violations.add("output", `must be one of ${OUTPUT_KINDS.join(", ")}`);
  }
  if (output === "pipe" && pty) violations.add("output", "is a terminal for a job with pty");
  violations.throwIfAny();
  return {
    requestId,
    command,
    args: [...args],
    env: { ...env },
    clearEnv: options.clearEnv ?? false,
    workDir,
    labels: { ...labels },
    // A terminal has a single output stream.
    mergeOutput: pty || (options.mergeOutput ?? false),
    output,
    pty,
    ...defined({
      name: options.name || undefined,
      timeoutMs,
      leaseMs,
      logLimitBytes: logLimitBytes || undefined,
      windowSize: pty ? { rows, columns } : undefined,
      umask,
      nice,
      softLimits: Object.keys(softLimits).length > 0 ? { ...softLimits } : undefined,
      endRemaining: options.endRemaining || undefined,
      limits,
      onEnd: onEnd && {
        command: onEnd.command,
        args: [...(onEnd.args ?? [])],
        timeoutMs: onEnd.timeoutMs ?? DEFAULT_ON_END_TIMEOUT_MS,
      },
    }),
    stdin: options.stdin ?? false,
  };
}

/**
 * Checks that a selection says which jobs are meant, and in one way only.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function validSelection(selection: JobSelection): JobSelection {
  const { ids = [], all = false } = selection;
  const isFiltered = hasFilters(selection);
  const violations = new Violations();
  if (ids.length > MAX_SELECTED_IDS) {
    violations.add("selection.ids", `must not be more than ${MAX_SELECTED_IDS}`);
  }
  if (ids.includes("")) violations.add("selection.ids", "must not be empty");
  if (ids.length > 0 && (isFiltered || all)) {
    violations.add("selection", "must have either ids or filters");
  }
  if (ids.length === 0 && !isFiltered && !all) {
    violations.add("selection", "must have ids, filters or all");
  }
  violations.throwIfAny();
  return selection;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validRequestId(requestId: string): string {
  const violations = new Violations();
  checkRequestId(requestId, violations);
  violations.throwIfAny();
  return requestId;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validPageSize({ pageSize = 0 }: ListOptions): number {
  if (!isWholeNumber(pageSize, 0, MAX_PAGE_SIZE)) {
    throw invalidArgument("page_size", `must be a whole number from 0 to ${MAX_PAGE_SIZE}`);
  }
  return pageSize || DEFAULT_PAGE_SIZE;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validOutputSize({ maxBytes = 0 }: ReadOutputOptions): number {
  const fault = maxBytesFault(maxBytes);
  if (fault !== undefined) throw invalidArgument("max_bytes", fault);
  return maxBytes || DEFAULT_OUTPUT_BYTES;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validOutputEnds({ ends = "both" }: ReadOutputOptions): OutputEnds {
  const fault = endsFault(ends);
  if (fault !== undefined) throw invalidArgument("ends", fault);
  return ends;
}

/** Caps a duration, even Infinity, at MAX_DURATION_MS. @throws ProcmanError INVALID_ARGUMENT */
export function validDuration(
  field: "timeout" | "grace_period" | "older_than",
  valueMs: number,
): number {
  if (!(valueMs >= 0)) throw invalidArgument(field, "must not be negative");
  return Math.min(valueMs, MAX_DURATION_MS);
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validLease(leaseMs: number | undefined): number | undefined {
  const violations = new Violations();
  checkLimit("lease", leaseMs, violations);
  violations.throwIfAny();
  return leaseMs;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validPort(port: number): number {
  if (!isWholeNumber(port, 0, MAX_PORT)) {
    throw invalidArgument("port", `must be a whole number from 0 to ${MAX_PORT}`);
  }
  return port;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function validWindowSize(size: WindowSize): WindowSize {
  const violations = new Violations();
  checkWindowSize(size, violations);
  violations.throwIfAny();
  return size;
}

/** Checks the arguments of a SendInput. @throws ProcmanError INVALID_ARGUMENT */
export function validInputPiece(options: SendInputOptions): InputPiece {
  const violations = new Violations();
  const { sender = "", offset, data = new Uint8Array(), close = false } = options;
  // A caller in JavaScript can pass any type.
  if (typeof sender !== "string" || !INPUT_SENDER.test(sender)) {
    violations.add("sender", 'must be at most 64 letters, digits and characters of "-_.:"');
  }
  if (offset !== undefined && !isWholeNumber(offset, 0, Number.MAX_SAFE_INTEGER)) {
    violations.add("offset", "must be a whole number from 0 on");
  }
  if (data.length > MAX_INPUT_PIECE_BYTES) {
    violations.add("data", `must not be longer than ${MAX_INPUT_PIECE_BYTES} bytes`);
  }
  violations.throwIfAny();
  return { sender, data, close, ...defined({ offset }) };
}

/** Says why a number cannot be a log limit. 0 can: it means no limit. */
export function logLimitFault(bytes: number): string | undefined {
  if (bytes < 0) return "must not be negative";
  if (bytes > 0 && bytes < MIN_LOG_LIMIT_BYTES) return `must be at least ${MIN_LOG_LIMIT_BYTES}`;
  return Number.isSafeInteger(bytes) ? undefined : "must be a whole number below 2^53";
}

function labelsBytes(labels: Readonly<Record<string, string>>): number {
  // A caller in JavaScript can pass any type.
  const texts = Object.entries(labels).flat().map(String);
  return texts.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
}

/** Checks a string for the kernel, which ends strings at their first NUL. */
function checkText(field: string, value: string, violations: Violations): void {
  // A caller in JavaScript can pass any type.
  if (typeof value !== "string") violations.add(field, "must be a string");
  else if (value.includes("\0")) violations.add(field, "must not contain a NUL byte");
}

function checkLimit(
  field: "timeout" | "lease",
  valueMs: number | undefined,
  violations: Violations,
): void {
  if (valueMs === undefined || (valueMs > 0 && Number.isFinite(valueMs))) return;
  violations.add(field, "must be positive");
}

function checkRequestId(requestId: string, violations: Violations): void {
  if (Buffer.byteLength(requestId) <= MAX_REQUEST_ID_BYTES) return;
  violations.add("request_id", `must not be longer than ${MAX_REQUEST_ID_BYTES} bytes`);
}

function checkName({ name = "", ifRunning }: StartOptions, violations: Violations): void {
  // A caller in JavaScript can pass any type.
  if (name !== "" && !(typeof name === "string" && isJobName(name))) {
    violations.add("name", `must be ${JOB_NAME_RULE}`);
  }
  if (ifRunning === undefined) return;
  if (name === "") violations.add("if_running", "is only for a job with a name");
  if (IF_RUNNING.includes(ifRunning)) return;
  violations.add("if_running", `must be one of ${IF_RUNNING.join(", ")}`);
}

function checkOnEnd({ command, args = [], timeoutMs }: RequestedOnEnd, violations: Violations) {
  checkText("on_end.command", command, violations);
  if (command === "") violations.add("on_end.command", "must not be empty");
  args.forEach((arg, index) => checkText(`on_end.args[${index}]`, arg, violations));
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= MAX_ON_END_TIMEOUT_MS)) {
    violations.add("on_end.timeout", "must be positive, and at most one hour");
  }
}

function checkWindowSize(size: WindowSize, violations: Violations): void {
  for (const side of ["rows", "columns"] as const) {
    if (isWholeNumber(size[side], 1, MAX_WINDOW_SIDE)) continue;
    violations.add("window_size", `${side} must be a whole number from 1 to ${MAX_WINDOW_SIDE}`);
  }
}

function checkSoftLimits(limits: SoftLimits, violations: Violations): void {
  for (const [name, limit] of Object.entries(limits)) {
    const field = `soft_limits[${JSON.stringify(name)}]`;
    if (!RESOURCES.some((resource) => resource === name)) {
      violations.add(field, `is no limit; the limits are ${RESOURCES.join(", ")}`);
    }
    if (!isWholeNumber(limit, NO_LIMIT, Number.MAX_SAFE_INTEGER)) {
      violations.add(field, `must be a whole number, or ${NO_LIMIT} for no limit`);
    }
  }
}

/** @returns undefined where nothing is limited */
function checkedLimits(limits: Limits = {}, violations: Violations): Limits | undefined {
  const { memoryMaxBytes, cpus, pidsMax, openFilesMax } = limits;
  const checkWhole = (field: string, value: number | undefined, min: number, max: number) => {
    if (value === undefined || isWholeNumber(value, min, max)) return;
    violations.add(`limits.${field}`, `must be a whole number from ${min} to ${max}`);
  };
  checkWhole("memory_max_bytes", memoryMaxBytes, MIN_MEMORY_BYTES, Number.MAX_SAFE_INTEGER);
  if (cpus !== undefined && !(cpus >= MIN_CPUS && cpus <= MAX_CPUS)) {
    violations.add("limits.cpus", `must be a number from ${MIN_CPUS} to ${MAX_CPUS}`);
  }
  checkWhole("pids_max", pidsMax, 1, MAX_PIDS);
  checkWhole("open_files_max", openFilesMax, MIN_OPEN_FILES, MAX_OPEN_FILES);
  const checked = defined({ memoryMaxBytes, cpus, pidsMax, openFilesMax });
  return Object.keys(checked).length === 0 ? undefined : checked;
}

function isWholeNumber(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
