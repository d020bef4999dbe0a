import {
  create,
  type DescMessage,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import {
  AttachResponseSchema,
  JobSchema,
  WaitResponseSchema,
  WatchJobsResponseSchema,
  WatchResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Job } from "../contract/job.js";
import { UNPRINTABLE } from "../platform/unprintable.js";
import type { AttachEvent, JobsEvent, WaitedJob, WatchEvent } from "../contract/procman.js";
import { encodeJob } from "./job.js";
import { encodeAttachEvent, encodeWatchEvent } from "./output.js";
import { encodeWaited } from "./wait.js";
import { encodeJobsEvent } from "./jobs.js";

/*
 * One line of JSON each, in the API's own form: what `--json` prints. Fields
 * that have their zero value are there too, for those who read it with jq.
 */

export function jobJson(job: Job): string {
  return messageJson(JobSchema, encodeJob(job));
}

export function attachEventJson(event: AttachEvent): string {
  return messageJson(AttachResponseSchema, encodeAttachEvent(event));
}

export function watchEventJson(event: WatchEvent): string {
  return messageJson(WatchResponseSchema, encodeWatchEvent(event));
}

export function waitedJson(waited: WaitedJob): string {
  return messageJson(WaitResponseSchema, encodeWaited(waited));
}

export function jobsEventJson(event: JobsEvent): string {
  return messageJson(WatchJobsResponseSchema, encodeJobsEvent(event));
}

export function removedJson(id: string): string {
  return printableJson({ id });
}

function messageJson<Schema extends DescMessage>(
  schema: Schema,
  message: MessageInitShape<Schema>,
): string {
  return printableJson(toJson(schema, create(schema, message), { alwaysEmitImplicit: true }));
}

/** Escapes also what JSON allows and a terminal would act on: the value stays the same. */
function printableJson(value: object | JsonValue): string {
  const escape = (char: string) =>
    Array.from(
      { length: char.length },
      (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, "0")}`,
    ).join("");
  return JSON.stringify(value).replace(UNPRINTABLE, escape);
}
