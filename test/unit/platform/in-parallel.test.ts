import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { inParallel } from "../../../src/platform/in-parallel.js";

test("as many as asked for are under way, and the results keep the items' order", async () => {
  let underWay = 0;
  const seen: number[] = [];
  const results = await inParallel([5, 1, 4, 2, 3], 2, async (ms) => {
    underWay += 1;
    seen.push(underWay);
    await sleep(ms * 5);
    underWay -= 1;
    return ms * 10;
  });
  expect(results).toEqual([50, 10, 40, 20, 30]);
  expect(Math.max(...seen)).toBe(2);
});

test.each([0, 1, 3])("all of %i items are done, however many at a time", async (count) => {
  const items = Array.from({ length: count }, (_, index) => index);
  expect(await inParallel(items, 32, async (item) => item)).toEqual(items);
});

test("once one has failed no other is begun", async () => {
  const begun: number[] = [];
  const doing = inParallel([0, 1, 2, 3, 4, 5], 2, async (item) => {
    begun.push(item);
    if (item === 1) throw new Error("item 1");
    await sleep(10);
  });
  await expect(doing).rejects.toThrow("item 1");
  await sleep(30);
  expect(begun).toEqual([0, 1]);
});
