import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Ticker } from "../../../src/platform/ticker.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test("one timer calls all that listen, from the first to the last", () => {
  const ticker = new Ticker(100);
  const calls: string[] = [];
  const stopA = ticker.add(() => calls.push("a"));
  vi.advanceTimersByTime(250);
  const stopB = ticker.add(() => calls.push("b"));
  expect(vi.getTimerCount()).toBe(1);
  vi.advanceTimersByTime(50);
  expect(calls).toEqual(["a", "a", "a", "b"]);
  stopA();
  stopA();
  vi.advanceTimersByTime(100);
  expect(calls).toEqual(["a", "a", "a", "b", "b"]);
  stopB();
  expect(vi.getTimerCount()).toBe(0);
  const stopC = ticker.add(() => calls.push("c"));
  vi.advanceTimersByTime(100);
  stopC();
  expect(calls.at(-1)).toBe("c");
});

test("one that stops in a tick is not called again in it", () => {
  const ticker = new Ticker(100);
  const calls: string[] = [];
  const stopA = ticker.add(() => {
    calls.push("a");
    stopB();
  });
  const stopB = ticker.add(() => calls.push("b"));
  vi.advanceTimersByTime(200);
  stopA();
  expect(calls).toEqual(["a", "a"]);
});

test("an interval beyond what a timer takes does not come at once", () => {
  const onTick = vi.fn();
  const stop = new Ticker(2 ** 31).add(onTick);
  vi.advanceTimersByTime(2 ** 31 - 2);
  expect(onTick).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(onTick).toHaveBeenCalledOnce();
  stop();
});

test("the process is kept alive while one of them wants that", () => {
  const setInterval = vi.spyOn(globalThis, "setInterval");
  const ticker = new Ticker(100);
  const stopQuiet = ticker.add(() => {}, { keepsAlive: false });
  const timer = setInterval.mock.results[0]?.value as NodeJS.Timeout;
  expect(timer.hasRef()).toBe(false);
  const stopKeeping = ticker.add(() => {});
  expect(timer.hasRef()).toBe(true);
  stopKeeping();
  stopKeeping();
  expect(timer.hasRef()).toBe(false);
  const stopOther = ticker.add(() => {});
  stopQuiet();
  expect(timer.hasRef()).toBe(true);
  stopOther();
  setInterval.mockRestore();
});
