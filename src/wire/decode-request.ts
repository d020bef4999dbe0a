import type { Duration } from "@bufbuild/protobuf/wkt";
import type {
  AttachRequest,
  CancelRequest,
  CleanupRequest,
  ListRequest,
  ResizeWindowRequest,
  SendInputRequest,
  Status as ProtoStatus,
  Stream as ProtoStream,
  SignalRequest,
  StartRequest,
  WaitRequest,
  WatchJobsRequest,
  WatchRequest,
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
  WatchOptions,
} from "../contract/procman.js";
import { type FieldViolation, ProcmanError } from "../contract/errors.js";
import type { Status, Stream, WindowSize } from "../contract/job.js";
import { statusOf, streamOf } from "./enums.js";

/** The range of google.protobuf.Duration: about 10,000 years. */
const MAX_DURATION_SECONDS = 315_576_000_000n;
const MAX_NANOS = 999_999_999;

/** Reports an argument that is wrong; decoding goes on, so that all are found. */
type Report = (field: string, description: string) => void;

export function decodeStart(request: StartRequest): StartOptions {
  return decoding((report) => {
    const timeoutMs = decodeDuration("timeout", request.timeout, report);
    const logLimit = Number(request.logLimitBytes);
    const logLimitBytes = notNegative("log_limit_bytes", logLimit, report);
    return {
      command: request.command,
      args: request.args,
      env: request.env,
      clearEnv: request.clearEnv,
      ...(request.workDir === "" ? {} : { workDir: request.workDir }),
      labels: request.labels,
      ...(request.requestId === "" ? {} : { requestId: request.requestId }),
      mergeOutput: request.mergeOutput,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(logLimitBytes === 0 ? {} : { logLimitBytes }),
      pty: request.pty,
      ...(request.windowSize ? { windowSize: decodeWindowSize(request.windowSize) } : {}),
      stdin: request.stdin,
    };
  });
}

/** For the requests that hold an id and nothing else. */
export function decodeId(request: { readonly id: string }): string {
  return decoding((report) => checkedId(request.id, report));
}

export function decodeList(request: ListRequest): ListOptions {
  return decoding((report) => ({
    ...decodeFilter(request, report),
    pageSize: notNegative("page_size", request.pageSize, report),
    pageToken: request.pageToken,
  }));
}

export function decodeWatchJobs(request: WatchJobsRequest): WatchJobsOptions {
  return decoding((report) => ({
    ...decodeFilter(request, report),
    sinceRevision: request.sinceRevision,
  }));
}

export function decodeAttach(request: AttachRequest): { id: string; options: AttachOptions } {
  return decoding((report) => ({
    id: checkedId(request.id, report),
    options: { ...decodeOutputStart(request, report), follow: request.follow },
  }));
}

export function decodeWatch(request: WatchRequest): { id: string; options: WatchOptions } {
  return decoding((report) => ({
    id: checkedId(request.id, report),
    options: decodeOutputStart(request, report),
  }));
}

export function decodeWait(request: WaitRequest): { id: string; options: WaitOptions } {
  return decoding((report) => {
    const id = checkedId(request.id, report);
    const timeoutMs = decodeDuration("timeout", request.timeout, report);
    const until = decodeUntil(request.until, report);
    const timeout = timeoutMs === undefined ? {} : { timeoutMs };
    return { id, options: until === undefined ? timeout : { ...timeout, until } };
  });
}

export function decodeSignal(request: SignalRequest): { id: string; signal: string } {
  return { id: decodeId(request), signal: request.signal };
}

export function decodeCancel(request: CancelRequest): { id: string; options: CancelOptions } {
  return decoding((report) => {
    const id = checkedId(request.id, report);
    const gracePeriodMs = decodeDuration("grace_period", request.gracePeriod, report);
    return { id, options: gracePeriodMs === undefined ? {} : { gracePeriodMs } };
  });
}

export function decodeSendInput(request: SendInputRequest): {
  id: string;
  options: SendInputOptions;
} {
  const { sender, data, close, offset } = request;
  return decoding((report) => ({
    id: checkedId(request.id, report),
    options: {
      sender,
      data,
      close,
      ...(offset === undefined ? {} : { offset: notNegative("offset", Number(offset), report) }),
    },
  }));
}

export function decodeResizeWindow(request: ResizeWindowRequest): {
  id: string;
  size: WindowSize;
} {
  return decoding((report) => {
    const id = checkedId(request.id, report);
    if (!request.windowSize) report("window_size", "must be given");
    return { id, size: decodeWindowSize(request.windowSize ?? { rows: 0, columns: 0 }) };
  });
}

function decodeWindowSize({ rows, columns }: WindowSize): WindowSize {
  return { rows, columns };
}

export function decodeCleanup(request: CleanupRequest): CleanupOptions {
  return decoding((report) => {
    const olderThanMs = decodeDuration("older_than", request.olderThan, report);
    return olderThanMs === undefined ? {} : { olderThanMs };
  });
}

/** @throws ProcmanError INVALID_ARGUMENT with every violation that was reported. */
function decoding<T>(decode: (report: Report) => T): T {
  const violations: FieldViolation[] = [];
  const decoded = decode((field, description) => violations.push({ field, description }));
  if (violations.length === 0) return decoded;
  const message = violations.map(({ field, description }) => `${field}: ${description}`);
  throw new ProcmanError("INVALID_ARGUMENT", message.join("; "), { violations });
}

function checkedId(id: string, report: Report): string {
  if (id === "") report("id", "must not be empty");
  return id;
}

function decodeFilter(
  request: { statuses: ProtoStatus[]; labels: Record<string, string> },
  report: Report,
): JobFilter {
  const statuses = new Set<Status>();
  for (const value of request.statuses) {
    const status = statusOf(value);
    if (status) statuses.add(status);
    else report("statuses", `${value} is not a status`);
  }
  return { statuses: [...statuses], labels: request.labels };
}

function decodeUntil(until: WaitRequest["until"], report: Report): WaitUntil | undefined {
  switch (until.case) {
    case "output": {
      const reportWithin: Report = (field, description) => report(`output.${field}`, description);
      const { pattern } = until.value;
      return { type: "output", pattern, ...decodeOutputStart(until.value, reportWithin) };
    }
    case "port":
      return { type: "port", port: notNegative("port", until.value, report) };
    case undefined:
      return undefined;
  }
}

function decodeOutputStart(
  request: {
    streams: ProtoStream[];
    tailLines?: number | undefined;
    stdoutOffset: bigint;
    stderrOffset: bigint;
  },
  report: Report,
): OutputStart {
  const streams = new Set<Stream>();
  for (const value of request.streams) {
    const stream = streamOf(value);
    if (stream) streams.add(stream);
    else report("streams", `${value} is not a stream`);
  }
  const { tailLines } = request;
  return {
    streams: [...streams],
    ...(tailLines === undefined ? {} : { tailLines: notNegative("tail_lines", tailLines, report) }),
    // Past 2^53 the number is not exact, and beyond the end of any file all the same.
    stdoutOffset: notNegative("stdout_offset", Number(request.stdoutOffset), report),
    stderrOffset: notNegative("stderr_offset", Number(request.stderrOffset), report),
  };
}

function notNegative(field: string, value: number, report: Report): number {
  if (value < 0) report(field, "must not be negative");
  return value;
}

/** Whole milliseconds, rounded up, so that no positive duration becomes 0. */
function decodeDuration(
  field: string,
  duration: Duration | undefined,
  report: Report,
): number | undefined {
  if (!duration) return undefined;
  const { seconds, nanos } = duration;
  if (seconds < 0n || (seconds === 0n && nanos < 0)) report(field, "must not be negative");
  else if (nanos < 0 || nanos > MAX_NANOS) report(field, "nanos must be from 0 to 999999999");
  else if (seconds > MAX_DURATION_SECONDS) {
    report(field, `must not be longer than ${MAX_DURATION_SECONDS} s`);
  }
  return Number(seconds) * 1000 + Math.ceil(nanos / 1e6);
}
