import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { selectParts } from "../../../bench/benchmark-options.js";
import { measureCalls, perSecond } from "../../../bench/callers.js";
import { inTurns } from "../../../bench/in-turns.js";
import { medianRatio, percentile } from "../../../bench/statistics.js";

const OPTIONS = { rounds: 2, isSmoke: false, parts: [] };

test("items are measured in turns, and the first round is not counted", async () => {
  const measured: string[] = [];
  const results = await inTurns(["a", "b"], OPTIONS, async (item) => measured.push(item));
  expect(measured).toEqual(["a", "b", "a", "b", "a", "b"]);
  expect(results).toEqual([
    [3, 5],
    [4, 6],
  ]);
});

test("a smoke run counts the first round", async () => {
  const smoke = { ...OPTIONS, rounds: 1, isSmoke: true };
  expect(await inTurns(["a"], smoke, async (item) => item)).toEqual([["a"]]);
});

test("callers make the calls that were ordered, each one at a time", async () => {
  const underWay = new Set<number>();
  let most = 0;
  const run = await measureCalls({ callers: 3, count: 10 }, async (caller) => {
    expect(underWay.has(caller)).toBe(false);
    underWay.add(caller);
    most = Math.max(most, underWay.size);
    await sleep(2);
    underWay.delete(caller);
  });
  expect(most).toBe(3);
  expect(run.latenciesMs).toHaveLength(10);
  expect(perSecond(run)).toBeCloseTo(10 / run.seconds);
});

test("parts are all of them, or those that were asked for and exist", () => {
  const all = ["ready", "start"] as const;
  expect([...selectParts(all, OPTIONS)]).toEqual(["ready", "start"]);
  expect([...selectParts(all, { ...OPTIONS, parts: ["start"] })]).toEqual(["start"]);
  expect(() => selectParts(all, { ...OPTIONS, parts: ["stop"] })).toThrow(
    "no part stop; there are ready, start",
  );
});

test("ratios are taken round by round", () => {
  // The machine was ten times slower in the second round.
  expect(medianRatio([2, 20, 2], [1, 10, 1])).toBe(2);
  expect(percentile([5, 1, 4, 2, 3], 0.5)).toBe(3);
  expect(percentile([1, 2, 3], 0.99)).toBe(3);
});
