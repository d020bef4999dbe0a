import { timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  AttachResponse,
  Chunk,
  Line,
  WatchJobsResponse,
  WatchResponse,
} from "../../gen/procman/v1/procman_pb.js";
import type {
  AttachEvent,
  JobsEvent,
  OutputChunk,
  OutputLine,
  WatchEvent,
} from "../contract/procman.js";
import { decodeJob, decodeProgress } from "./decode-job.js";
import { malformed } from "./malformed.js";
import { streamOf, terminatorOf } from "./client-proto-enums.js";

/** Each returns undefined for a heartbeat, and for events that this version does not know. */
export function decodeAttachEvent({ event }: AttachResponse): AttachEvent | undefined {
  switch (event.case) {
    case "opened":
    case "ended":
      return { type: event.case, job: decodeJob(event.value.job) };
    case "chunk":
      return { type: "chunk", ...decodeChunk(event.value) };
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

export function decodeWatchEvent({ event }: WatchResponse): WatchEvent | undefined {
  switch (event.case) {
    case "opened":
    case "ended":
      return { type: event.case, job: decodeJob(event.value.job) };
    case "line":
      return { type: "line", ...decodeLine(event.value) };
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

export function decodeJobsEvent({ event }: WatchJobsResponse): JobsEvent | undefined {
  switch (event.case) {
    case "snapshot": {
      const { jobs, revision } = event.value;
      return { type: "snapshot", jobs: jobs.map(decodeJob), revision };
    }
    case "resumed":
      return { type: "resumed", revision: event.value.revision };
    case "changed":
      return { type: "changed", job: decodeJob(event.value.job), revision: event.value.revision };
    case "removed":
      return { type: "removed", id: event.value.id, revision: event.value.revision };
    case "heartbeat":
    case undefined:
      return undefined;
  }
}

function decodeChunk({ stream, offset, data, seenTime }: Chunk): OutputChunk {
  const chunk = { stream: knownStream(stream), offset: Number(offset), data };
  return seenTime ? { ...chunk, seenTime: timestampDate(seenTime) } : chunk;
}

export function decodeLine(line: Line): OutputLine {
  const terminator = terminatorOf(line.terminator);
  if (!terminator) throw malformed(`a line with the unknown terminator ${line.terminator}`);
  return {
    stream: knownStream(line.stream),
    text: line.text,
    offset: Number(line.offset),
    nextOffset: Number(line.nextOffset),
    terminator,
    ...(line.progress ? { progress: decodeProgress(line.progress) } : {}),
    ...(line.seenTime ? { seenTime: timestampDate(line.seenTime) } : {}),
  };
}

function knownStream(value: Chunk["stream"]): OutputChunk["stream"] {
  const stream = streamOf(value);
  if (!stream) throw malformed(`output of the unknown stream ${value}`);
  return stream;
}
