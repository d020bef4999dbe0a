import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import type { Status } from "../../../src/contract/job.js";
import { hadMatched, JobChanges } from "../../../src/core/job-changes.js";

const job = (id: string, status: Status = "running") => ({ id, labels: {}, status });

/** The ids of the changes after a revision, in order. */
function idsAfter(changes: JobChanges, revision: number): string[] {
  const ids = [];
  for (let at = changes.firstAfter(revision); at; at = changes.firstAfter(at.revision)) {
    ids.push(at.history.id);
  }
  return ids;
}

test("revisions grow by one a change, and those before the first change are none", () => {
  const changes = new JobChanges();
  changes.add(job("old"));
  expect(changes.revision).toBe(0);
  expect(changes.firstAfter(0)).toBeUndefined();
  changes.changed(job("a"));
  changes.changed(job("old"));
  changes.removed(job("a"));
  expect(changes.revision).toBe(3);
});

test("of each job the latest change is told, in order", () => {
  const changes = new JobChanges();
  for (const id of ["a", "b", "a", "c", "b"]) changes.changed(job(id));
  expect(idsAfter(changes, 0)).toEqual(["a", "c", "b"]);
  expect(idsAfter(changes, 3)).toEqual(["c", "b"]);
  expect(idsAfter(changes, 4)).toEqual(["b"]);
  expect(idsAfter(changes, 5)).toEqual([]);
  expect(changes.firstAfter(0)?.revision).toBe(3);
});

test("a job that is not known when it is removed was there before the first change", () => {
  const changes = new JobChanges();
  changes.changed(job("b"));
  changes.removed(job("a", "failed"));
  const removal = changes.firstAfter(1);
  expect(removal?.history.statuses).toEqual([
    { revision: 0, status: "failed" },
    { revision: 2, status: undefined },
  ]);
  if (!removal) return;
  expect(hadMatched(removal.history, 1, { statuses: ["failed"] })).toBe(true);
  expect(hadMatched(removal.history, 1, { statuses: ["running"] })).toBe(false);
});

test("a job that comes again under an id that was removed has a history of its own", () => {
  const changes = new JobChanges();
  changes.changed(job("a"));
  changes.removed(job("a"));
  changes.changed(job("a", "failed"));
  expect(changes.firstAfter(2)?.history.statuses).toEqual([{ revision: 3, status: "failed" }]);
});

test("each status a job has had is known, with the revision since when", () => {
  const changes = new JobChanges();
  changes.add(job("a", "pending"));
  changes.changed(job("a"));
  changes.changed(job("a"));
  changes.changed(job("a", "failed"));
  changes.changed(job("a", "failed"));
  changes.removed(job("a"));
  const history = changes.firstAfter(0)?.history;
  expect(history).toMatchObject({
    revision: 5,
    statuses: [
      { revision: 0, status: "pending" },
      { revision: 1, status: "running" },
      { revision: 3, status: "failed" },
      { revision: 5, status: undefined },
    ],
  });
  if (!history) return;
  const was = (revision: number, ...statuses: Status[]) =>
    hadMatched(history, revision, { statuses });
  expect(was(0, "pending")).toBe(true);
  expect(was(0, "running")).toBe(false);
  expect(was(1, "running")).toBe(true);
  expect(was(2, "failed")).toBe(false);
  expect(was(3, "failed")).toBe(true);
  expect(was(4, "cancelled")).toBe(false);
  expect(was(-1, "pending")).toBe(false);
  expect(hadMatched(history, 4, { labels: { team: "x" } })).toBe(false);
});

describe("what is kept", () => {
  test("is bounded: of the removals at least so many", () => {
    const kept = 3;
    const changes = new JobChanges(kept);
    changes.changed(job("stays"));
    const removed = Array.from({ length: 20 }, (_, index) => `j${index}`);
    for (const id of removed) {
      changes.changed(job(id));
      changes.removed(job(id));
      // Whoever has seen the removal before the last `kept` ones can go on.
      const seen = changes.revision - 2 * kept;
      if (seen > 0) expect(changes.covers(seen)).toBe(true);
    }
    expect(changes.covers(0)).toBe(false);
    const first = [...Array(changes.revision).keys()].find((revision) => changes.covers(revision));
    const told = idsAfter(changes, first ?? 0);
    expect(told.slice(-kept)).toEqual(removed.slice(-kept));
    expect(told.length).toBeLessThanOrEqual(2 * (kept + 1));
    // It has not changed since, but nobody may take it to be gone.
    expect(idsAfter(changes, 0)[0]).toBe("stays");
    // What is forgotten is not held either.
    expect(idsAfter(changes, 0).length).toBeLessThanOrEqual(2 * (kept + 1));
  });

  test("is all, while few are removed, however often jobs change", () => {
    const changes = new JobChanges(2);
    for (let i = 0; i < 50; i += 1) changes.changed(job(`j${i % 3}`));
    changes.removed(job("j0"));
    changes.removed(job("j1"));
    for (let i = 0; i < 50; i += 1) changes.changed(job("j2"));
    expect(changes.covers(0)).toBe(true);
    expect(idsAfter(changes, 0)).toEqual(["j0", "j1", "j2"]);
  });

  test("covers no revision that is still to come", () => {
    const changes = new JobChanges();
    changes.changed(job("a"));
    expect([0, 1, 2].map((revision) => changes.covers(revision))).toEqual([true, true, false]);
  });
});

describe("whoever waits for a change", () => {
  const never = new AbortController().signal;

  test("has it at once where it is there already", async () => {
    const changes = new JobChanges();
    changes.changed(job("a"));
    await changes.waitForChange(0, never);
  });

  test("is woken by the next one", async () => {
    const changes = new JobChanges();
    let woken = 0;
    const waiting = [0, 1].map(() => changes.waitForChange(0, never).then(() => (woken += 1)));
    await new Promise(setImmediate);
    expect(woken).toBe(0);
    changes.changed(job("a"));
    await Promise.all(waiting);
    expect(woken).toBe(2);
  });

  test("leaves no listener at its signal", async () => {
    const changes = new JobChanges();
    const { signal } = new AbortController();
    const waiting = changes.waitForChange(0, signal);
    changes.changed(job("a"));
    await waiting;
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("can leave, also before waiting", async () => {
    const changes = new JobChanges();
    const leaving = new AbortController();
    const waiting = changes.waitForChange(0, leaving.signal);
    leaving.abort(new Error("left"));
    await expect(waiting).rejects.toThrow("left");
    await expect(changes.waitForChange(0, leaving.signal)).rejects.toThrow("left");
    changes.changed(job("a"));
    await expect(changes.waitForChange(0, leaving.signal)).rejects.toThrow("left");
  });
});
