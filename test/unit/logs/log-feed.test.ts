import { mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { type FeedReader, LogFeed, type WatchTrust } from "../../../src/logs/following/log-feed.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import type { Ticker } from "../../../src/platform/ticker.js";
import { fileOperationsDone } from "./event-loop-turn.js";
import { JobLogs } from "./job-logs.js";

interface FakeWatch {
  readonly path: string;
  readonly onChange: () => void;
  readonly onLost: () => void;
  isOpen: boolean;
}

class Reader implements FeedReader {
  position = 0;
  woken = 0;
  wake: (() => void) | undefined;

  waits(): void {
    this.wake = () => {
      this.woken += 1;
    };
  }
}

/** The feed of a job's stdout; the test plays the kernel's watches, and the ticks. */
class Followed {
  readonly watches: FakeWatch[] = [];
  readonly trust: WatchTrust = { earned: false };
  closed = 0;
  tick = () => {};
  /** Called while a watch is being set. */
  onWatch = (_path: string) => {};
  readonly feed: LogFeed;
  readonly logs: JobLogs;

  constructor(logs = JobLogs.started()) {
    this.logs = logs;
    const ticker = {
      add: (onTick: () => void) => {
        this.tick = onTick;
        return () => {
          this.tick = () => {};
        };
      },
    };
    this.feed = new LogFeed({
      path: logs.path("stdout"),
      start: { firstOffset: 0 },
      watch: (path, onChange, onLost) => {
        const watch = { path, onChange, onLost, isOpen: true };
        this.watches.push(watch);
        this.onWatch(path);
        return {
          close: () => {
            watch.isOpen = false;
          },
        };
      },
      trust: this.trust,
      ticker: ticker as unknown as Ticker,
      onClosed: () => {
        this.closed += 1;
      },
    });
  }

  reader(): Reader {
    const reader = new Reader();
    this.feed.join(reader);
    onTestFinished(() => this.feed.leave(reader));
    return reader;
  }

  append(text: string): void {
    this.logs.append("stdout", text);
  }

  get openWatches(): string[] {
    return this.watches.filter(({ isOpen }) => isOpen).map(({ path }) => path);
  }
}

describe("a refresh", () => {
  test("misses nothing that is written at the moment the watch is set", async () => {
    const followed = new Followed();
    followed.reader();
    followed.onWatch = () => followed.append("at that moment");
    await followed.feed.refresh();
    expect(followed.feed.size).toBe(14);
  });

  test("misses no log that comes at the moment its directory is watched", async () => {
    const followed = new Followed(new JobLogs());
    const { feed, logs } = followed;
    followed.reader();
    followed.onWatch = (path) => {
      if (path === logs.dir.path) followed.append("at that moment");
    };
    await feed.refresh();
    expect(feed.size).toBe(14);
    expect(followed.openWatches).toEqual([logs.path("stdout")]);
  });

  test("that is asked for during another one is one more, for all who ask then", async () => {
    const followed = new Followed();
    const { feed } = followed;
    followed.reader();
    const first = feed.refresh();
    const second = feed.refresh();
    expect(second).not.toBe(first);
    expect(feed.refresh()).toBe(second);
    await second;
    expect(feed.stale).toBe(false);
  });

  test("is one more also where the one before it fails", async () => {
    const followed = new Followed(new JobLogs());
    const { feed, logs } = followed;
    const reader = followed.reader();
    reader.waits();
    symlinkSync("stdout.log", logs.path("stdout"));
    const first = feed.refresh();
    const mended = first.catch((error: Error) => {
      rmSync(logs.path("stdout"));
      writeFileSync(logs.path("stdout"), "mended");
      return error;
    });
    const second = feed.refresh();
    expect(await mended).toMatchObject({ cause: { code: "ELOOP" } });
    // Who waits is to refresh, and to get the error.
    expect(reader.woken).toBe(1);
    await second;
    expect(feed.size).toBe(6);
  });

  test("that has failed leaves the feed stale", async () => {
    const followed = new Followed(new JobLogs());
    const { feed, logs } = followed;
    followed.reader();
    symlinkSync("stdout.log", logs.path("stdout"));
    await expect(feed.refresh()).rejects.toMatchObject({ cause: { code: "ELOOP" } });
    expect(feed.stale).toBe(true);
  });

  test("during which something changes leaves the feed stale", async () => {
    const followed = new Followed();
    followed.reader();
    await followed.feed.refresh();
    const refreshing = followed.feed.refresh();
    followed.watches[0]?.onChange();
    await refreshing;
    expect(followed.feed.stale).toBe(true);
  });

  test("wakes those who wait at another place than the log's end", async () => {
    const followed = new Followed();
    const [before, at, beyond, busy] = [0, 5, 9, 0].map((position) => {
      const reader = followed.reader();
      reader.position = position;
      return reader;
    }) as [Reader, Reader, Reader, Reader];
    for (const reader of [before, at, beyond]) reader.waits();
    followed.append("01234");
    await followed.feed.refresh();
    expect([before, at, beyond, busy].map(({ woken }) => woken)).toEqual([1, 0, 1, 0]);
  });
});

describe("a change", () => {
  test("is read if somebody waits, and else by whoever needs to know", async () => {
    const followed = new Followed();
    const { feed } = followed;
    const reader = followed.reader();
    await feed.refresh();
    followed.append("more");
    followed.watches[0]?.onChange();
    await fileOperationsDone();
    expect([feed.size, feed.stale]).toEqual([0, true]);
    reader.waits();
    followed.watches[0]?.onChange();
    await fileOperationsDone();
    expect([feed.size, feed.stale, reader.woken]).toEqual([4, false, 1]);
  });

  test("is polled for at each tick while only the directory is watched", async () => {
    const followed = new Followed(new JobLogs());
    followed.trust.earned = true;
    const reader = followed.reader();
    await followed.feed.refresh();
    reader.waits();
    followed.append("there");
    followed.tick();
    await fileOperationsDone();
    expect(reader.woken).toBe(1);
  });

  test("is polled for at each tenth tick where the kernel reports changes", async () => {
    const followed = new Followed();
    const reader = followed.reader();
    await followed.feed.refresh();
    followed.watches[0]?.onChange();
    expect(followed.trust.earned).toBe(true);
    await followed.feed.refresh();
    reader.waits();
    followed.append("not reported");
    for (let tick = 1; tick < 10; tick += 1) followed.tick();
    await fileOperationsDone();
    expect(reader.woken).toBe(0);
    followed.tick();
    await fileOperationsDone();
    expect(reader.woken).toBe(1);
    expect(followed.trust.earned).toBe(true);
    // Only the poll has found that it grew.
    followed.tick();
    expect(followed.trust.earned).toBe(false);
  });

  test("that the kernel reports keeps its trust, as does silence about nothing", async () => {
    const followed = new Followed();
    followed.reader();
    await followed.feed.refresh();
    for (let round = 0; round < 3; round += 1) {
      followed.append("reported");
      followed.watches[0]?.onChange();
      await followed.feed.refresh();
      followed.tick();
      followed.tick();
      expect(followed.trust.earned).toBe(true);
    }
  });
});

describe("a watch that was lost", () => {
  test.each([
    ["of the log", () => JobLogs.started()],
    ["of the directory", () => new JobLogs()],
  ])("%s is replaced by the next refresh", async (_, newLogs) => {
    const followed = new Followed(newLogs());
    followed.reader();
    await followed.feed.refresh();
    await followed.feed.refresh();
    expect(followed.watches).toHaveLength(1);
    followed.watches[0]?.onLost();
    await followed.feed.refresh();
    expect(followed.watches).toHaveLength(2);
    expect(followed.watches[1]?.path).toBe(followed.watches[0]?.path);
  });
});

describe("the end of a feed", () => {
  test("comes with the last reader's leaving, once", async () => {
    const followed = new Followed();
    const { feed } = followed;
    const [first, last] = [followed.reader(), followed.reader()];
    await feed.refresh();
    feed.leave(first);
    feed.leave(first);
    expect([followed.closed, followed.openWatches.length]).toEqual([0, 1]);
    feed.leave(last);
    feed.leave(last);
    expect([followed.closed, followed.openWatches.length]).toEqual([1, 0]);
  });

  test.each([
    ["a log that is there", () => JobLogs.started()],
    ["a log that is not there", () => new JobLogs()],
  ])("during a refresh of %s leaves no watch behind", async (_, newLogs) => {
    const followed = new Followed(newLogs());
    const reader = followed.reader();
    const refreshing = followed.feed.refresh();
    followed.feed.leave(reader);
    await refreshing;
    expect(followed.openWatches).toEqual([]);
  });

  test("while a lost watch is being replaced leaves none behind", async () => {
    const followed = new Followed();
    const reader = followed.reader();
    await followed.feed.refresh();
    followed.watches[0]?.onLost();
    const refreshing = followed.feed.refresh();
    followed.feed.leave(reader);
    await refreshing;
    expect(followed.watches).toHaveLength(1);
  });
});

describe("what is read", () => {
  /** The memory that holds the bytes from a position. */
  async function memoryOf(feed: LogFeed, position: number): Promise<ArrayBufferLike> {
    return (await feed.read(position)).data.buffer;
  }

  async function longLog(readers: number): Promise<LogFeed> {
    const followed = new Followed();
    for (let i = 0; i < readers; i += 1) followed.reader();
    followed.append("x".repeat(3 * CHUNK_BYTES));
    await followed.feed.refresh();
    return followed.feed;
  }

  test("by several is shared: the last two blocks, which those behind do not push out", async () => {
    const feed = await longLog(2);
    const memory: ArrayBufferLike[] = [];
    for (const block of [0, 1, 2]) memory.push(await memoryOf(feed, block * CHUNK_BYTES));
    expect(await memoryOf(feed, 0)).not.toBe(memory[0]);
    expect(await memoryOf(feed, CHUNK_BYTES)).toBe(memory[1]);
    expect(await memoryOf(feed, 2 * CHUNK_BYTES)).toBe(memory[2]);
  });

  test("by one alone is its own until it is at the end of the log", async () => {
    const feed = await longLog(1);
    expect(await memoryOf(feed, 0)).not.toBe(await memoryOf(feed, 0));
    const atEnd = await memoryOf(feed, 2 * CHUNK_BYTES);
    expect(await memoryOf(feed, 2 * CHUNK_BYTES)).toBe(atEnd);
  });

  test("without success is read again by the next one", async () => {
    const logs = new JobLogs();
    mkdirSync(logs.path("stdout"));
    const followed = new Followed(logs);
    followed.reader();
    await followed.feed.refresh();
    const errors = [];
    for (let i = 0; i < 2; i += 1)
      errors.push(await followed.feed.read(0).catch((e: unknown) => e));
    expect(errors[0]).toMatchObject({ cause: { code: "EISDIR" } });
    expect(errors[1]).toMatchObject({ cause: { code: "EISDIR" } });
    expect(errors[1]).not.toBe(errors[0]);
  });
});
