import { expect, test } from "vitest";
import { JobNames, type NameOptions } from "../../../src/core/job-names.js";
import type { ManagedJob } from "../../../src/core/managed-job.js";
import { deferred } from "../../helpers/deferred.js";

const FAIL: NameOptions = { ifRunning: "fail" };
const RETURN: NameOptions = { ifRunning: "return" };

/** Jobs that have not ended, by their names, and what starts one. */
function setUp() {
  const unended = new Map<string, ManagedJob>();
  const names = new JobNames((name) => unended.get(name));
  let started = 0;
  const start = (name: string) => async () => {
    started += 1;
    const job = { id: `job${started}` } as ManagedJob;
    unended.set(name, job);
    return job;
  };
  return { names, unended, start, startedCount: () => started };
}

const inUse = (jobId: string) =>
  expect.objectContaining({
    reason: "NAME_IN_USE",
    jobId,
    violations: [
      { field: "name", description: `is the name of job ${jobId}, which has not ended` },
    ],
  });

test("jobs without a name are started whatever there is", async () => {
  const { names, start, startedCount } = setUp();
  for (let n = 0; n < 2; n += 1) await names.once(undefined, FAIL, start("web"));
  expect(startedCount()).toBe(2);
});

test("a name is one job's until that has ended", async () => {
  const { names, unended, start } = setUp();
  const first = await names.once("web", FAIL, start("web"));
  await expect(names.once("web", FAIL, start("web"))).rejects.toEqual(inUse(first.id));
  expect(await names.once("web", RETURN, start("web"))).toBe(first);
  expect(await names.once("db", FAIL, start("db"))).not.toBe(first);
  unended.delete("web");
  expect(await names.once("web", RETURN, start("web"))).not.toBe(first);
});

test("of starts at once one is carried out, and the others have its job or its id", async () => {
  const { names, start, startedCount } = setUp();
  const first = names.once("web", FAIL, start("web"));
  const others = [
    names.once("web", RETURN, start("web")),
    names.once("web", FAIL, start("web")).catch((error: unknown) => error),
  ];
  const { id } = await first;
  expect(await Promise.all(others)).toEqual([{ id }, inUse(id)]);
  expect(startedCount()).toBe(1);
});

test("where a start fails, the next one that waited is carried out", async () => {
  const { names, start, startedCount } = setUp();
  const failing = deferred<ManagedJob>();
  const first = names.once("web", FAIL, () => failing.promise);
  const others = [RETURN, RETURN, FAIL].map((options) => names.once("web", options, start("web")));
  const answers = Promise.allSettled(others);
  failing.reject(new Error("no room"));
  await expect(first).rejects.toThrow("no room");
  expect((await answers).map(({ status }) => status)).toEqual([
    "fulfilled",
    "fulfilled",
    "rejected",
  ]);
  expect(startedCount()).toBe(1);
});

test("a job may be started in place of the one that bears the name", async () => {
  const { names, unended, start } = setUp();
  const previous = await names.once("web", FAIL, start("web"));
  const ending = deferred();
  const restarting = names.once("web", { ifRunning: "fail", previous }, async () => {
    await ending.promise;
    return start("web")();
  });
  // The old one is still there to fail for, and not to be returned.
  await expect(names.once("web", FAIL, start("web"))).rejects.toEqual(inUse(previous.id));
  const waiting = names.once("web", RETURN, start("web"));
  unended.delete("web");
  ending.resolve();
  const next = await restarting;
  expect(await waiting).toBe(next);
  const other = { ifRunning: "fail", previous } as const;
  await expect(names.once("web", other, start("web"))).rejects.toEqual(inUse(next.id));
});
