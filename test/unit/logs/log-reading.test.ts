import { getEventListeners } from "node:events";
import { beforeEach, describe, expect, test } from "vitest";
import type { Stream } from "../../../src/contract/job.js";
import type { OutputChunk } from "../../../src/contract/procman.js";
import { HISTORY } from "../../../src/logs/following/seen-marks.js";
import type { LogCursor } from "../../../src/logs/reading/log-cursor.js";
import { LogReading } from "../../../src/logs/reading/log-reading.js";
import { deferred } from "../../helpers/deferred.js";
import { eventLoopTurn } from "./event-loop-turn.js";

const FOREVER = Number.POSITIVE_INFINITY;

/** A cursor whose chunks the test puts in, each with its order. */
class FakeCursor implements LogCursor {
  readonly stream: Stream;
  readonly ready: { readonly order: number; readonly text: string }[] = [];
  /** What is found by the next refresh. */
  readonly unseen: { readonly order: number; readonly text: string }[] = [];
  readonly calls: string[] = [];
  readonly beforeMs: number[] = [];
  stale = false;
  closed = 0;
  wake: (() => void) | undefined;
  /** Awaited by the method of that name. */
  readonly delays: Partial<Record<"open" | "refresh" | "next" | "settle", () => Promise<unknown>>> =
    {};

  constructor(stream: Stream) {
    this.stream = stream;
  }

  has(...chunks: readonly (readonly [order: number, text: string])[]): void {
    this.ready.push(...chunks.map(([order, text]) => ({ order, text })));
    this.wake?.();
  }

  async open(): Promise<void> {
    this.calls.push("open");
    await this.delays.open?.();
  }

  async refresh(): Promise<void> {
    this.calls.push("refresh");
    await this.delays.refresh?.();
    this.ready.push(...this.unseen.splice(0));
    this.stale = false;
  }

  get order(): number | undefined {
    return this.ready[0]?.order;
  }

  async next(beforeMs: number): Promise<OutputChunk | undefined> {
    this.calls.push("next");
    this.beforeMs.push(beforeMs);
    await this.delays.next?.();
    const chunk = this.ready.shift();
    // A text that is empty stands for what a log limit has removed.
    return chunk?.text
      ? { stream: this.stream, offset: 0, data: Buffer.from(chunk.text) }
      : undefined;
  }

  async settle(): Promise<void> {
    this.calls.push("settle");
    await this.delays.settle?.();
  }

  onMore(wake: (() => void) | undefined): void {
    this.wake = wake;
  }

  close(): void {
    this.closed += 1;
  }
}

let out: FakeCursor;
let err: FakeCursor;
let ended: AbortController;
let signal: AbortController;
let closing: AbortController;

beforeEach(() => {
  [out, err] = [new FakeCursor("stdout"), new FakeCursor("stderr")];
  [ended, signal, closing] = [new AbortController(), new AbortController(), new AbortController()];
});

function reading({ follows = true, openCursors = async () => [out, err] } = {}): LogReading {
  return new LogReading({
    openCursors,
    ended: follows ? ended.signal : undefined,
    signals: [signal.signal, undefined, closing.signal],
  });
}

async function nextText(reading: LogReading): Promise<string | undefined> {
  const { value } = await reading.next();
  return value ? Buffer.from(value.data).toString() : undefined;
}

async function texts(reading: LogReading): Promise<string[]> {
  const all: string[] = [];
  for await (const { data } of reading) all.push(Buffer.from(data).toString());
  return all;
}

function expectNothingHeld(): void {
  expect([out.closed, err.closed]).toEqual([1, 1]);
  expect([out.wake, err.wake]).toEqual([undefined, undefined]);
  const signals = [ended.signal, signal.signal, closing.signal];
  expect(signals.map((each) => getEventListeners(each, "abort").length)).toEqual([0, 0, 0]);
}

describe("the order of chunks", () => {
  test("is that in which they were seen; each cursor is told when the other's next was", async () => {
    out.has([1, "a"], [4, "d"]);
    err.has([2, "b"], [3, "c"], [5, "e"]);
    expect(await texts(reading({ follows: false }))).toEqual(["a", "b", "c", "d", "e"]);
    expect([out.beforeMs, err.beforeMs]).toEqual([
      [2, 5],
      [4, 4, FOREVER],
    ]);
  });

  test("is by turns while one of them has history, of which all is taken", async () => {
    out.has([HISTORY, "h1"], [HISTORY, "h2"], [HISTORY, "h3"]);
    err.has([7, "n1"], [8, "n2"], [9, "n3"], [10, "n4"]);
    expect(await texts(reading({ follows: false }))).toEqual([
      "h1",
      "n1",
      "h2",
      "n2",
      "h3",
      "n3",
      "n4",
    ]);
    expect([out.beforeMs, err.beforeMs]).toEqual([
      [FOREVER, FOREVER, FOREVER],
      [FOREVER, FOREVER, FOREVER, FOREVER],
    ]);
  });

  test("takes in what a refresh finds at either of them, before any is chosen", async () => {
    out.has([3, "c"]);
    const chunks = reading();
    for (const cursor of [out, err]) cursor.stale = true;
    err.unseen.push({ order: 2, text: "b" });
    out.unseen.push({ order: 4, text: "d" });
    for (const expected of ["b", "c", "d"]) expect(await nextText(chunks)).toBe(expected);
    expect(
      [out.calls, err.calls].map((calls) => calls.filter((call) => call === "refresh")),
    ).toEqual([["refresh"], ["refresh"]]);
    await chunks.return();
  });

  test("goes on after what a log limit has removed", async () => {
    out.has([1, ""], [3, "c"]);
    err.has([2, "b"]);
    expect(await texts(reading({ follows: false }))).toEqual(["b", "c"]);
  });
});

describe("the end", () => {
  test("without following is the one that the cursors had at the beginning", async () => {
    out.has([HISTORY, "a"]);
    const chunks = reading({ follows: false });
    expect(await nextText(chunks)).toBe("a");
    expect(out.calls).toEqual(["open", "settle", "next"]);
    expect((await chunks.next()).done).toBe(true);
    expectNothingHeld();
    expect((await chunks.next()).done).toBe(true);
  });

  test("is settled once, when the job has ended, and not before", async () => {
    out.has([1, "a"]);
    const chunks = reading();
    expect(await nextText(chunks)).toBe("a");
    const next = chunks.next();
    await eventLoopTurn();
    expect(err.calls).toEqual(["open"]);
    for (const cursor of [out, err]) {
      cursor.delays.settle = async () => cursor.ready.push({ order: 9, text: cursor.stream });
    }
    ended.abort();
    expect((await next).value).toMatchObject({ stream: "stdout" });
    expect(await texts(chunks)).toEqual(["stderr"]);
    expect(out.calls.filter((call) => call === "settle")).toHaveLength(1);
    expectNothingHeld();
  });

  test("that came before has all that there is read", async () => {
    out.has([HISTORY, "a"]);
    ended.abort();
    expect(await texts(reading())).toEqual(["a"]);
    expectNothingHeld();
  });
});

test("one that waits is woken by either cursor, again and again", async () => {
  const chunks = reading();
  for (const cursor of [err, out, err]) {
    const next = nextText(chunks);
    await eventLoopTurn();
    cursor.has([1, cursor.stream]);
    expect(await next).toBe(cursor.stream);
    expect([out.wake, err.wake]).toEqual([undefined, undefined]);
    expect(getEventListeners(ended.signal, "abort")).toHaveLength(0);
  }
  await chunks.return();
});

test("nothing is opened or read that was not asked for", async () => {
  let opened = 0;
  const openCursors = async () => {
    opened += 1;
    return [out, err];
  };
  out.has([1, "a"], [2, "b"]);
  const chunks = reading({ openCursors });
  await eventLoopTurn();
  expect(opened).toBe(0);
  await chunks.next();
  await eventLoopTurn();
  expect([opened, out.calls]).toEqual([1, ["open", "next"]]);
  await chunks.return();
  expectNothingHeld();
});

describe.each(["signal", "closing"] as const)("aborting the %s", (name) => {
  const stop = (reason: unknown) => ({ signal, closing })[name].abort(reason);

  test("ends one that waits", async () => {
    const next = reading().next();
    await eventLoopTurn();
    stop(new Error("enough"));
    expect([out.closed, err.closed]).toEqual([1, 1]);
    await expect(next).rejects.toThrow("enough");
    expectNothingHeld();
  });

  test("ends one that reads, whatever becomes of that", async () => {
    const reads = deferred();
    out.has([1, "a"]);
    out.delays.next = () => reads.promise;
    const chunks = reading();
    const next = chunks.next();
    await eventLoopTurn();
    stop(new Error("enough"));
    await expect(next).rejects.toThrow("enough");
    expectNothingHeld();
    reads.reject(new Error("closed while it was read"));
    await eventLoopTurn();
    expect((await chunks.next()).done).toBe(true);
  });

  test.each([true, false])(
    "releases all at once if nobody asks, and tells who does (follows: %s)",
    async (follows) => {
      out.has([1, "a"]);
      const chunks = reading({ follows });
      await chunks.next();
      // There is nothing left to read, but that was not told yet.
      stop(new Error("gone"));
      expectNothingHeld();
      await expect(chunks.next()).rejects.toThrow("gone");
      expect((await chunks.next()).done).toBe(true);
      expectNothingHeld();
    },
  );

  test("right after one thing was waited for ends the waiting for the next", async () => {
    const refreshing = deferred();
    err.stale = true;
    err.refresh = () => refreshing.promise;
    const next = reading().next();
    await eventLoopTurn();
    void refreshing.promise.then(() => {
      err.stale = false;
      stop(new Error("enough"));
    });
    refreshing.resolve();
    await expect(next).rejects.toThrow("enough");
    expectNothingHeld();
  });

  test("before the beginning opens nothing", async () => {
    stop(new Error("never mind"));
    const chunks = reading({ openCursors: () => expect.unreachable("it was opened") });
    await expect(chunks.next()).rejects.toThrow("never mind");
    expect((await chunks.next()).done).toBe(true);
  });

  test("while the cursors come closes them unopened", async () => {
    const cursors = deferred<FakeCursor[]>();
    const next = reading({ openCursors: () => cursors.promise }).next();
    stop(new Error("gone"));
    cursors.resolve([out, err]);
    await expect(next).rejects.toThrow("gone");
    expectNothingHeld();
    expect(out.calls).toEqual([]);
  });

  test("while they are opened closes them", async () => {
    const opening = deferred();
    out.delays.open = () => opening.promise;
    const next = reading().next();
    await eventLoopTurn();
    stop(new Error("gone"));
    await expect(next).rejects.toThrow("gone");
    expectNothingHeld();
    opening.resolve();
  });
});

describe("an error", () => {
  test.each(["open", "refresh", "next", "settle"] as const)(
    "of %s is thrown once, and ends the reading",
    async (call) => {
      err.has([1, "a"]);
      err.stale = true;
      err.delays[call] = async () => {
        throw new Error(call);
      };
      ended.abort();
      const chunks = reading();
      await expect(chunks.next()).rejects.toThrow(call);
      expectNothingHeld();
      expect((await chunks.next()).done).toBe(true);
    },
  );

  test("that keeps the cursors from being made is thrown", async () => {
    const openCursors = () => Promise.reject(new Error("unreadable"));
    await expect(reading({ openCursors }).next()).rejects.toThrow("unreadable");
    expect(getEventListeners(signal.signal, "abort")).toHaveLength(0);
  });
});

describe("a consumer that leaves", () => {
  test("has all released, also while it waits for more", async () => {
    const chunks = reading();
    const next = chunks.next();
    await eventLoopTurn();
    expect((await chunks.return()).done).toBe(true);
    expectNothingHeld();
    expect((await next).done).toBe(true);
    expect((await chunks.next()).done).toBe(true);
  });

  test("before it has begun opens nothing", async () => {
    const chunks = reading({ openCursors: () => expect.unreachable("it was opened") });
    await chunks.return();
    expect((await chunks.next()).done).toBe(true);
  });
});
