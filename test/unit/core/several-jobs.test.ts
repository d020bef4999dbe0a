import { describe, expect, onTestFinished, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { JobResults, JobSelection } from "../../../src/contract/procman.js";
import { deferred } from "../../helpers/deferred.js";
import { eventually } from "../../helpers/eventually.js";
import { endedState, exited, FakePorts } from "./fake-ports.js";
import { someRecord } from "../../helpers/records.js";

/** Jobs a, b and c, of which c has ended; and d, which had ended before. */
async function setUp() {
  const ports = new FakePorts();
  const spec = { id: "d", labels: { team: "ml" }, name: "old" };
  ports.records.set("d", someRecord(endedState(), { sequence: 1, spec }));
  const manager = await ports.open();
  onTestFinished(() => manager.close());
  const ids: Record<string, string> = { d: "d" };
  for (const name of ["a", "b", "c"]) {
    const labels = { team: name === "b" ? "web" : "ml" };
    ids[name] = (await manager.start({ command: "x", name, labels })).id;
  }
  const job = (name: string) => ports.job(ids[name] ?? "");
  job("c").end(0);
  await manager.wait("c");
  /** "a done", "c JOB_NOT_RUNNING" */
  const told = ({ results, doneSize, failedSize }: JobResults) => {
    const failed = results.filter(({ type }) => type === "failed");
    expect([results.length - failed.length, failed.length]).toEqual([doneSize, failedSize]);
    return results.map((result) => {
      const name = Object.keys(ids).find((each) => ids[each] === result.id) ?? result.id;
      return `${name} ${result.type === "done" ? (result.job?.status ?? "done") : result.error.reason}`;
    });
  };
  return { ports, manager, ids, job, told };
}

describe("a selection by filters", () => {
  test.each<[JobSelection, string[]]>([
    [{ all: true }, ["b cancelled", "a cancelled"]],
    [{ labels: { team: "ml" } }, ["a cancelled"]],
    [{ name: "b" }, ["b cancelled"]],
    [{ statuses: ["running"], labels: { team: "web" } }, ["b cancelled"]],
    [{ statuses: ["completed"] }, []],
    [{ labels: { team: "none" } }, []],
  ])("%j cancels those that run", async (selection, expected) => {
    const { manager, told } = await setUp();
    expect(told(await manager.cancelJobs(selection, { gracePeriodMs: 70 }))).toEqual(expected);
  });

  test("signals those that run", async () => {
    const { manager, job, told } = await setUp();
    expect(told(await manager.signalJobs({ all: true }, "HUP"))).toEqual([
      "b running",
      "a running",
    ]);
    for (const name of ["a", "b"]) expect(job(name).process.signal).toHaveBeenCalledWith("HUP");
    expect(job("c").process.signal).not.toHaveBeenCalled();
  });

  test("removes those that have ended, or all once they are cancelled", async () => {
    const { manager, job, told } = await setUp();
    const selection = { labels: { team: "ml" } };
    expect(told(await manager.removeJobs(selection))).toEqual(["c done", "d done"]);
    const options = { cancel: true, gracePeriodMs: 70 };
    expect(told(await manager.removeJobs({ all: true }, options))).toEqual(["b done", "a done"]);
    expect(job("a").process.stop).toHaveBeenCalledWith(70, expect.anything());
    expect((await manager.list()).totalSize).toBe(0);
  });

  test("leaves out a job that has ended by the time it comes to it", async () => {
    const { manager, job, told } = await setUp();
    job("b").observation = exited(3);
    expect(told(await manager.cancelJobs({ all: true }))).toEqual(["a cancelled"]);
    expect((await manager.get("b")).status).toBe("failed");
  });

  test("leaves out a job that another call has removed", async () => {
    const { ports, manager, told } = await setUp();
    const removing = deferred();
    ports.store.remove.mockImplementationOnce(() => removing.promise);
    const calls = [manager.removeJobs({ name: "c" }), manager.removeJobs({ name: "c" })];
    removing.resolve();
    expect((await Promise.all(calls)).flatMap(told)).toEqual(["c done"]);
  });
});

describe("ids", () => {
  test("have a result each, in their order", async () => {
    const { ports, manager, ids, job, told } = await setUp();
    const given = ["c", ids["b"] ?? "", "none", "a", "c"];
    const full = new ProcmanError("DISK_FULL", "no room");
    ports.store.write.mockRejectedValueOnce(full);
    expect(told(await manager.cancelJobs({ ids: given }))).toEqual([
      "c JOB_NOT_RUNNING",
      "b DISK_FULL",
      "none JOB_NOT_FOUND",
      "a cancelled",
    ]);
    const fault = new Error("secret");
    job("b").process.signal.mockRejectedValueOnce(fault);
    const { results } = await manager.signalJobs({ ids: ["b"] }, "HUP");
    expect(results).toMatchObject([{ error: { reason: "INTERNAL", message: "internal error" } }]);
    expect(ports.log.error).toHaveBeenCalledWith(
      { jobId: "b", err: fault },
      "an operation on a job failed",
    );
  });

  test("are no names for a removal, which cancels nothing then", async () => {
    const { manager, ids, job, told } = await setUp();
    const given = { ids: ["a", "none", ids["b"] ?? "", ids["c"] ?? ""] };
    expect(told(await manager.removeJobs(given))).toEqual([
      "a JOB_NOT_FOUND",
      "none JOB_NOT_FOUND",
      "b JOB_RUNNING",
      "c done",
    ]);
    expect(told(await manager.removeJobs({ ids: ["a"] }, { cancel: true }))).toEqual([
      "a JOB_NOT_FOUND",
    ]);
    expect(job("a").process.stop).not.toHaveBeenCalled();
  });
});

test("what is wrong with a call is said of the call", async () => {
  const { manager, job } = await setUp();
  const wrong = (field: string) => ({
    reason: "INVALID_ARGUMENT",
    violations: [expect.objectContaining({ field })],
  });
  for (const selection of [{}, { ids: [] }, { statuses: [], labels: {}, name: "" }]) {
    await expect(manager.cancelJobs(selection)).rejects.toMatchObject(wrong("selection"));
    await expect(manager.removeJobs(selection)).rejects.toMatchObject(wrong("selection"));
  }
  for (const more of [{ all: true }, { name: "a" }, { labels: { a: "b" } }]) {
    const both = { ids: ["a"], ...more };
    await expect(manager.cancelJobs(both)).rejects.toMatchObject(wrong("selection"));
  }
  for (const ids of [[""], Array.from({ length: 10_001 }, (_, n) => `${n}`)]) {
    await expect(manager.signalJobs({ ids }, "HUP")).rejects.toMatchObject(wrong("selection.ids"));
  }
  const all = { all: true };
  await expect(manager.signalJobs(all, "NOPE")).rejects.toMatchObject(wrong("signal"));
  const graceMs = { gracePeriodMs: -1 };
  await expect(manager.cancelJobs(all, graceMs)).rejects.toMatchObject(wrong("grace_period"));
  await expect(manager.removeJobs(all, graceMs)).rejects.toMatchObject(wrong("grace_period"));
  expect(job("a").process.stop).not.toHaveBeenCalled();
});

test("where the caller leaves, what was begun goes on, and nothing else is begun", async () => {
  const { manager, job } = await setUp();
  const ending = deferred();
  job("a").process.stop.mockImplementation(async () => {
    await ending.promise;
    job("a").end(143);
  });
  const leave = new AbortController();
  const calls = [
    manager.cancelJobs({ name: "a" }, { signal: leave.signal }),
    manager.removeJobs({ ids: ["none"] }, { signal: AbortSignal.abort(new Error("left before")) }),
  ];
  const outcomes = Promise.allSettled(calls);
  await eventually("the stop", () => job("a").process.stop.mock.calls.length > 0);
  leave.abort(new Error("left"));
  expect((await outcomes).map((outcome) => outcome.status)).toEqual(["rejected", "rejected"]);
  ending.resolve();
  expect((await manager.wait("a")).status).toBe("cancelled");
});
