import {
  create,
  type DescField,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import {
  AttachResponseSchema,
  JobSchema,
  ReadOutputResponseSchema,
  WaitResponseSchema,
  WatchJobsResponseSchema,
  WatchResponseSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Job } from "../contract/job.js";
import { UNPRINTABLE } from "../platform/unprintable.js";
import type {
  AttachEvent,
  BoundedOutput,
  JobsEvent,
  UnreadableJob,
  WaitedJob,
  WatchEvent,
} from "../contract/procman.js";
import { encodeJob } from "./job.js";
import { encodeAttachEvent, encodeWatchEvent } from "./output.js";
import { encodeBoundedOutput } from "./read-output.js";
import { encodeWaited } from "./wait.js";
import { encodeJobsEvent } from "./jobs.js";

/*
 * One line of JSON each: what `--json` prints. It is the API's own form, but for what
 * people would have to know of it: values of enums are the words that the command line
 * uses ("running"), and variables whose values are hidden are a list of names.
 * Fields that have their zero value are there too, for those who read it with jq.
 */

/** @param options.env with the values of its environment variables */
export function jobJson(job: Job, { env = false } = {}): string {
  return messageJson(JobSchema, encodeJob(job), env);
}

/** @param jobId stands before the event, where those of several jobs come */
export function attachEventJson(event: AttachEvent, jobId?: string): string {
  const json = messageInWords(AttachResponseSchema, encodeAttachEvent(event));
  return printableJson(jobId === undefined ? json : { id: jobId, ...json });
}

export function watchEventJson(event: WatchEvent): string {
  return messageJson(WatchResponseSchema, encodeWatchEvent(event));
}

export function waitedJson(waited: WaitedJob): string {
  return messageJson(WaitResponseSchema, encodeWaited(waited));
}

/** With text in place of bytes. */
export function boundedOutputJson(output: BoundedOutput): string {
  return messageJson(ReadOutputResponseSchema, encodeBoundedOutput(output, true));
}

export function jobsEventJson(event: JobsEvent): string {
  return messageJson(WatchJobsResponseSchema, encodeJobsEvent(event));
}

export function unreadableJson({ id, error }: UnreadableJob): string {
  return printableJson({ id, error });
}

export function idJson(id: string): string {
  return printableJson({ id });
}

function messageJson<Schema extends DescMessage>(
  schema: Schema,
  message: MessageInitShape<Schema>,
  withEnv = false,
): string {
  return printableJson(messageInWords(schema, message, withEnv));
}

function messageInWords<Schema extends DescMessage>(
  schema: Schema,
  message: MessageInitShape<Schema>,
  withEnv = false,
): JsonObject {
  const json = toJson(schema, create(schema, message), { alwaysEmitImplicit: true });
  return inWords(schema, json, withEnv) as JsonObject;
}

/** Replaces what is said in another way than the API's. */
function inWords(schema: DescMessage, json: JsonValue, withEnv: boolean): JsonValue {
  // A time and a duration are texts.
  if (!isObject(json)) return json;
  const entries = Object.entries(json).map(([name, value]): [string, JsonValue] => {
    const field = schema.fields.find(({ jsonName }) => jsonName === name);
    if (!field) return [name, value];
    if (schema === JobSchema && field === JobSchema.field.env && !withEnv) {
      return ["envNames", Object.keys(value as JsonObject)];
    }
    return [name, fieldInWords(field, value, withEnv)];
  });
  return Object.fromEntries(entries);
}

function fieldInWords(field: DescField, value: JsonValue, withEnv: boolean): JsonValue {
  const { message, enum: names } = field;
  const each = (item: JsonValue): JsonValue => {
    if (message) return inWords(message, item, withEnv);
    const name = names?.values.find((candidate) => candidate.name === item)?.localName;
    return name?.toLowerCase() ?? item;
  };
  return Array.isArray(value) ? value.map(each) : each(value);
}

function isObject(json: JsonValue): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
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
