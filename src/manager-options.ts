import { resolve } from "node:path";
import { type ProcmanError, Violations } from "./contract/errors.js";
import { type Log, silentLog } from "./contract/log.js";
import { MAX_DURATION_MS } from "./contract/procman.js";
import { logLimitFault } from "./core/validate.js";
import { defaultStateDir } from "./platform/default-state-dir.js";

export interface ManagerOptions {
  /**
   * Holds all state. Created, with access for its owner only, where it is missing.
   * Default: PROCMAN_STATE_DIR, else ~/.cache/procman, as for the server.
   */
  readonly stateDir?: string;
  /** The age from which `cleanup` removes ended jobs. Default 24 h. */
  readonly cleanupAgeMs?: number;
  /**
   * Ended jobs older than this are removed by themselves, as `cleanup` does it, unless
   * somebody reads their output. Default: none are.
   */
  readonly retainAgeMs?: number;
  /**
   * While the logs of all jobs together take more bytes on the disk than this, the jobs
   * that ended first are removed in the same way. Default: none are.
   */
  readonly retainBytes?: number;
  /** How often to poll for what the kernel does not report. At least 10, default 1000. */
  readonly pollIntervalMs?: number;
  /** How much of the end of each log to keep, for jobs that ask for no limit. Default: all. */
  readonly logLimitBytes?: number;
  /**
   * Called when the state directory is no longer this manager's: deleted, moved away for
   * more than 20 s, or locked by another process. The manager is closed then; jobs go on.
   */
  readonly onLost?: (error: ProcmanError) => void;
  /** Receives log entries; a pino logger fits. Default: none are written. */
  readonly log?: Log;
}

/** The options with their defaults; the state directory is absolute. */
export interface ValidManagerOptions
  extends Required<
    Omit<ManagerOptions, "onLost" | "logLimitBytes" | "retainAgeMs" | "retainBytes">
  > {
  readonly retainAgeMs: number | undefined;
  readonly retainBytes: number | undefined;
  readonly logLimitBytes: number | undefined;
  readonly onLost: ((error: ProcmanError) => void) | undefined;
}

const DEFAULT_CLEANUP_AGE_MS = 24 * 60 * 60 * 1000;
const DEFAULT_POLL_INTERVAL_MS = 1000;
/** More often would take a good part of a core. */
const MIN_POLL_INTERVAL_MS = 10;
const LOG_METHODS = ["info", "warn", "error"] as const;

/**
 * Checks all options and fills in the defaults. A caller in JavaScript can pass any type.
 * @throws ProcmanError INVALID_ARGUMENT with a violation for each wrong option
 */
export function validManagerOptions(options: ManagerOptions = {}): ValidManagerOptions {
  const violations = new Violations();
  if (typeof options !== "object" || options === null) {
    violations.add("options", "must be an object");
    violations.throwIfAny();
  }
  const {
    stateDir = defaultStateDir(),
    cleanupAgeMs = DEFAULT_CLEANUP_AGE_MS,
    pollIntervalMs = DEFAULT_POLL_INTERVAL_MS,
    logLimitBytes = 0,
    retainAgeMs,
    retainBytes,
    onLost,
    log = silentLog,
  } = options;
  if (stateDir === undefined) {
    violations.add("stateDir", "must be given, as this user has no home directory (HOME)");
  } else if (typeof stateDir !== "string" || stateDir === "" || stateDir.includes("\0")) {
    violations.add("stateDir", "must be the path of a directory");
  }
  if (typeof cleanupAgeMs !== "number" || !(cleanupAgeMs >= 0)) {
    violations.add("cleanupAgeMs", "must be a number that is not negative");
  }
  if (typeof pollIntervalMs !== "number" || !(pollIntervalMs >= MIN_POLL_INTERVAL_MS)) {
    violations.add("pollIntervalMs", `must be a number of at least ${MIN_POLL_INTERVAL_MS}`);
  }
  const limitFault =
    typeof logLimitBytes === "number" ? logLimitFault(logLimitBytes) : "must be a number";
  if (limitFault !== undefined) violations.add("logLimitBytes", limitFault);
  for (const [name, value] of Object.entries({ retainAgeMs, retainBytes })) {
    if (value === undefined || (typeof value === "number" && value > 0)) continue;
    violations.add(name, "must be a positive number");
  }
  if (onLost !== undefined && typeof onLost !== "function") {
    violations.add("onLost", "must be a function");
  }
  if (!LOG_METHODS.every((method) => typeof log?.[method] === "function")) {
    violations.add("log", `must have the methods ${LOG_METHODS.join(", ")}`);
  }
  violations.throwIfAny();
  return {
    stateDir: resolve(stateDir as string),
    cleanupAgeMs: Math.min(cleanupAgeMs, MAX_DURATION_MS),
    pollIntervalMs: Math.min(pollIntervalMs, MAX_DURATION_MS),
    logLimitBytes: logLimitBytes || undefined,
    retainAgeMs,
    retainBytes,
    onLost,
    log,
  };
}
