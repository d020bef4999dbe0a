import { expect, test } from "vitest";
import { SharedSync } from "../../../src/platform/durable-file.js";
import { type Deferred, deferred } from "../../helpers/deferred.js";

/** Syncs that end when the test says so. */
function slowSyncs() {
  const begun: Deferred[] = [];
  const shared = new SharedSync("/", () => {
    const sync = deferred();
    begun.push(sync);
    return sync.promise;
  });
  const done: string[] = [];
  const sync = (name: string) =>
    shared.sync().then(
      () => void done.push(name),
      (error: Error) => void done.push(`${name}: ${error.message}`),
    );
  return { begun, done, sync };
}

const turn = () => new Promise(setImmediate);

test("who comes while a path is synced shares the next sync, which begins after it came", async () => {
  const { begun, done, sync } = slowSyncs();
  const all = [sync("a"), sync("b"), sync("c")];
  await turn();
  expect(begun).toHaveLength(1);
  begun[0]!.resolve();
  await turn();
  expect(done).toEqual(["a"]);
  expect(begun).toHaveLength(2);
  // The one that is under way may have begun before this one's name was written.
  all.push(sync("d"));
  begun[1]!.resolve();
  await turn();
  expect(done).toEqual(["a", "b", "c"]);
  expect(begun).toHaveLength(3);
  begun[2]!.resolve();
  await Promise.all(all);
  expect(done).toEqual(["a", "b", "c", "d"]);
});

test("a sync that fails fails those who waited for it, and nobody else", async () => {
  const { begun, done, sync } = slowSyncs();
  const all = [sync("a"), sync("b")];
  await turn();
  begun[0]!.reject(new Error("I/O error"));
  await turn();
  begun[1]!.resolve();
  await Promise.all(all);
  expect(done).toEqual(["a: I/O error", "b"]);
  const last = sync("c");
  begun[2]!.resolve();
  await last;
  expect(done).toContain("c");
});
