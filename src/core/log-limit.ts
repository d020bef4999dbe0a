import { invalidArgument } from "../contract/errors.js";
import type { JobRecord } from "./ports.js";

/** Less would be cut all the time, for next to nothing. */
const MIN_LOG_LIMIT_BYTES = 64 * 1024;

/** Why a number cannot be a log limit; undefined where it can, as 0 can for none. */
export function logLimitFault(bytes: number): string | undefined {
  if (bytes < 0) return "must not be negative";
  if (bytes > 0 && bytes < MIN_LOG_LIMIT_BYTES) return `must be at least ${MIN_LOG_LIMIT_BYTES}`;
  return Number.isSafeInteger(bytes) ? undefined : "must be a whole number below 2^53";
}

/** A default for jobs that ask for none. @throws ProcmanError INVALID_ARGUMENT */
export function validDefaultLogLimit(bytes = 0): number | undefined {
  const fault = logLimitFault(bytes);
  if (fault !== undefined) throw invalidArgument("log_limit_bytes", fault);
  return bytes || undefined;
}

/** The limit in force for a job's logs. */
export function logLimitOf({ spec, defaultLogLimitBytes }: JobRecord): number | undefined {
  return spec.logLimitBytes ?? defaultLogLimitBytes;
}
