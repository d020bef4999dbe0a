import {
  type Duration,
  durationFromMs,
  type Timestamp,
  timestampFromDate,
} from "@bufbuild/protobuf/wkt";
import { invalidArgument, Violations } from "../contract/errors.js";
import type { WindowSize } from "../contract/job.js";
import { MAX_DURATION_MS } from "../contract/procman.js";

/*
 * Fields that several messages have. What a client's call cannot put on the wire
 * is refused when it is encoded, with the same INVALID_ARGUMENT that the server
 * would answer; what the wire can carry is for the server to judge.
 */

const MAX_INT32 = 2 ** 31 - 1;
const MAX_DURATION_SECONDS = MAX_DURATION_MS / 1000;
const MAX_NANOS = 999_999_999;

/**
 * Decodes all of a request before it fails.
 * @throws ProcmanError INVALID_ARGUMENT with every violation that `decode` added
 */
export function decodeChecked<T>(decode: (violations: Violations) => T): T {
  const violations = new Violations();
  const decoded = decode(violations);
  violations.throwIfAny();
  return decoded;
}

/** The id of a request that holds nothing else. @throws ProcmanError INVALID_ARGUMENT */
export function decodeId({ id }: { readonly id: string }): string {
  return decodeChecked((violations) => requiredId(id, violations));
}

/** What a call about one job asks for. */
export interface OnJob<Options> {
  readonly id: string;
  readonly options: Options;
}

/** Decodes a request about one job. @throws ProcmanError INVALID_ARGUMENT, as `decodeChecked` */
export function decodeOnJob<Options>(
  { id }: { readonly id: string },
  decodeOptions: (violations: Violations) => Options,
): OnJob<Options> {
  return decodeChecked((violations) => ({
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

/** Encodes more than the wire can ask for as all that it can. @throws ProcmanError INVALID_ARGUMENT */
export function encodeCount(field: string, value: number): number {
  return encodeInt32(field, Math.min(value, MAX_INT32));
}

/** @throws ProcmanError INVALID_ARGUMENT */
export function encodeInt64(field: string, value: number): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw invalidArgument(field, `${value} is not a whole number below 2^53`);
}

/** Past 2^53 the number is not exact, and beyond the end of any file all the same. */
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

export function decodeWindowSize({ rows, columns }: WindowSize): WindowSize {
  return { rows, columns };
}

export function encodeTime(time: Date | undefined): Timestamp | undefined {
  return time && timestampFromDate(time);
}

/** To the nearest millisecond: the wire takes whole nanoseconds only, and no value out of range. */
export function encodeDuration(ms: number | undefined): Duration | undefined {
  if (ms === undefined) return undefined;
  return durationFromMs(Math.min(Math.max(Math.round(ms), 0), MAX_DURATION_MS));
}

/**
 * A duration that is asked for: to a whole millisecond, away from 0, so that
 * nothing else becomes 0.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function encodeAskedDuration(field: string, ms: number | undefined): Duration | undefined {
  if (ms === undefined) return undefined;
  if (Number.isNaN(ms)) throw invalidArgument(field, "NaN is not a duration");
  const wholeMs = ms < 0 ? Math.floor(ms) : Math.ceil(ms);
  return durationFromMs(Math.min(Math.max(wholeMs, -MAX_DURATION_MS), MAX_DURATION_MS));
}

/** In whole milliseconds, rounded up, so that no positive duration becomes 0. */
export function decodeAskedDuration(
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
