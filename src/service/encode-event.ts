import type { MessageInitShape } from "@bufbuild/protobuf";
import type {
  AttachResponseSchema,
  WatchJobsResponseSchema,
  WatchResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { AttachEvent, JobsEvent, WatchEvent } from "../core/api.js";
import { encodeJob, encodeProgress } from "./encode-job.js";
import { PROTO_STREAM, PROTO_TERMINATOR } from "./proto-enums.js";

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
      const { stream, offset, data } = event;
      const value = { stream: PROTO_STREAM[stream], offset: BigInt(offset), data };
      return { event: { case: "chunk", value } };
    }
  }
}

export function encodeWatchEvent(event: WatchEvent): WatchResponseInit {
  switch (event.type) {
    case "opened":
    case "ended":
      return { event: { case: event.type, value: { job: encodeJob(event.job) } } };
    case "line": {
      const value = {
        stream: PROTO_STREAM[event.stream],
        text: event.text,
        offset: BigInt(event.offset),
        nextOffset: BigInt(event.nextOffset),
        terminator: PROTO_TERMINATOR[event.terminator],
        ...(event.progress ? { progress: encodeProgress(event.progress) } : {}),
      };
      return { event: { case: "line", value } };
    }
  }
}

export function encodeJobsEvent(event: JobsEvent): WatchJobsResponseInit {
  switch (event.type) {
    case "snapshot":
      return { event: { case: "snapshot", value: { jobs: event.jobs.map(encodeJob) } } };
    case "changed":
      return { event: { case: "changed", value: { job: encodeJob(event.job) } } };
    case "removed":
      return { event: { case: "removed", value: { id: event.id } } };
  }
}
