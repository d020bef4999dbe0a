import { truncateSync } from "node:fs";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { LogFeeds } from "../../../src/logs/following/log-feeds.js";
import { HISTORY } from "../../../src/logs/following/seen-marks.js";
import {
  FollowCursor,
  type LogCursor,
  SnapshotCursor,
} from "../../../src/logs/reading/log-cursor.js";
import {
  CHUNK_BYTES,
  type LogStart,
  TRANSIENT_CHUNK_BYTES,
} from "../../../src/logs/reading/log-file.js";
import { MIN_QUICK_BYTES } from "../../../src/logs/reading/transient-memory.js";
import { withHeadroom } from "../../../src/platform/headroom.js";
import { JobLogs } from "./job-logs.js";
import { NO_POLLING } from "./new-output.js";

const FOREVER = Number.POSITIVE_INFINITY;
const TIB = 1024 ** 4;

/** A job's stdout, and cursors of it. Only a refresh, or `notice`, tells them of a change. */
class Log {
  notice = () => {};
  readonly logs = JobLogs.started();
  readonly start: { firstOffset: number } & LogStart = { firstOffset: 0 };
  readonly feeds = new LogFeeds({
    ...NO_POLLING,
    watch: (_path, onChange) => {
      this.notice = onChange;
      return { close: () => {} };
    },
  });

  snapshot(position = 0, transientData = false): SnapshotCursor {
    const options = this.#options(position, transientData);
    return this.#closed(new SnapshotCursor(this.logs.dir, options));
  }

  follower(position = 0, transientData = false): FollowCursor {
    const options = this.#options(position, transientData);
    return this.#closed(new FollowCursor(this.feeds, this.logs.dir, options));
  }

  append(text: string): void {
    this.logs.append("stdout", text);
  }

  /** Makes the log so long, without taking disk space. */
  extend(size: number): void {
    truncateSync(this.logs.path("stdout"), size);
  }

  #options(position: number, transientData: boolean) {
    return { stream: "stdout", start: this.start, position, transientData } as const;
  }

  #closed<Cursor extends LogCursor>(cursor: Cursor): Cursor {
    onTestFinished(() => cursor.close());
    return cursor;
  }
}

async function textOf(cursor: LogCursor, beforeMs = FOREVER): Promise<string | undefined> {
  const chunk = await cursor.next(beforeMs);
  return chunk && Buffer.from(chunk.data).toString();
}

describe.each(["snapshot", "follower"] as const)("a %s", (kind) => {
  test("passes over what a log limit has removed, without reading it", async () => {
    const log = new Log();
    const cursor = log[kind]();
    log.extend(TIB);
    log.append("the rest");
    await cursor.open();
    log.start.firstOffset = TIB;
    expect(await cursor.next(FOREVER)).toMatchObject({ offset: TIB });
    expect(cursor.order).toBeUndefined();
    expect(await cursor.next(FOREVER)).toBeUndefined();
  });

  test("that was passed by the start of its log, to the very end, has nothing to read", async () => {
    const log = new Log();
    const cursor = log[kind]();
    log.append("0123456789");
    await cursor.open();
    log.start.firstOffset = 10;
    expect(await cursor.next(FOREVER)).toBeUndefined();
    log.append("more");
    await cursor.refresh();
    expect(await textOf(cursor)).toBe(kind === "snapshot" ? undefined : "more");
  });

  test("begins at any offset up to the end of its log, and at none beyond", async () => {
    const log = new Log();
    log.append("0123456789");
    const last = log[kind](9);
    await last.open();
    expect(await textOf(last)).toBe("9");
    await expect(log[kind](10).open()).resolves.toBeUndefined();
    await expect(log[kind](11).open()).rejects.toMatchObject({ reason: "OFFSET_OUT_OF_RANGE" });
  });

  test("says so where somebody has cut its log short, and is not silent", async () => {
    const log = new Log();
    log.extend(2 * CHUNK_BYTES);
    const cursor = log[kind]();
    await cursor.open();
    await cursor.next(FOREVER);
    log.extend(10);
    await expect(cursor.next(FOREVER)).rejects.toMatchObject({
      reason: "OFFSET_OUT_OF_RANGE",
      violations: [{ field: "stdout_offset" }],
    });
  });

  test("reads what is left where its log was cut short behind it", async () => {
    const log = new Log();
    log.extend(2 * CHUNK_BYTES);
    const cursor = log[kind]();
    await cursor.open();
    await cursor.next(FOREVER);
    log.extend(CHUNK_BYTES + 10);
    expect((await cursor.next(FOREVER))?.data).toHaveLength(10);
    expect(await cursor.next(FOREVER)).toBeUndefined();
  });

  test("gives large pieces to a reader that has long been quick, and only as long as it is", async () => {
    const log = new Log();
    log.extend(TIB);
    const cursor = log[kind](0, true);
    await cursor.open();
    let nowMs = performance.now();
    const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    onTestFinished(() => clock.mockRestore());
    const next = async () => {
      const data = (await cursor.next(FOREVER))?.data ?? Buffer.alloc(0);
      expect(withHeadroom(data, 100)).toBeDefined();
      return { bytes: data.length, heldBytes: data.buffer.byteLength };
    };
    const untilLarge = async () => {
      for (let smallBytes = 0; ; ) {
        const { bytes, heldBytes } = await next();
        expect(heldBytes).toBeLessThan(bytes + 1000);
        if (bytes === TRANSIENT_CHUNK_BYTES) return smallBytes;
        expect(bytes).toBe(CHUNK_BYTES);
        smallBytes += bytes;
        // Each time it is quick; all of them together take long.
        nowMs += 90;
      }
    };
    expect(await untilLarge()).toBe(MIN_QUICK_BYTES);
    expect((await next()).bytes).toBe(TRANSIENT_CHUNK_BYTES);
    nowMs += 101;
    expect(await untilLarge()).toBe(MIN_QUICK_BYTES);
  });
});

test.each([
  ["shares the end of its log with others", 10],
  ["waits for more", 0],
])(
  "a follower that %s holds no memory, and then begins with small pieces again",
  async (_, end) => {
    const log = new Log();
    log.extend(2 * MIN_QUICK_BYTES + end);
    const cursor = log.follower(0, true);
    await cursor.open();
    let nowMs = performance.now();
    const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    onTestFinished(() => clock.mockRestore());
    const sizes = [];
    while (cursor.order !== undefined) sizes.push((await cursor.next(FOREVER))?.data.length);
    expect(sizes).toContain(TRANSIENT_CHUNK_BYTES);
    cursor.onMore(() => {});
    nowMs += 1;
    log.extend(4 * MIN_QUICK_BYTES);
    await cursor.refresh();
    expect((await cursor.next(FOREVER))?.data).toHaveLength(CHUNK_BYTES);
  },
);

describe("a follower", () => {
  test("may be passed by the start of its log during a refresh", async () => {
    const log = new Log();
    log.append("0123456789");
    const cursor = log.follower(10);
    await cursor.open();
    const refreshing = cursor.refresh();
    log.start.firstOffset = 20;
    // The refresh finds ten bytes, which are fewer than what was removed meanwhile.
    await refreshing;
    expect(cursor.stale).toBe(true);
    log.append("0123456789x");
    await cursor.refresh();
    expect(await textOf(cursor)).toBe("x");
  });

  test("is settled at the end there was, whatever others have seen since", async () => {
    const log = new Log();
    const cursor = log.follower();
    await cursor.open();
    log.append("all");
    await cursor.settle();
    log.append(" and more");
    const other = log.follower();
    await other.open();
    expect(await textOf(other)).toBe("all and more");
    expect(await textOf(cursor)).toBe("all");
    expect([cursor.order, cursor.stale]).toEqual([undefined, false]);
    expect(await cursor.next(FOREVER)).toBeUndefined();
  });

  test("settles by a refresh of its own", async () => {
    const log = new Log();
    const cursor = log.follower();
    await cursor.open();
    log.append("last words");
    await cursor.settle();
    expect(await textOf(cursor)).toBe("last words");
  });

  test("tells a chunk's time by its last byte", async () => {
    const log = new Log();
    const cursor = log.follower();
    await cursor.open();
    log.append("early");
    await cursor.refresh();
    await new Promise((resolve) => setTimeout(resolve, 5));
    const before = Date.now();
    log.append("late");
    await cursor.refresh();
    const chunk = await cursor.next(FOREVER);
    expect(chunk?.data).toHaveLength("earlylate".length);
    expect(chunk?.seenTime?.getTime()).toBeGreaterThanOrEqual(before);
  });

  test("gives what was seen before a time, and at least what was seen at once", async () => {
    const log = new Log();
    const cursor = log.follower();
    log.append("history");
    await cursor.open();
    expect(cursor.order).toBe(HISTORY);
    const orders: number[] = [];
    for (const text of ["one", "two", "three"]) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      log.append(text);
      await cursor.refresh();
      orders.push(performance.now());
    }
    expect(await textOf(cursor)).toBe("history");
    expect(cursor.order).toBeLessThan(orders[0] as number);
    expect(await textOf(cursor, orders[1])).toBe("onetwo");
    expect(await textOf(cursor, 0)).toBe("three");
  });

  test("is stale where something may have come since the last refresh, and only at its end", async () => {
    const log = new Log();
    const cursor = log.follower();
    log.append("abc");
    await cursor.open();
    expect(cursor.stale).toBe(false);
    log.notice();
    // There is something to read first.
    expect(cursor.stale).toBe(false);
    await cursor.next(FOREVER);
    expect(cursor.stale).toBe(true);
    await cursor.refresh();
    expect(cursor.stale).toBe(false);
    await cursor.settle();
    log.notice();
    expect(cursor.stale).toBe(false);
  });

  test.each([
    ["a notice that came before it waits", (log: Log) => log.notice()],
    [
      "a growth that another follower has seen",
      async (log: Log, other: LogCursor) => {
        log.append("more");
        await other.refresh();
      },
    ],
  ])("is woken at once by %s", async (_, happens) => {
    const log = new Log();
    const [cursor, other] = [log.follower(), log.follower()];
    await cursor.open();
    let woken = 0;
    const wake = () => {
      woken += 1;
    };
    cursor.onMore(wake);
    expect(woken).toBe(0);
    cursor.onMore(undefined);
    await happens(log, other);
    expect(woken).toBe(0);
    cursor.onMore(wake);
    expect(woken).toBe(1);
  });
});
