import type { JsonObject } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { eventually } from "../helpers/eventually.js";
import type { TestServer } from "../helpers/test-server.js";
import { CallError, type ConformanceClient, type Method } from "./conformance-client.js";

/** One thing that has to hold whatever client is used. */
export interface Scenario {
  readonly name: string;
  /** It would disturb others that run at the same time. */
  readonly alone?: true;
  run(client: ConformanceClient, server: TestServer): Promise<void>;
}

type Job = JsonObject & { readonly id: string; readonly status: string };

const LONG = { command: "sleep", args: ["1000"] };
const UNKNOWN = { id: "nonesuch" };

export const SCENARIOS: readonly Scenario[] = [
  {
    name: "Start, Wait and Get",
    async run(client) {
      const job = await start(client, "echo out; echo err >&2; exit 7", { labels: { a: "b" } });
      expect(job).toMatchObject({ status: "STATUS_RUNNING", command: "sh", labels: { a: "b" } });
      expect(Number(job["pid"])).toBeGreaterThan(1);
      const ended = await wait(client, job.id);
      expect(ended).toMatchObject({ status: "STATUS_FAILED", exitCode: 7, stdoutBytes: "4" });
      expect(jobOf(await client.call("Get", { id: job.id }))).toEqual(ended);
    },
  },
  {
    name: "Start again with its request_id",
    async run(client) {
      const request = { ...LONG, requestId: `once ${client.name} ü` };
      const first = jobOf(await client.call("Start", request));
      const again = jobOf(await client.call("Start", request));
      expect(again.id).toBe(first.id);
      const other = { ...request, args: ["1001"] };
      await fails(client, "Start", other, "ALREADY_EXISTS", "REQUEST_ID_CONFLICT");
      await client.call("Cancel", { id: first.id, gracePeriod: "0s" });
    },
  },
  {
    name: "Wait with a timeout",
    async run(client) {
      const job = jobOf(await client.call("Start", LONG));
      const seen = jobOf(await client.call("Wait", { id: job.id, timeout: "0.050s" }));
      expect(seen.status).toBe("STATUS_RUNNING");
      await client.call("Cancel", { id: job.id, gracePeriod: "0s" });
    },
  },
  {
    name: "List with filters and pages",
    async run(client) {
      const labels = { list: client.name };
      const ids: string[] = [];
      for (let n = 0; n < 3; n += 1) {
        const job = await start(client, "true", { labels });
        await wait(client, job.id);
        ids.unshift(job.id);
      }
      const filter = { labels, statuses: ["STATUS_COMPLETED"], pageSize: 2 };
      const first = await client.call("List", filter);
      expect(first["totalSize"]).toBe(3);
      const next = await client.call("List", {
        ...filter,
        pageToken: first["nextPageToken"] as string,
      });
      const jobs = [first, next].flatMap((page) => page["jobs"] as unknown as Job[]);
      expect(jobs.map(({ id }) => id)).toEqual(ids);
      expect(next["nextPageToken"] ?? "").toBe("");
      await fails(client, "List", { pageToken: "x" }, "INVALID_ARGUMENT", "INVALID_PAGE_TOKEN");
      await fails(client, "List", { pageSize: -1 }, "INVALID_ARGUMENT", "INVALID_ARGUMENT", [
        "page_size",
      ]);
    },
  },
  {
    name: "Attach: all of it, followed",
    async run(client) {
      const script = "for i in 1 2 3; do echo o$i; echo e$i >&2; sleep 0.03; done";
      const job = await start(client, script);
      const events = await all(client.stream("Attach", { id: job.id, follow: true }));
      expect(Object.keys(events[0] ?? {})).toEqual(["opened"]);
      expect(events.at(-1)).toMatchObject({ ended: { job: { status: "STATUS_COMPLETED" } } });
      expect(bytesOf(events, "STREAM_STDOUT").toString()).toBe("o1\no2\no3\n");
      expect(bytesOf(events, "STREAM_STDERR").toString()).toBe("e1\ne2\ne3\n");
    },
  },
  {
    name: "Attach: from an offset, the last lines",
    async run(client) {
      const job = await start(client, "printf 'one\\ntwo\\nthree\\n'");
      await wait(client, job.id);
      const text = async (request: JsonObject) =>
        bytesOf(
          await all(
            client.stream("Attach", { id: job.id, streams: ["STREAM_STDOUT"], ...request }),
          ),
          "STREAM_STDOUT",
        ).toString();
      expect(await text({ stdoutOffset: "4" })).toBe("two\nthree\n");
      expect(await text({ tailLines: 1 })).toBe("three\n");
      expect(await text({ stdoutOffset: "14" })).toBe("");
      const request = { id: job.id, stdoutOffset: "15" };
      await streamFails(client, "Attach", request, "OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE");
    },
  },
  {
    name: "Attach: a megabyte of any bytes",
    async run(client) {
      const program =
        "const b=Buffer.alloc(1e6);for(let i=0;i<b.length;i++)b[i]=i*31;process.stdout.write(b)";
      const request = { command: process.execPath, args: ["-e", program] };
      const job = jobOf(await client.call("Start", request));
      const events = await all(client.stream("Attach", { id: job.id, follow: true }));
      const expected = Buffer.alloc(1e6);
      for (let i = 0; i < expected.length; i += 1) expected[i] = i * 31;
      expect(bytesOf(events, "STREAM_STDOUT").equals(expected)).toBe(true);
    },
  },
  {
    name: "Watch: lines and progress",
    async run(client) {
      const job = await start(client, "printf 'a\\r\\nb 50%%\\rc'");
      const events = await all(client.stream("Watch", { id: job.id }));
      const lines = events.flatMap((event) => (event["line"] ? [event["line"] as JsonObject] : []));
      expect(lines).toMatchObject([
        { text: "a", terminator: "TERMINATOR_CRLF", nextOffset: "3" },
        { text: "b 50%", terminator: "TERMINATOR_CR", progress: { percent: 50 } },
        { text: "c", terminator: "TERMINATOR_NONE", offset: "9", nextOffset: "10" },
      ]);
      expect(Object.keys(events.at(-1) ?? {})).toEqual(["ended"]);
    },
  },
  {
    name: "WatchJobs: a snapshot, then changes",
    async run(client) {
      const labels = { watch: client.name };
      const leave = new AbortController();
      const seen: string[] = [];
      const watching = (async () => {
        for await (const event of client.stream(
          "WatchJobs",
          { labels },
          { signal: leave.signal },
        )) {
          const changed = event["changed"] as { job?: Job } | undefined;
          seen.push(changed?.job?.status ?? Object.keys(event)[0] ?? "");
        }
      })().catch(() => {});
      await eventually("the snapshot", () => seen.length === 1);
      const job = await start(client, "exit 1", { labels });
      await wait(client, job.id);
      await client.call("Remove", { id: job.id });
      await eventually("the removal", () => seen.includes("removed"));
      leave.abort();
      await watching;
      expect(seen.filter((each) => each !== "STATUS_RUNNING")).toEqual([
        "snapshot",
        "STATUS_FAILED",
        "removed",
      ]);
    },
  },
  {
    name: "Signal and Cancel",
    async run(client) {
      const signalled = jobOf(await client.call("Start", LONG));
      await client.call("Signal", { id: signalled.id, signal: "USR1" });
      expect(await wait(client, signalled.id)).toMatchObject({ signal: "SIGUSR1", exitCode: 138 });
      const cancelled = jobOf(await client.call("Start", LONG));
      const request = { id: cancelled.id, gracePeriod: "10s" };
      expect(jobOf(await client.call("Cancel", request)).status).toBe("STATUS_CANCELLED");
      await fails(client, "Cancel", request, "FAILED_PRECONDITION", "JOB_NOT_RUNNING");
      const signal = { id: cancelled.id, signal: "TERM" };
      await fails(client, "Signal", signal, "FAILED_PRECONDITION", "JOB_NOT_RUNNING");
    },
  },
  {
    name: "Remove, Cleanup and Refresh",
    alone: true,
    async run(client) {
      const job = jobOf(await client.call("Start", LONG));
      await fails(client, "Remove", { id: job.id }, "FAILED_PRECONDITION", "JOB_RUNNING");
      await client.call("Cancel", { id: job.id, gracePeriod: "0s" });
      expect((await client.call("Cleanup", {}))["removedIds"] ?? []).toEqual([]);
      await client.call("Remove", { id: job.id });
      await fails(client, "Get", { id: job.id }, "NOT_FOUND", "JOB_NOT_FOUND");
      const old = await start(client, "true");
      await wait(client, old.id);
      const removed = await client.call("Cleanup", { olderThan: "0s" });
      expect(removed["removedIds"]).toContain(old.id);
      expect(await client.call("Refresh", {})).toEqual({});
    },
  },
  {
    name: "an unknown job, for every RPC that names one",
    async run(client) {
      for (const method of ["Get", "Wait", "Cancel", "Remove"] as const) {
        await fails(client, method, UNKNOWN, "NOT_FOUND", "JOB_NOT_FOUND");
      }
      await fails(client, "Signal", { ...UNKNOWN, signal: "TERM" }, "NOT_FOUND", "JOB_NOT_FOUND");
      for (const method of ["Attach", "Watch"] as const) {
        await streamFails(client, method, UNKNOWN, "NOT_FOUND", "JOB_NOT_FOUND");
      }
    },
  },
  {
    name: "wrong arguments, each named",
    async run(client) {
      const invalid = (
        method: Method,
        request: JsonObject,
        field: string,
        reason = "INVALID_ARGUMENT",
      ) => fails(client, method, request, "INVALID_ARGUMENT", reason, [field]);
      await invalid("Start", {}, "command");
      await invalid("Start", { command: "true", args: ["a\0b"] }, "args[0]");
      await invalid("Start", { command: "true", workDir: "x" }, "work_dir");
      await invalid("Start", { command: "true", timeout: "-1s" }, "timeout");
      await invalid("Start", { command: "no-such" }, "command", "COMMAND_NOT_FOUND");
      const nowhere = { command: "true", workDir: "/nonexistent" };
      await invalid("Start", nowhere, "work_dir", "WORK_DIR_NOT_FOUND");
      await invalid("Get", {}, "id");
      await invalid("Cleanup", { olderThan: "-1s" }, "older_than");
      const forbidden = { command: "/etc/passwd" };
      await fails(client, "Start", forbidden, "PERMISSION_DENIED", "COMMAND_NOT_EXECUTABLE");
      const job = jobOf(await client.call("Start", LONG));
      await invalid("Signal", { id: job.id, signal: "NOPE" }, "signal");
      await invalid("Cancel", { id: job.id, gracePeriod: "-1s" }, "grace_period");
      await client.call("Cancel", { id: job.id, gracePeriod: "0s" });
    },
  },
  {
    name: "wrong token",
    async run(client) {
      const options = { token: "wrong" };
      const refused = await failure(client.call("List", {}, options));
      expect(refused.reason).toBe("UNAUTHENTICATED");
      const stream = client.stream("WatchJobs", {}, options)[Symbol.asyncIterator]();
      expect((await failure(stream.next())).reason).toBe("UNAUTHENTICATED");
    },
  },
  {
    name: "a stream opens at once on a silent job, and its client can leave",
    async run(client, server) {
      const job = jobOf(await client.call("Start", LONG));
      const before = openLogs(server, job.id);
      const leave = new AbortController();
      const request = { id: job.id, follow: true };
      const stream = client.stream("Attach", request, { signal: leave.signal });
      const events = stream[Symbol.asyncIterator]();
      expect((await events.next()).value).toMatchObject({ opened: { job: { id: job.id } } });
      leave.abort();
      await events.next().catch(() => {});
      await eventually("the server to let go", () => openLogs(server, job.id) === before);
      await client.call("Cancel", { id: job.id, gracePeriod: "0s" });
    },
  },
  {
    name: "a deadline ends a call and a stream",
    async run(client) {
      const job = jobOf(await client.call("Start", LONG));
      const call = await failure(client.call("Wait", { id: job.id }, { deadlineMs: 200 }));
      expect(call.code).toBe("DEADLINE_EXCEEDED");
      const request = { id: job.id, follow: true };
      const stream = await failure(all(client.stream("Attach", request, { deadlineMs: 200 })));
      expect(stream.code).toBe("DEADLINE_EXCEEDED");
      await client.call("Cancel", { id: job.id, gracePeriod: "0s" });
    },
  },
  {
    name: "a server that shuts down ends streams with UNAVAILABLE, and the job is there afterwards",
    alone: true,
    async run(client, server) {
      // It may still be waiting to come back from the restart before.
      const answer = await eventually("a start", () => client.call("Start", LONG));
      const job = jobOf(answer);
      const stream = client.stream("Attach", { id: job.id, follow: true });
      const events = stream[Symbol.asyncIterator]();
      await events.next();
      const ending = failure(drain(events));
      await server.restart("SIGTERM");
      expect(await ending).toMatchObject({ code: "UNAVAILABLE", reason: "SHUTTING_DOWN" });
      const after = await eventually("an answer", () => client.call("Get", { id: job.id }));
      expect(jobOf(after).status).toBe("STATUS_RUNNING");
      await client.call("Cancel", { id: job.id, gracePeriod: "0s" });
    },
  },
];

async function start(
  client: ConformanceClient,
  script: string,
  more: JsonObject = {},
): Promise<Job> {
  return jobOf(await client.call("Start", { command: "sh", args: ["-c", script], ...more }));
}

async function wait(client: ConformanceClient, id: string): Promise<Job> {
  return jobOf(await client.call("Wait", { id }));
}

function jobOf(answer: JsonObject): Job {
  return answer["job"] as unknown as Job;
}

async function all<T>(stream: AsyncIterable<T>): Promise<T[]> {
  const events: T[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

async function drain(events: AsyncIterator<unknown>): Promise<void> {
  while (!(await events.next()).done);
}

function bytesOf(events: readonly JsonObject[], stream: string): Buffer {
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

async function failure(call: Promise<unknown>): Promise<CallError> {
  const error = await call.then(
    () => new Error("it did not fail"),
    (error: unknown) => error,
  );
  if (error instanceof CallError) return error;
  throw error;
}

async function fails(
  client: ConformanceClient,
  method: Method,
  request: JsonObject,
  code: string,
  reason: string,
  fields: readonly string[] = [],
): Promise<void> {
  const error = await failure(client.call(method, request));
  expect(error, method).toMatchObject({ code, reason, domain: "procman" });
  if (fields.length > 0) expect(error.fields).toEqual(fields);
}

async function streamFails(
  client: ConformanceClient,
  method: Method,
  request: JsonObject,
  code: string,
  reason: string,
): Promise<void> {
  const error = await failure(all(client.stream(method, request)));
  expect(error, method).toMatchObject({ code, reason, domain: "procman" });
}

/** How many of the job's logs the server has open. */
function openLogs(server: TestServer, id: string): number {
  return server.openFiles().filter((path) => path.includes(`/jobs/${id}/`) && path.endsWith(".log"))
    .length;
}
