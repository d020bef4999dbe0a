import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type {
  AttachResponseSchema,
  LineSchema,
  WatchJobsResponseSchema,
  WatchResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { AttachEvent, JobsEvent, OutputLine, WatchEvent } from "../contract/procman.js";
import { encodeJob, encodeProgress } from "./job.js";
import { PROTO_STREAM, PROTO_TERMINATOR } from "./enums.js";

export type AttachResponseInit = MessageInitShape<typeof AttachResponseSchema>;
export type WatchResponseInit = MessageInitShape<typeof WatchResponseSchema>;
export type WatchJobsResponseInit = MessageInitShape<typeof WatchJobsResponseSchema>;

/** Fits every stream's response. */
export const HEARTBEAT = { event: { case: "heartbeat", value: {} } } as const;

export function encodeAttachEvent(event: AttachEvent): AttachResponseInit {
  switch (event.type) {
    case "opened":
    case "ended":
      return { event: { case: event.type, value: { job: encodeJob(event.job) } } };
    case "chunk": {
      const value = {
        stream: PROTO_STREAM[event.stream],
        offset: BigInt(event.offset),
        data: event.data,
        ...(event.seenTime ? { seenTime: timestampFromDate(event.seenTime) } : {}),
      };
      return { event: { case: "chunk", value } };
    }
  }
}

export function encodeWatchEvent(event: WatchEvent): WatchResponseInit {
  switch (event.type) {
    case "opened":
    case "ended":
      return { event: { case: event.type, value: { job: encodeJob(event.job) } } };
    case "line":
      return { event: { case: "line", value: encodeLine(event) } };
  }
}

export function encodeLine(line: OutputLine): MessageInitShape<typeof LineSchema> {
  return {
    stream: PROTO_STREAM[line.stream],
    text: line.text,
    offset: BigInt(line.offset),
    nextOffset: BigInt(line.nextOffset),
    terminator: PROTO_TERMINATOR[line.terminator],
    ...(line.progress ? { progress: encodeProgress(line.progress) } : {}),
    ...(line.seenTime ? { seenTime: timestampFromDate(line.seenTime) } : {}),
  };
}

export function encodeJobsEvent(event: JobsEvent): WatchJobsResponseInit {
  const { revision } = event;
  switch (event.type) {
    case "snapshot":
      return { event: { case: "snapshot", value: { jobs: event.jobs.map(encodeJob), revision } } };
    case "resumed":
      return { event: { case: "resumed", value: { revision } } };
    case "changed":
      return { event: { case: "changed", value: { job: encodeJob(event.job), revision } } };
    case "removed":
      return { event: { case: "removed", value: { id: event.id, revision } } };
  }
}
