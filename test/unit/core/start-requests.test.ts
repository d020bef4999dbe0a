import { expect, test } from "vitest";
import type { ManagedJob } from "../../../src/core/managed-job.js";
import { StartRequests } from "../../../src/core/start-requests.js";
import { type RequestedSpec, requestedSpec } from "../../../src/core/validate.js";
import type { StartOptions } from "../../../src/contract/procman.js";

const spec = (requestId: string, rest: Partial<StartOptions> = {}): RequestedSpec =>
  requestedSpec({ command: "true", requestId, ...rest }, "/");
const someJob = () => ({}) as ManagedJob;

/** Starts jobs, and counts them. */
function starter() {
  const started: ManagedJob[] = [];
  const start = async () => {
    const job = someJob();
    started.push(job);
    return job;
  };
  return { started, start };
}

test("the same id with the same request is one job, also while that is being started", async () => {
  const requests = new StartRequests();
  const { started, start } = starter();
  const jobs = await Promise.all([
    requests.once(spec("r"), start),
    requests.once(spec("r"), start),
  ]);
  jobs.push(await requests.once(spec("r"), start));
  expect(started).toHaveLength(1);
  expect(new Set(jobs)).toEqual(new Set(started));
});

test("other ids, and none, are other jobs", async () => {
  const requests = new StartRequests();
  const { started, start } = starter();
  for (const id of ["", "", "a", "b"]) await requests.once(spec(id), start);
  expect(started).toHaveLength(4);
});

test.each<[string, Partial<StartOptions>]>([
  ["command", { command: "false" }],
  ["arguments", { args: ["x"] }],
  ["environment", { env: { A: "1" } }],
  ["labels", { labels: { a: "1" } }],
  ["time limit", { timeoutMs: 5 }],
  ["terminal", { pty: true }],
])("the same id with another %s is a conflict", async (_, rest) => {
  const requests = new StartRequests();
  const { started, start } = starter();
  await requests.once(spec("r"), start);
  await expect(requests.once(spec("r", rest), start)).rejects.toMatchObject({
    reason: "REQUEST_ID_CONFLICT",
    message: 'request_id "r" was used for another request',
    violations: [{ field: "request_id", description: "was used for another request" }],
  });
  expect(started).toHaveLength(1);
});

test("the same from another window is the same", async () => {
  const requests = new StartRequests();
  const { started, start } = starter();
  for (const rows of [24, 50]) {
    await requests.once(spec("r", { pty: true, windowSize: { rows, columns: 80 } }), start);
  }
  expect(started).toHaveLength(1);
});

test("a start that failed is forgotten, so that it can be tried again", async () => {
  const requests = new StartRequests();
  const failing = requests.once(spec("r"), () => Promise.reject(new Error("no room")));
  await expect(failing).rejects.toThrow("no room");
  const { started, start } = starter();
  await requests.once(spec("r", { args: ["x"] }), start);
  expect(started).toHaveLength(1);
});

test("what an earlier process answered is remembered, until it is forgotten", async () => {
  const requests = new StartRequests();
  const { started, start } = starter();
  const before = someJob();
  // A record has an id besides.
  requests.remember({ ...spec("r"), id: "job1" } as RequestedSpec, before);
  expect(await requests.once(spec("r"), start)).toBe(before);
  requests.forget(spec("r"));
  expect(await requests.once(spec("r"), start)).not.toBe(before);
  expect(started).toHaveLength(1);
});

test("requests without an id are not remembered", async () => {
  const requests = new StartRequests();
  const { start } = starter();
  const before = someJob();
  requests.remember(spec(""), before);
  expect(await requests.once(spec(""), start)).not.toBe(before);
});
