import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { silentLog } from "../../../src/contract/log.js";
import type { EndedJob } from "../../../src/core/ended-jobs.js";
import { JobRetention, type RetentionLimits } from "../../../src/core/job-retention.js";
import { removeEnded } from "../../../src/core/remove-ended.js";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const DAY_MS = 86_400_000;

beforeEach(() => {
  vi.useFakeTimers({ now: NOW, toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Jobs on a disk, and who reads them. */
class Disk {
  readonly sizes = new Map<string, number>();
  readonly running = new Set<string>();
  readonly read = new Set<string>();
  readonly removed: string[] = [];
  /** How often the size of a job's logs was asked for. */
  looks = 0;
  readonly closing = new AbortController();
  readonly retention: JobRetention;
  failure: Error | undefined;

  constructor(limits: Partial<RetentionLimits>) {
    this.retention = new JobRetention({
      limits: { ageMs: undefined, bytes: undefined, ...limits },
      logBytes: (id) => {
        this.looks += 1;
        return this.sizes.get(id) ?? 0;
      },
      unendedIds: () => this.running,
      isRead: (id) => this.read.has(id),
      remove: (jobs) => removeEnded(jobs, (id) => this.#remove(id)),
      log: silentLog,
      closing: this.closing.signal,
    });
  }

  /** A job that ended so long ago, with logs of that size. */
  job(id: string, agoMs: number, bytes = 0): EndedJob {
    this.sizes.set(id, bytes);
    return {
      id,
      sequence: 1,
      requestId: "",
      status: "completed",
      labels: {},
      completedMs: Date.now() - agoMs,
      seenEndMs: undefined,
    };
  }

  async #remove(id: string): Promise<void> {
    if (this.failure) throw this.failure;
    this.sizes.delete(id);
    this.removed.push(id);
    this.retention.removed(id);
  }

  /** Lets time pass, and what it brings about. */
  async pass(ms: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms);
    await new Promise((resolve) => setImmediate(resolve));
    await this.retention.close();
  }
}

async function opened(limits: Partial<RetentionLimits>, jobs: (disk: Disk) => EndedJob[]) {
  const disk = new Disk(limits);
  disk.retention.open(jobs(disk));
  await disk.retention.close();
  await disk.pass(1);
  return disk;
}

describe("by age", () => {
  test("those that were old enough go at once, others when they are", async () => {
    const disk = await opened({ ageMs: DAY_MS }, (disk) => [
      disk.job("young", 1000),
      disk.job("old", 2 * DAY_MS),
      disk.job("soon", DAY_MS - 5000),
    ]);
    expect(disk.removed).toEqual(["old"]);
    await disk.pass(4000);
    expect(disk.removed).toEqual(["old"]);
    await disk.pass(2000);
    expect(disk.removed).toEqual(["old", "soon"]);
    await disk.pass(DAY_MS);
    expect(disk.removed).toEqual(["old", "soon", "young"]);
    expect(disk.looks).toBe(0);
  });

  test("one that is read is left until it is not", async () => {
    const disk = await opened({ ageMs: DAY_MS }, (disk) => {
      disk.read.add("read");
      return [disk.job("read", 2 * DAY_MS), disk.job("other", 2 * DAY_MS)];
    });
    expect(disk.removed).toEqual(["other"]);
    disk.read.clear();
    await disk.pass(60_000);
    expect(disk.removed).toEqual(["other", "read"]);
  });

  test("one whose end lies in the future, by a clock that was wrong, holds up no other", async () => {
    const disk = await opened({ ageMs: DAY_MS }, (disk) => [disk.job("wrong", 0)]);
    disk.retention.ended(disk.job("old", 2 * DAY_MS));
    await disk.pass(1000);
    expect(disk.removed).toEqual(["old"]);
  });
});

describe("by bytes", () => {
  test("the ones that ended first go, until the rest fits", async () => {
    const disk = await opened({ bytes: 100 }, (disk) => [
      disk.job("c", 1000, 60),
      disk.job("a", 3000, 60),
      disk.job("b", 2000, 60),
    ]);
    expect(disk.removed).toEqual(["a", "b"]);
    await disk.pass(10 * DAY_MS);
    expect(disk.removed).toEqual(["a", "b"]);
  });

  test("logs of jobs that run count, and are never removed", async () => {
    const disk = await opened({ bytes: 100 }, (disk) => [disk.job("a", 1000, 60)]);
    expect(disk.removed).toEqual([]);
    disk.running.add("run");
    disk.sizes.set("run", 200);
    await disk.pass(60_000);
    expect(disk.removed).toEqual(["a"]);
    await disk.pass(60_000);
    expect(disk.removed).toEqual(["a"]);
  });

  test("a job that ends is looked at a second later, and only its own logs", async () => {
    const disk = await opened({ bytes: 1000 }, (disk) =>
      Array.from({ length: 500 }, (_, index) => disk.job(`j${index}`, 1000 - index, 2)),
    );
    expect(disk.looks).toBe(500);
    disk.retention.ended(disk.job("new", 0, 3));
    await disk.pass(1000);
    expect(disk.removed).toEqual(["j0", "j1"]);
    expect(disk.looks).toBe(501);
  });

  test("a job whose logs were trimmed, or that was removed, counts as it is now", async () => {
    const disk = await opened({ bytes: 100 }, (disk) => [
      disk.job("a", 3000, 50),
      disk.job("b", 2000, 50),
    ]);
    const trimmed = disk.job("b", 2000, 20);
    disk.retention.ended(trimmed);
    disk.retention.ended(disk.job("c", 0, 30));
    await disk.pass(1000);
    expect(disk.removed).toEqual([]);
    disk.retention.removed("a");
    disk.retention.ended(disk.job("d", 0, 50));
    await disk.pass(1000);
    expect(disk.removed).toEqual([]);
  });
});

test("what cannot be removed is tried again, a minute later", async () => {
  const disk = new Disk({ ageMs: DAY_MS });
  disk.failure = new Error("the disk is read-only");
  disk.retention.open([disk.job("old", 2 * DAY_MS)]);
  await disk.retention.close();
  await disk.pass(1);
  disk.failure = undefined;
  await disk.pass(59_000);
  expect(disk.removed).toEqual([]);
  await disk.pass(1000);
  expect(disk.removed).toEqual(["old"]);
});

test("nothing is removed once it closes", async () => {
  const disk = await opened({ ageMs: DAY_MS }, (disk) => [disk.job("soon", DAY_MS - 1000)]);
  disk.closing.abort();
  await disk.pass(60_000);
  disk.retention.ended(disk.job("old", 2 * DAY_MS));
  await disk.pass(60_000);
  expect(disk.removed).toEqual([]);
});
