import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { RecentObjects } from "../../../src/core/recent-objects.js";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** An object lives at least until the end of the turn in which it was asked for. */
async function collect(): Promise<void> {
  await turn();
  collectGarbage();
  await turn();
}

test("an object that somebody holds is the one of its key; others go, the oldest first", async () => {
  const objects = new RecentObjects<{ name: string }>(2);
  const held = { name: "held" };
  objects.add("held", held);
  for (const name of ["a", "b", "c"]) objects.add(name, { name });
  await collect();
  expect(objects.get("held")).toBe(held);
  // Which has made it one of the last two, with "c".
  await collect();
  expect([...objects.values()].map(({ name }) => name).toSorted()).toEqual(["c", "held"]);
  expect(["a", "b", "c"].map((name) => objects.peek(name)?.name)).toEqual([
    undefined,
    undefined,
    "c",
  ]);
});

test("to be looked at does not count as being asked for", async () => {
  const objects = new RecentObjects<{ name: string }>(1);
  objects.add("a", { name: "a" });
  objects.add("b", { name: "b" });
  objects.peek("a");
  await collect();
  expect([...objects.values()]).toEqual([{ name: "b" }]);
});

test("what was deleted is not found, and its key can be another's", async () => {
  const objects = new RecentObjects<{ name: string }>(2);
  objects.add("a", { name: "first" });
  objects.delete("a");
  expect(objects.get("a")).toBeUndefined();
  objects.add("a", { name: "second" });
  await collect();
  expect(objects.get("a")).toEqual({ name: "second" });
});
