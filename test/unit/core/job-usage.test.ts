import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { ProcessUsage } from "../../../src/contract/job.js";
import { hasUsageChanged, JobUsage, usageOf } from "../../../src/core/job-usage.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function measured(first: ProcessUsage) {
  const processes = vi.fn(async () => first);
  const lastOutputTime = vi.fn<() => Date | undefined>(() => undefined);
  return { processes, lastOutputTime, usage: new JobUsage({ processes, lastOutputTime }) };
}

test("a job is measured once a second, however many ask", async () => {
  const { processes, usage } = measured({ cpuTimeMs: 1 });
  const [one, other] = await Promise.all([usage.read(), usage.read()]);
  expect(one).toEqual({ cpuTimeMs: 1, measuredTime: new Date() });
  expect(other).toBe(one);
  vi.advanceTimersByTime(500);
  expect(await usage.read()).toBe(one);
  expect(processes).toHaveBeenCalledTimes(1);
  vi.advanceTimersByTime(500);
  processes.mockResolvedValue({ cpuTimeMs: 2 });
  expect(await usage.read()).toEqual({ cpuTimeMs: 2, measuredTime: new Date() });
});

test("where it cannot be measured, what was known is told", async () => {
  const { processes, lastOutputTime, usage } = measured({ cpuTimeMs: 1 });
  processes.mockRejectedValueOnce(new Error("no descriptors"));
  expect(await usage.read()).toBeUndefined();
  vi.advanceTimersByTime(1000);
  lastOutputTime.mockReturnValue(new Date(5));
  const known = await usage.read();
  expect(known).toEqual({ cpuTimeMs: 1, lastOutputTime: new Date(5), measuredTime: new Date() });
  vi.advanceTimersByTime(1000);
  processes.mockRejectedValueOnce(new Error("no descriptors"));
  expect(await usage.read()).toBe(known);
});

test("a later measurement alone is no change", () => {
  const before = usageOf({ cpuTimeMs: 1 }, undefined);
  vi.advanceTimersByTime(1000);
  expect(hasUsageChanged(before, usageOf({ cpuTimeMs: 1 }, undefined))).toBe(false);
  expect(hasUsageChanged(before, usageOf({ cpuTimeMs: 2 }, undefined))).toBe(true);
  expect(hasUsageChanged(before, usageOf({ cpuTimeMs: 1 }, new Date()))).toBe(true);
  expect(hasUsageChanged(undefined, before)).toBe(true);
  expect(hasUsageChanged(undefined, undefined)).toBe(false);
});
