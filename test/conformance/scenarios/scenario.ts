import type { JsonObject } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { eventually } from "../../helpers/eventually.js";
import type { TestServer } from "../../helpers/test-server.js";
import { CallError } from "../call-error.js";
import type { ConformanceClient, Method, Need } from "../conformance-client.js";
import type { Stage } from "../stage.js";

/** One thing that has to hold whatever client is used. All clients of a stage run it at the same time. */
export interface Scenario {
  readonly name: string;
  /** What a client must be able to do for it to make sense. */
  readonly needs?: Need;
  /** It takes from the server what it lives on. */
  readonly needsRoot?: true;
  run(client: ConformanceClient, stage: Stage): Promise<void>;
}

export type Job = JsonObject & { readonly id: string; readonly status: string };

/** The reasons of the contract, and the code of each. */
export const CODE_OF = {
  JOB_NOT_FOUND: "NOT_FOUND",
  JOB_RUNNING: "FAILED_PRECONDITION",
  JOB_NOT_RUNNING: "FAILED_PRECONDITION",
  INVALID_ARGUMENT: "INVALID_ARGUMENT",
  COMMAND_NOT_FOUND: "INVALID_ARGUMENT",
  WORK_DIR_NOT_FOUND: "INVALID_ARGUMENT",
  INVALID_PAGE_TOKEN: "INVALID_ARGUMENT",
  COMMAND_NOT_EXECUTABLE: "PERMISSION_DENIED",
  REQUEST_ID_CONFLICT: "ALREADY_EXISTS",
  NAME_IN_USE: "ALREADY_EXISTS",
  OFFSET_OUT_OF_RANGE: "OUT_OF_RANGE",
  INPUT_NOT_OPEN: "FAILED_PRECONDITION",
  INPUT_BACKLOG: "RESOURCE_EXHAUSTED",
  INPUT_LIMIT: "RESOURCE_EXHAUSTED",
  NO_TERMINAL: "FAILED_PRECONDITION",
  NO_LEASE: "FAILED_PRECONDITION",
  DISK_FULL: "RESOURCE_EXHAUSTED",
  TOO_MANY_OPEN_FILES: "RESOURCE_EXHAUSTED",
  PROCESS_LIMIT: "RESOURCE_EXHAUSTED",
  UNAUTHENTICATED: "UNAUTHENTICATED",
  STORAGE_UNAVAILABLE: "UNAVAILABLE",
  SHUTTING_DOWN: "UNAVAILABLE",
  RECORD_UNREADABLE: "DATA_LOSS",
} as const;
export type Reason = keyof typeof CODE_OF;

const STREAMS: ReadonlySet<Method> = new Set(["Attach", "Watch", "WatchJobs"]);

/** Runs until somebody ends it. */
export const LONG = { command: "sleep", args: ["1000"] };

export async function startLong(client: ConformanceClient): Promise<Job> {
  return jobOf(await client.call("Start", LONG));
}

export async function start(
  client: ConformanceClient,
  script: string,
  more: JsonObject = {},
): Promise<Job> {
  return jobOf(await client.call("Start", { command: "sh", args: ["-c", script], ...more }));
}

export async function wait(client: ConformanceClient, id: string): Promise<Job> {
  return jobOf(await client.call("Wait", { id }));
}

export async function kill(client: ConformanceClient, id: string): Promise<Job> {
  return jobOf(await client.call("Cancel", { id, gracePeriod: "0s" }));
}

export function jobOf(answer: JsonObject): Job {
  return answer["job"] as unknown as Job;
}

export async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** The bytes of one stream, which follow each other without a gap. */
export function bytesOf(events: readonly JsonObject[], stream: string): Buffer {
  let next = -1;
  const pieces: Buffer[] = [];
  for (const event of events) {
    const chunk = event["chunk"] as { stream: string; offset?: string; data?: string } | undefined;
    if (chunk?.stream !== stream) continue;
    const data = Buffer.from(chunk.data ?? "", "base64");
    const offset = Number(chunk.offset ?? 0);
    if (next >= 0) expect(offset).toBe(next);
    next = offset + data.length;
    pieces.push(data);
  }
  return Buffer.concat(pieces);
}

export function linesOf(events: readonly JsonObject[]): JsonObject[] {
  return events.flatMap((event) => (event["line"] ? [event["line"] as JsonObject] : []));
}

export async function failure(call: Promise<unknown>): Promise<CallError> {
  const error = await call.then(
    () => new Error("it did not fail"),
    (error: unknown) => error,
  );
  if (error instanceof CallError) return error;
  throw error;
}

/** The call fails as the contract says, with all details, and no others. */
export async function fails(
  client: ConformanceClient,
  method: Method,
  request: JsonObject,
  reason: Reason,
  details: { readonly fields?: readonly string[]; readonly jobId?: string } = {},
): Promise<void> {
  const { fields = [], jobId } = details;
  const call = STREAMS.has(method)
    ? all(client.stream(method, request))
    : client.call(method, request);
  const error = await failure(call);
  const seen = {
    code: error.code,
    reason: error.reason,
    domain: error.domain,
    fields: error.fields,
    ...(jobId === undefined ? {} : { jobId: error.jobId }),
  };
  const expected = { code: CODE_OF[reason], reason, domain: "procman", fields };
  expect(seen, `${method} ${JSON.stringify(request)}: ${error.message}`).toEqual(
    jobId === undefined ? expected : { ...expected, jobId },
  );
  expect(error.message).not.toBe("");
}

/** Waits until the server has as many of the job's logs open. */
export async function untilOpenLogs(server: TestServer, id: string, count: number): Promise<void> {
  await eventually(`the server to have ${count} logs open`, () => openLogs(server, id) === count);
}

export function openLogs(server: TestServer, id: string): number {
  return server.openFiles().filter((path) => path.includes(`/jobs/${id}/`) && path.endsWith(".log"))
    .length;
}
