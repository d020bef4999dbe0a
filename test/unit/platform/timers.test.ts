import { getEventListeners } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createDeadline, sleep, startTimer } from "../../../src/platform/timers.js";

/** Beyond it Node's own timers, and the fake ones, fire at once. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test.each([1, MAX_TIMEOUT_MS, MAX_TIMEOUT_MS + 1, 5 * MAX_TIMEOUT_MS + 7])(
  "calls back after %i ms, once and no sooner",
  (delayMs) => {
    let calls = 0;
    startTimer(delayMs, () => {
      calls += 1;
    });
    vi.advanceTimersByTime(delayMs - 1);
    expect(calls).toBe(0);
    vi.advanceTimersByTime(1);
    expect(calls).toBe(1);
    vi.advanceTimersByTime(MAX_TIMEOUT_MS);
    expect(calls).toBe(1);
  },
);

test.each([0, MAX_TIMEOUT_MS, 2 * MAX_TIMEOUT_MS + 1])(
  "can be cancelled when %i ms have passed",
  (elapsedMs) => {
    const onElapsed = vi.fn();
    const cancel = startTimer(3 * MAX_TIMEOUT_MS, onElapsed);
    vi.advanceTimersByTime(elapsedMs);
    cancel();
    vi.advanceTimersByTime(4 * MAX_TIMEOUT_MS);
    expect(onElapsed).not.toHaveBeenCalled();
  },
);

test.each([true, false])("keeps the process alive through all steps: %s", (keepsAlive) => {
  const setTimeout = vi.spyOn(globalThis, "setTimeout");
  const cancel = startTimer(2 * MAX_TIMEOUT_MS, () => {}, { keepsAlive });
  vi.advanceTimersByTime(MAX_TIMEOUT_MS);
  const timers = setTimeout.mock.results.map(({ value }) => value as NodeJS.Timeout);
  expect(timers.map((timer) => timer.hasRef())).toEqual([keepsAlive, keepsAlive]);
  cancel();
  setTimeout.mockRestore();
});

test("what is late already is called back for at once", () => {
  const onElapsed = vi.fn();
  startTimer(-5, onElapsed);
  vi.advanceTimersByTime(1);
  expect(onElapsed).toHaveBeenCalledOnce();
});

test("a deadline is aborted when its time has passed, unless it was cancelled", () => {
  const kept = createDeadline(MAX_TIMEOUT_MS + 10);
  const cancelled = createDeadline(10);
  cancelled.cancel();
  vi.advanceTimersByTime(MAX_TIMEOUT_MS + 9);
  expect(kept.signal.aborted).toBe(false);
  vi.advanceTimersByTime(1);
  expect([kept.signal.aborted, cancelled.signal.aborted]).toEqual([true, false]);
});

test("sleep is over after its time, or with any of the signals, and leaves nothing behind", async () => {
  const controller = new AbortController();
  const { signal } = controller;
  const woken: string[] = [];
  const slept = [
    sleep(10, undefined, signal).then(() => woken.push("time")),
    sleep(3 * MAX_TIMEOUT_MS, signal).then(() => woken.push("signal")),
  ];
  await vi.advanceTimersByTimeAsync(10);
  expect(woken).toEqual(["time"]);
  expect(getEventListeners(signal, "abort")).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(MAX_TIMEOUT_MS + 1);
  expect(woken).toEqual(["time"]);
  controller.abort();
  await Promise.all(slept);
  expect(woken).toEqual(["time", "signal"]);
  await sleep(10, signal);
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});
