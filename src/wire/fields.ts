import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import {
  type Duration,
  durationFromMs,
  type Timestamp,
  timestampFromDate,
} from "@bufbuild/protobuf/wkt";
import type { Limits as ProtoLimits, LimitsSchema } from "../../gen/procman/v1/procman_pb.js";
import { invalidArgument, Violations } from "../contract/errors.js";
import type { Limits, SoftLimits, WindowSize } from "../contract/job.js";
import { type CancelOptions, MAX_DURATION_MS, type RemainingOption } from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { malformedResponse } from "./error-map.js";

/*
 * Fields that several messages have. The client refuses what the wire cannot
 * represent, the server what no caller can mean (a negative count); whether a
 * value makes sense is for core to check.
 */

const MAX_INT32 = 2 ** 31 - 1;
const MAX_DURATION_SECONDS = MAX_DURATION_MS / 1000;
const MAX_NANOS = 999_999_999;

/**
 * Decodes a request to its end, so that all that is wrong is found.
 * @throws ProcmanError INVALID_ARGUMENT with every violation that `decode` added
 */
export function decodeRequest<T>(decode: (violations: Violations) => T): T {
  const violations = new Violations();
  const decoded = decode(violations);
  violations.throwIfAny();
  return decoded;
}

/**
 * Checks what a server sends as an id, a job's name or that of a signal. They are printed
 * and typed, and hold nothing that a terminal would act on.
 * @throws ProcmanError INTERNAL
 */
export function decodeName(what: "an id" | "a name" | "a signal", name: string): string {
  if (/^[\x21-\x7e]*$/.test(name)) return name;
  throw malformedResponse(`${JSON.stringify(name)} as ${what}`);
}

/** The id of a request that holds nothing else. @throws ProcmanError INVALID_ARGUMENT */
export function decodeId({ id }: { readonly id: string }): string {
  return decodeRequest((violations) => requiredId(id, violations));
}

export interface JobRequest<Options> {
  readonly id: string;
  readonly options: Options;
}

/** As `decodeRequest`, for a request with a job's id. */
export function decodeJobRequest<Options>(
  { id }: { readonly id: string },
  decodeOptions: (violations: Violations) => Options,
): JobRequest<Options> {
  return decodeRequest((violations) => ({
    id: requiredId(id, violations),
    options: decodeOptions(violations),
  }));
}

function requiredId(id: string, violations: Violations): string {
  if (id === "") violations.add("id", "must not be empty");
  return id;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeInt32(field: string, value: number): number {
  if (Number.isInteger(value) && Math.abs(value) <= MAX_INT32) return value;
  throw invalidArgument(field, `${value} is not a whole number of 32 bits`);
}

/** Encodes a count that is larger, such as Infinity, as the largest. @throws ProcmanError INVALID_ARGUMENT */
export function encodeCount(field: string, value: number): number {
  return encodeInt32(field, Math.min(value, MAX_INT32));
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeInt64(field: string, value: number): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw invalidArgument(field, `${value} is not a whole number below 2^53`);
}

/** Not exact from 2^53 on, which is beyond the end of any file all the same. */
export function decodeNotNegative(
  field: string,
  value: number | bigint,
  violations: Violations,
): number {
  if (value < 0) violations.add(field, "must not be negative");
  return Number(value);
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeWindowSize({ rows, columns }: WindowSize): WindowSize {
  return {
    rows: encodeInt32("window_size", rows),
    columns: encodeInt32("window_size", columns),
  };
}

/** The grace period of a request that ends jobs. @throws ProcmanError INVALID_ARGUMENT */
export function encodeGrace({ gracePeriodMs }: CancelOptions): { gracePeriod?: Duration } {
  return defined({ gracePeriod: encodeRequestedDuration("grace_period", gracePeriodMs) });
}

export function decodeGrace(
  { gracePeriod }: { readonly gracePeriod?: Duration | undefined },
  violations: Violations,
): Pick<CancelOptions, "gracePeriodMs"> {
  return defined({
    gracePeriodMs: decodeRequestedDuration("grace_period", gracePeriod, violations),
  });
}

export function encodeRemaining({ includeRemaining = false }: RemainingOption): {
  includeRemaining: boolean;
} {
  return { includeRemaining };
}

export function decodeRemaining({
  includeRemaining,
}: {
  readonly includeRemaining: boolean;
}): RemainingOption {
  return includeRemaining ? { includeRemaining } : {};
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeUmask(umask: number | undefined): string {
  if (umask === undefined) return "";
  if (Number.isInteger(umask) && umask >= 0) return umask.toString(8).padStart(3, "0");
  throw invalidArgument("umask", `${umask} is no umask`);
}

/** @returns undefined for "" */
export function decodeUmask(octal: string, violations?: Violations): number | undefined {
  if (octal === "") return undefined;
  if (/^[0-7]{1,4}$/.test(octal)) return Number.parseInt(octal, 8);
  violations?.add("umask", 'must be octal digits, such as "022"');
  return undefined;
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeSoftLimits(limits: SoftLimits): Record<string, bigint> {
  return Object.fromEntries(
    Object.entries(limits).map(([name, limit]) => [
      name,
      encodeInt64(`soft_limits[${JSON.stringify(name)}]`, limit),
    ]),
  );
}

/** Names that this version does not know are left for core to refuse. */
export function decodeSoftLimits(limits: Readonly<Record<string, bigint>>): SoftLimits | undefined {
  const decoded = Object.entries(limits).map(([name, limit]) => [name, Number(limit)] as const);
  return decoded.length === 0 ? undefined : Object.fromEntries(decoded);
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeLimits(limits: Limits): Init<typeof LimitsSchema> {
  const { memoryMaxBytes, cpus, pidsMax, openFilesMax } = limits;
  const int64 = (field: string, value: number | undefined) =>
    value === undefined ? undefined : encodeInt64(`limits.${field}`, value);
  return defined({
    memoryMaxBytes: int64("memory_max_bytes", memoryMaxBytes),
    cpus,
    pidsMax: pidsMax === undefined ? undefined : encodeInt32("limits.pids_max", pidsMax),
    openFilesMax: int64("open_files_max", openFilesMax),
  });
}

/** @returns undefined where nothing is limited */
export function decodeLimits(limits: ProtoLimits | undefined): Limits | undefined {
  if (!limits) return undefined;
  const { memoryMaxBytes, cpus, pidsMax, openFilesMax } = limits;
  const decoded = defined({
    memoryMaxBytes: memoryMaxBytes === undefined ? undefined : Number(memoryMaxBytes),
    cpus,
    pidsMax,
    openFilesMax: openFilesMax === undefined ? undefined : Number(openFilesMax),
  });
  return Object.keys(decoded).length === 0 ? undefined : decoded;
}

export function decodeWindowSize({ rows, columns }: WindowSize): WindowSize {
  return { rows, columns };
}

export function encodeTime(time: Date | undefined): Timestamp | undefined {
  return time && timestampFromDate(time);
}

const MIN_TIME = new Date("0001-01-01T00:00:00Z");
const MAX_TIME = new Date("9999-12-31T23:59:59.999Z");

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeRequestedTime(field: string, time: Date | undefined): Timestamp | undefined {
  if (time === undefined) return undefined;
  if (time >= MIN_TIME && time <= MAX_TIME) return timestampFromDate(time);
  throw invalidArgument(field, "is no time from the years 1 to 9999");
}

/** Returns a time in whole milliseconds, rounded down. */
export function decodeRequestedTime(
  field: string,
  time: Timestamp | undefined,
  violations: Violations,
): Date | undefined {
  if (!time) return undefined;
  const { seconds, nanos } = time;
  const decoded = new Date(Number(seconds) * 1000 + Math.floor(nanos / 1e6));
  if (!(decoded >= MIN_TIME && decoded <= MAX_TIME)) {
    violations.add(field, "must be a time from the years 1 to 9999");
  } else if (nanos < 0 || nanos > MAX_NANOS) {
    violations.add(field, `nanos must be from 0 to ${MAX_NANOS}`);
  }
  return decoded;
}

/** Encodes to the nearest millisecond, and what is out of range as the nearest that is not. */
export function encodeDuration(ms: number | undefined): Duration | undefined {
  if (ms === undefined) return undefined;
  return durationFromMs(Math.min(Math.max(Math.round(ms), 0), MAX_DURATION_MS));
}

/**
 * Encodes a duration of a request: rounded away from 0, to a whole millisecond, so
 * that only 0 becomes 0.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function encodeRequestedDuration(
  field: string,
  ms: number | undefined,
): Duration | undefined {
  if (ms === undefined) return undefined;
  if (Number.isNaN(ms)) throw invalidArgument(field, "NaN is not a duration");
  const wholeMs = ms < 0 ? Math.floor(ms) : Math.ceil(ms);
  return durationFromMs(Math.min(Math.max(wholeMs, -MAX_DURATION_MS), MAX_DURATION_MS));
}

/** Returns whole milliseconds, rounded up, so that no positive duration becomes 0. */
export function decodeRequestedDuration(
  field: string,
  duration: Duration | undefined,
  violations: Violations,
): number | undefined {
  if (!duration) return undefined;
  const { seconds, nanos } = duration;
  if (seconds < 0 || (seconds === 0n && nanos < 0)) violations.add(field, "must not be negative");
  else if (nanos < 0 || nanos > MAX_NANOS) {
    violations.add(field, `nanos must be from 0 to ${MAX_NANOS}`);
  } else if (seconds > MAX_DURATION_SECONDS) {
    violations.add(field, `must not be longer than ${MAX_DURATION_SECONDS} s`);
  }
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}
