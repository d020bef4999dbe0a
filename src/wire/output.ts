import type { MessageInitShape as Init } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  AttachRequest,
  AttachRequestSchema,
  AttachResponse,
  AttachResponseSchema,
  Chunk,
  Line,
  LineSchema,
  OutputSearched,
  Stream as ProtoStream,
  Truncated,
  WatchRequest,
  WatchRequestSchema,
  WatchResponse,
  WatchResponseSchema,
  WrittenBetween as ProtoWrittenBetween,
  WrittenBetweenSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Violations } from "../contract/errors.js";
import type { Stream } from "../contract/job.js";
import type {
  AttachEvent,
  AttachOptions,
  OutputChunk,
  OutputLine,
  OutputPeriod,
  OutputStart,
  OutputTruncation,
  SearchedOffsets,
  WatchEvent,
  WatchOptions,
  WrittenBetween,
} from "../contract/procman.js";
import { defined } from "../platform/defined.js";
import { STREAM, TERMINATOR } from "./enums.js";
import { malformedResponse } from "./error-map.js";
import {
  decodeNotNegative,
  decodeJobRequest,
  decodeRequestedTime,
  encodeCount,
  encodeInt64,
  encodeRequestedTime,
  encodeTime,
  type JobRequest,
} from "./fields.js";
import { decodeJob, decodeProgress, encodeJob, encodeProgress } from "./job.js";

/** The same in the responses of every stream. */
export const HEARTBEAT = { event: { case: "heartbeat", value: {} } } as const;

export function encodeAttach(
  id: string,
  options: Omit<AttachOptions, "signal">,
): Init<typeof AttachRequestSchema> {
  return {
    id,
    ...encodeOutputStart(options),
    ...encodePeriod(options),
    follow: options.follow ?? false,
  };
}

export function decodeAttach(request: AttachRequest): JobRequest<AttachOptions> {
  const { follow } = request;
  return decodeJobRequest(request, (violations) => ({
    ...decodeOutputStart(request, violations),
    ...decodePeriod(request, violations),
    follow,
  }));
}

export function encodeWatch(
  id: string,
  { pattern = "", invert = false, follow, ...start }: Omit<WatchOptions, "signal">,
): Init<typeof WatchRequestSchema> {
  return {
    id,
    ...encodeOutputStart(start),
    ...encodePeriod(start),
    pattern,
    invert,
    ...defined({ follow }),
  };
}

export function decodeWatch(request: WatchRequest): JobRequest<WatchOptions> {
  const { pattern, invert, follow } = request;
  return decodeJobRequest(request, (violations) => ({
    ...decodeOutputStart(request, violations),
    ...decodePeriod(request, violations),
    pattern,
    invert,
    ...defined({ follow }),
  }));
}

type OutputStartFields = Pick<
  WatchRequest,
  "streams" | "tailLines" | "stdoutOffset" | "stderrOffset"
>;

/** @param within where the fields are, for errors: "output." where they are those of that field */
export function encodeOutputStart(
  { streams, tailLines, stdoutOffset = 0, stderrOffset = 0 }: OutputStart,
  within = "",
) {
  return {
    streams: STREAM.encodeList(`${within}streams`, streams),
    stdoutOffset: encodeInt64(`${within}stdout_offset`, stdoutOffset),
    stderrOffset: encodeInt64(`${within}stderr_offset`, stderrOffset),
    ...(tailLines !== undefined && { tailLines: encodeCount(`${within}tail_lines`, tailLines) }),
  };
}

export function decodeOutputStart(
  { streams, tailLines, stdoutOffset, stderrOffset }: OutputStartFields,
  violations: Violations,
  within = "",
): OutputStart {
  const notNegative = (field: string, value: number | bigint) =>
    decodeNotNegative(`${within}${field}`, value, violations);
  return {
    streams: STREAM.decodeList(`${within}streams`, streams, violations),
    ...(tailLines !== undefined && { tailLines: notNegative("tail_lines", tailLines) }),
    stdoutOffset: notNegative("stdout_offset", stdoutOffset),
    stderrOffset: notNegative("stderr_offset", stderrOffset),
  };
}

type PeriodFields = Pick<WatchRequest, "sinceTime" | "untilTime" | "writtenTimes">;

export function encodePeriod({ sinceTime, untilTime, writtenTimes = false }: OutputPeriod) {
  return {
    ...defined({
      sinceTime: encodeRequestedTime("since_time", sinceTime),
      untilTime: encodeRequestedTime("until_time", untilTime),
    }),
    writtenTimes,
  };
}

export function decodePeriod(
  { sinceTime, untilTime, writtenTimes }: PeriodFields,
  violations: Violations,
): OutputPeriod {
  return {
    ...defined({
      sinceTime: decodeRequestedTime("since_time", sinceTime, violations),
      untilTime: decodeRequestedTime("until_time", untilTime, violations),
    }),
    writtenTimes,
  };
}

export function encodeWritten(
  written: WrittenBetween | undefined,
): Init<typeof WrittenBetweenSchema> | undefined {
  if (!written) return undefined;
  const { from, to, unobserved = false } = written;
  return { from: timestampFromDate(from), to: timestampFromDate(to), unobserved };
}

export function decodeWritten(
  written: ProtoWrittenBetween | undefined,
): WrittenBetween | undefined {
  if (!written) return undefined;
  const { from, to, unobserved } = written;
  if (!from || !to) throw malformedResponse("output that was written at no time");
  return {
    from: timestampDate(from),
    to: timestampDate(to),
    ...(unobserved && { unobserved }),
  };
}

function encodeTruncation({ stream, offset }: OutputTruncation) {
  return {
    event: {
      case: "truncated" as const,
      value: { stream: STREAM.encode(stream), offset: BigInt(offset) },
    },
  };
}

function decodeTruncation({ stream, offset }: Truncated) {
  return { type: "truncated", stream: knownStream(stream), offset: Number(offset) } as const;
}

/** The same in every message that has both. */
export function encodeSearched({ stdoutOffset, stderrOffset }: SearchedOffsets) {
  return { stdoutOffset: BigInt(stdoutOffset), stderrOffset: BigInt(stderrOffset) };
}

export function decodeSearched({
  stdoutOffset,
  stderrOffset,
}: Pick<OutputSearched, "stdoutOffset" | "stderrOffset">): SearchedOffsets {
  return { stdoutOffset: Number(stdoutOffset), stderrOffset: Number(stderrOffset) };
}

export function encodeAttachEvent(event: AttachEvent): Init<typeof AttachResponseSchema> {
  switch (event.type) {
    case "opened":
    case "ended":
      return { event: { case: event.type, value: { job: encodeJob(event.job) } } };
    case "chunk": {
      const { offset, data } = event;
      const value = {
        stream: STREAM.encode(event.stream),
        offset: BigInt(offset),
        data,
        ...defined({
          seenTime: encodeTime(event.seenTime),
          writtenBetween: encodeWritten(event.writtenBetween),
        }),
      };
      return { event: { case: "chunk", value } };
    }
    case "truncated":
      return encodeTruncation(event);
  }
}

/** Returns undefined for a heartbeat, and for an event that this version does not know. */
export function decodeAttachEvent({ event }: AttachResponse): AttachEvent | undefined {
  switch (event.case) {
    case "opened":
    case "ended":
      return { type: event.case, job: decodeJob(event.value.job) };
    case "chunk":
      return { type: "chunk", ...decodeChunk(event.value) };
    case "truncated":
      return decodeTruncation(event.value);
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

export function encodeWatchEvent(event: WatchEvent): Init<typeof WatchResponseSchema> {
  switch (event.type) {
    case "opened":
    case "ended":
      return { event: { case: event.type, value: { job: encodeJob(event.job) } } };
    case "line":
      return { event: { case: "line", value: encodeLine(event) } };
    case "truncated":
      return encodeTruncation(event);
    case "searched":
      return { event: { case: "searched", value: encodeSearched(event) } };
  }
}

/** Returns undefined for a heartbeat, and for an event that this version does not know. */
export function decodeWatchEvent({ event }: WatchResponse): WatchEvent | undefined {
  switch (event.case) {
    case "opened":
    case "ended":
      return { type: event.case, job: decodeJob(event.value.job) };
    case "line":
      return { type: "line", ...decodeLine(event.value) };
    case "truncated":
      return decodeTruncation(event.value);
    case "searched":
      return { type: "searched", ...decodeSearched(event.value) };
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

function decodeChunk({ stream, offset, data, seenTime, writtenBetween }: Chunk): OutputChunk {
  return {
    stream: knownStream(stream),
    offset: Number(offset),
    data,
    ...defined({
      seenTime: seenTime && timestampDate(seenTime),
      writtenBetween: decodeWritten(writtenBetween),
    }),
  };
}

export function encodeLine(line: OutputLine): Init<typeof LineSchema> {
  const { text, progress, seenTime } = line;
  return {
    stream: STREAM.encode(line.stream),
    text,
    offset: BigInt(line.offset),
    nextOffset: BigInt(line.nextOffset),
    terminator: TERMINATOR.encode(line.terminator),
    ...defined({
      progress: progress && encodeProgress(progress),
      seenTime: encodeTime(seenTime),
      writtenBetween: encodeWritten(line.writtenBetween),
    }),
  };
}

export function decodeLine(line: Line): OutputLine {
  const terminator = TERMINATOR.decode(line.terminator);
  if (!terminator) throw malformedResponse(`a line with the unknown terminator ${line.terminator}`);
  const { text, offset, nextOffset, progress, seenTime } = line;
  return {
    stream: knownStream(line.stream),
    text,
    offset: Number(offset),
    nextOffset: Number(nextOffset),
    terminator,
    ...defined({
      progress: progress && decodeProgress(progress),
      seenTime: seenTime && timestampDate(seenTime),
      writtenBetween: decodeWritten(line.writtenBetween),
    }),
  };
}

/** @throws ProcmanError INTERNAL */
export function knownStream(value: ProtoStream): Stream {
  const stream = STREAM.decode(value);
  if (!stream) throw malformedResponse(`output of the unknown stream ${value}`);
  return stream;
}
