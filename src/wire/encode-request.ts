import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, durationFromMs } from "@bufbuild/protobuf/wkt";
import type {
  AttachRequestSchema,
  CancelRequestSchema,
  CleanupRequestSchema,
  ListRequestSchema,
  ResizeWindowRequestSchema,
  SendInputRequestSchema,
  StartRequestSchema,
  WaitRequestSchema,
  WatchJobsRequestSchema,
  WatchRequestSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type {
  AttachOptions,
  CancelOptions,
  CleanupOptions,
  JobFilter,
  ListOptions,
  OutputStart,
  SendInputOptions,
  StartOptions,
  WaitOptions,
  WaitUntil,
  WatchJobsOptions,
} from "../contract/procman.js";
import { invalidArgument } from "../contract/errors.js";
import type { WindowSize } from "../contract/job.js";
import { PROTO_STATUS, PROTO_STREAM } from "./client-proto-enums.js";

const INT32_MAX = 2 ** 31 - 1;
/** The range of google.protobuf.Duration: about 10,000 years. */
const MAX_DURATION_MS = 315_576_000_000_000;

/*
 * What the wire cannot carry is refused here, as the server refuses the rest:
 * every function throws ProcmanError INVALID_ARGUMENT naming the field.
 */

export function encodeStart(options: StartOptions): MessageInitShape<typeof StartRequestSchema> {
  const { command, args, env, clearEnv, workDir, labels, requestId, mergeOutput } = options;
  return {
    command,
    args: [...(args ?? [])],
    env: { ...env },
    clearEnv: clearEnv ?? false,
    workDir: workDir ?? "",
    labels: { ...labels },
    requestId: requestId ?? "",
    mergeOutput: mergeOutput ?? false,
    ...encodeDuration("timeout", "timeout", options.timeoutMs),
    logLimitBytes: int64("log_limit_bytes", options.logLimitBytes ?? 0),
    pty: options.pty ?? false,
    ...(options.windowSize ? { windowSize: encodeWindowSize(options.windowSize) } : {}),
    stdin: options.stdin ?? false,
  };
}

export function encodeList(options: ListOptions): MessageInitShape<typeof ListRequestSchema> {
  return {
    ...filterFields(options),
    pageSize: int32("page_size", options.pageSize ?? 0),
    pageToken: options.pageToken ?? "",
  };
}

export function encodeWatchJobs({
  sinceRevision = "",
  ...filter
}: Omit<WatchJobsOptions, "signal">): MessageInitShape<typeof WatchJobsRequestSchema> {
  return { ...filterFields(filter), sinceRevision };
}

export function encodeAttach(
  id: string,
  options: Omit<AttachOptions, "signal">,
): MessageInitShape<typeof AttachRequestSchema> {
  return { ...startFields(id, options), follow: options.follow ?? false };
}

export function encodeWatch(
  id: string,
  start: OutputStart,
): MessageInitShape<typeof WatchRequestSchema> {
  return startFields(id, start);
}

export function encodeWait(
  id: string,
  { timeoutMs, until }: WaitOptions,
): MessageInitShape<typeof WaitRequestSchema> {
  return {
    id,
    ...encodeDuration("timeout", "timeout", timeoutMs),
    ...(until ? { until: encodeUntil(until) } : {}),
  };
}

export function encodeCancel(
  id: string,
  { gracePeriodMs }: CancelOptions,
): MessageInitShape<typeof CancelRequestSchema> {
  return { id, ...encodeDuration("gracePeriod", "grace_period", gracePeriodMs) };
}

export function encodeSendInput(
  id: string,
  { sender = "", offset, data = new Uint8Array(), close = false }: SendInputOptions,
): MessageInitShape<typeof SendInputRequestSchema> {
  const position = offset === undefined ? {} : { offset: int64("offset", offset) };
  return { id, sender, data, close, ...position };
}

export function encodeResizeWindow(
  id: string,
  size: WindowSize,
): MessageInitShape<typeof ResizeWindowRequestSchema> {
  return { id, windowSize: encodeWindowSize(size) };
}

function encodeWindowSize({ rows, columns }: WindowSize) {
  return {
    rows: int32("window_size", rows),
    columns: int32("window_size", columns),
  };
}

export function encodeCleanup({
  olderThanMs,
}: CleanupOptions): MessageInitShape<typeof CleanupRequestSchema> {
  return encodeDuration("olderThan", "older_than", olderThanMs);
}

function encodeUntil(until: WaitUntil): MessageInitShape<typeof WaitRequestSchema>["until"] & {} {
  switch (until.type) {
    case "output": {
      const { pattern, streams = [], stdoutOffset = 0, stderrOffset = 0 } = until;
      const value = {
        pattern,
        streams: streams.map((stream) => known("output.streams", PROTO_STREAM, stream)),
        stdoutOffset: int64("output.stdout_offset", stdoutOffset),
        stderrOffset: int64("output.stderr_offset", stderrOffset),
      };
      return { case: "output", value };
    }
    case "port":
      return { case: "port", value: int32("port", until.port) };
  }
}

function filterFields({ statuses = [], labels }: JobFilter) {
  return {
    statuses: statuses.map((status) => known("statuses", PROTO_STATUS, status)),
    labels: { ...labels },
  };
}

function startFields(id: string, start: OutputStart) {
  const { streams = [], tailLines, stdoutOffset = 0, stderrOffset = 0 } = start;
  return {
    id,
    streams: streams.map((stream) => known("streams", PROTO_STREAM, stream)),
    // More lines than the wire can ask for are all lines.
    ...(tailLines === undefined
      ? {}
      : { tailLines: int32("tail_lines", Math.min(tailLines, INT32_MAX)) }),
    stdoutOffset: int64("stdout_offset", stdoutOffset),
    stderrOffset: int64("stderr_offset", stderrOffset),
  };
}

/** To a whole millisecond, away from 0, so that nothing else becomes 0. */
function encodeDuration<Key extends string>(
  key: Key,
  field: string,
  ms: number | undefined,
): Partial<Record<Key, Duration>> {
  if (ms === undefined) return {};
  if (Number.isNaN(ms)) throw invalidArgument(field, "NaN is not a duration");
  const wholeMs = ms < 0 ? Math.floor(ms) : Math.ceil(ms);
  const inRange = Math.min(Math.max(wholeMs, -MAX_DURATION_MS), MAX_DURATION_MS);
  return { [key]: durationFromMs(inRange) } as Partial<Record<Key, Duration>>;
}

/** The types allow no other, but callers in JavaScript may. */
function known<Name extends string, Value>(
  field: string,
  values: Readonly<Record<Name, Value>>,
  name: Name,
): Value {
  if (Object.hasOwn(values, name)) return values[name];
  throw invalidArgument(
    field,
    `${JSON.stringify(name)} is none of ${Object.keys(values).join(", ")}`,
  );
}

function int32(field: string, value: number): number {
  if (Number.isInteger(value) && Math.abs(value) <= INT32_MAX) return value;
  throw invalidArgument(field, `${value} is not a whole number of 32 bits`);
}

function int64(field: string, value: number): bigint {
  if (Number.isSafeInteger(value)) return BigInt(value);
  throw invalidArgument(field, `${value} is not a whole number below 2^53`);
}
