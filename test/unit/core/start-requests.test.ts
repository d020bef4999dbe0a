import { expect, test } from "vitest";
import type { ManagedJob } from "../../../src/core/managed-job.js";
import { StartRequests } from "../../../src/core/start-requests.js";
import { type RequestedSpec, requestedSpec } from "../../../src/core/validate.js";
import type { StartOptions } from "../../../src/contract/procman.js";

const spec = (requestId: string, rest: Partial<StartOptions> = {}): RequestedSpec =>
  requestedSpec({ command: "true", requestId, ...rest }, "/");

/** Starts jobs, counts them, and finds them again. */
function starter() {
  const started: ManagedJob[] = [];
  const jobs = new Map<string, ManagedJob>();
  const add = (spec: RequestedSpec) => {
    const id = `job${jobs.size + 1}`;
    const job = { id, record: { spec: { ...spec, id } } } as ManagedJob;
    jobs.set(id, job);
    return job;
  };
  const requests = new StartRequests((id) => jobs.get(id));
  const once = (spec: RequestedSpec) =>
    requests.once(spec, async () => {
      const job = add(spec);
      started.push(job);
      return job;
    });
  return { requests, started, jobs, add, once };
}

test("the same id with the same request is one job, also while that is being started", async () => {
  const { started, once } = starter();
  const jobs = await Promise.all([once(spec("r")), once(spec("r"))]);
  jobs.push(await once(spec("r")));
  expect(started).toHaveLength(1);
  expect(new Set(jobs)).toEqual(new Set(started));
});

test("other ids, and none, are other jobs", async () => {
  const { started, once } = starter();
  for (const id of ["", "", "a", "b"]) await once(spec(id));
  expect(started).toHaveLength(4);
});

test.each<[string, Partial<StartOptions>]>([
  ["command", { command: "false" }],
  ["arguments", { args: ["x"] }],
  ["environment", { env: { A: "1" } }],
  ["labels", { labels: { a: "1" } }],
  ["time limit", { timeoutMs: 5 }],
  ["terminal", { pty: true }],
])(
  "the same id with another %s is a conflict, also while that is being started",
  async (_, rest) => {
    const { started, once } = starter();
    const conflict = {
      reason: "REQUEST_ID_CONFLICT",
      message: 'request_id "r" was used for another request',
      violations: [{ field: "request_id", description: "was used for another request" }],
    };
    const first = once(spec("r"));
    await expect(once(spec("r", rest))).rejects.toMatchObject(conflict);
    await first;
    await expect(once(spec("r", rest))).rejects.toMatchObject(conflict);
    expect(started).toHaveLength(1);
  },
);

test("the same from another window is the same", async () => {
  const { started, once } = starter();
  for (const rows of [24, 50]) {
    await once(spec("r", { pty: true, windowSize: { rows, columns: 80 } }));
  }
  expect(started).toHaveLength(1);
});

test("a start that failed is forgotten, so that it can be tried again", async () => {
  const { requests, started, once } = starter();
  const failing = requests.once(spec("r"), () => Promise.reject(new Error("no room")));
  await expect(failing).rejects.toThrow("no room");
  await once(spec("r", { args: ["x"] }));
  expect(started).toHaveLength(1);
});

test("what an earlier process answered is remembered, until it is forgotten", async () => {
  const { requests, started, add, once } = starter();
  const before = add(spec("r"));
  requests.remember("r", before.id);
  expect(await once(spec("r"))).toBe(before);
  requests.forget("r");
  expect(await once(spec("r"))).not.toBe(before);
  expect(started).toHaveLength(1);
});

test("a job that is gone is started anew", async () => {
  const { requests, started, jobs, add, once } = starter();
  const before = add(spec("r"));
  requests.remember("r", before.id);
  jobs.delete(before.id);
  expect(await once(spec("r"))).not.toBe(before);
  expect(started).toHaveLength(1);
});

test("requests without an id are not remembered", async () => {
  const { requests, add, once } = starter();
  const before = add(spec(""));
  requests.remember("", before.id);
  expect(await once(spec(""))).not.toBe(before);
});
