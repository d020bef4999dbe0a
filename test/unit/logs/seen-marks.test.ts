import { expect, onTestFinished, test, vi } from "vitest";
import { HISTORY, SeenMarks } from "../../../src/logs/following/seen-marks.js";

/** Both clocks stand still, at 0, until they are set. */
function stopClocks(): (now: number) => void {
  vi.useFakeTimers({ toFake: ["Date", "performance"], now: 0 });
  onTestFinished(() => void vi.useRealTimers());
  return (now) => void vi.advanceTimersByTime(now - Date.now());
}

test("each byte was seen in the first refresh that found it", () => {
  const setClocks = stopClocks();
  const marks = new SeenMarks(10);
  for (const [now, end] of [
    [1, 10],
    [2, 15],
    [3, 15],
    [4, 30],
  ] as const) {
    setClocks(now);
    marks.add(end);
  }
  const orders = [0, 9, 10, 14, 15, 29, 30].map((position) => marks.orderOf(position));
  expect(orders).toEqual([
    HISTORY,
    HISTORY,
    2,
    2,
    4,
    4,
    HISTORY, // not seen at all
  ]);
  expect([9, 10, 29].map((position) => marks.timeOf(position)?.getTime())).toEqual([
    undefined,
    2,
    4,
  ]);
  expect(marks.endOfSeenBefore(0, Number.POSITIVE_INFINITY)).toBe(10);
  expect(marks.endOfSeenBefore(12, 3)).toBe(15);
  expect(marks.endOfSeenBefore(12, 4)).toBe(15);
  expect(marks.endOfSeenBefore(12, 5)).toBe(30);
  // Those seen together with the first come in any case.
  expect(marks.endOfSeenBefore(12, 1)).toBe(15);
  expect(marks.endOfSeenBefore(12, Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
});

test("of very many refreshes the old ones are told apart less finely, never too early", () => {
  const setClocks = stopClocks();
  const marks = new SeenMarks(0);
  const seenAt: number[] = [];
  for (let now = 1; now <= 3000; now += 1) {
    setClocks(now);
    for (let byte = 0; byte < now % 4; byte += 1) seenAt.push(now);
    marks.add(seenAt.length);
  }
  const told = seenAt.map((_, position) => marks.orderOf(position));
  expect(told).toEqual([...told].sort((a, b) => a - b));
  expect(told.every((order, position) => order >= (seenAt[position] as number))).toBe(true);
  // The latest ones are told apart exactly, the others in some way.
  expect(told.slice(-300)).toEqual(seenAt.slice(-300));
  expect(new Set(told).size).toBeGreaterThan(250);
  expect(new Set(told).size).toBeLessThan(600);
});
