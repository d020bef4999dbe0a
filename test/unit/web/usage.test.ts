import { expect, test } from "vitest";
import { cpuShare, UsageHistory } from "../../../src/web/state/usage.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

const usage = (seconds: number, cpuTimeMs: number) => ({
  cpuTimeMs,
  memoryBytes: 1000 + seconds,
  measuredTime: new Date(seconds * 1000),
});

const job = (seconds: number, cpuTimeMs: number, rest: object = {}) =>
  new FakeProcman().addJob("a", { usage: usage(seconds, cpuTimeMs), ...rest });

test("the share of a processor is what was used between two measurements", () => {
  expect(cpuShare(usage(1, 100), usage(3, 2100))).toBe(1);
  expect(cpuShare(usage(1, 100), usage(2, 100))).toBe(0);
  // A process that has ended takes its time with it where there is no cgroup.
  expect(cpuShare(usage(1, 100), usage(2, 50))).toBe(0);
  expect(cpuShare(undefined, usage(1, 1))).toBeUndefined();
  expect(cpuShare(usage(1, 1), usage(1, 1))).toBeUndefined();
  expect(cpuShare({ measuredTime: new Date(0) }, usage(1, 1))).toBeUndefined();
});

test("a history has each measurement once, while the job runs", () => {
  const history = new UsageHistory();
  expect(history.add(job(1, 0))).toBe(true);
  expect(history.add(job(1, 0))).toBe(false);
  expect(history.add(job(3, 500))).toBe(true);
  expect(history.add(job(4, 900, { status: "completed" }))).toBe(false);
  expect(history.samples).toEqual([
    { timeMs: 1000, memoryBytes: 1001 },
    { timeMs: 3000, cpuShare: 0.25, memoryBytes: 1003 },
  ]);
  expect(history.latest?.cpuShare).toBe(0.25);
});

test("a long history is thinned out", () => {
  const history = new UsageHistory();
  for (let seconds = 1; seconds <= 5000; seconds += 1) history.add(job(seconds, seconds));
  expect(history.samples.length).toBeLessThanOrEqual(1200);
  expect(history.latest?.timeMs).toBe(5_000_000);
});
