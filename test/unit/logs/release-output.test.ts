import type { ReadingOptions } from "../../../src/core/ports.js";
import { truncateSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { OutputChunk } from "../../../src/contract/procman.js";
import { CHUNK_BYTES } from "../../../src/logs/reading/log-file.js";
import { FileLogs } from "../../../src/logs/file-logs.js";
import { eventually } from "../../helpers/eventually.js";
import { fileOperationsDone } from "./event-loop-turn.js";
import { CountedWatches, kernelWatchesOn, openFilesBelow } from "./held-resources.js";
import { collect, JobLogs } from "./job-logs.js";
import { newOutput } from "./new-output.js";

const BOTH = { stdout: 0, stderr: 0 };
const isLinux = process.platform === "linux";

/** An interval that no other timer here has. */
const POLL_INTERVAL_MS = 98_765;

/** A FileLogs, and what it holds: files and the kernel's watches, timers. */
class Observed {
  readonly logs = JobLogs.started();
  readonly watches = new CountedWatches();
  readonly output = new FileLogs({
    pollIntervalMs: POLL_INTERVAL_MS,
    watch: this.watches.watch,
  });
  readonly #timers = new Set<unknown>();

  constructor() {
    const setInterval = globalThis.setInterval;
    const clearInterval = globalThis.clearInterval;
    vi.spyOn(globalThis, "setInterval").mockImplementation(((callback: () => void, ms: number) => {
      const timer = setInterval(callback, ms);
      if (ms === POLL_INTERVAL_MS) this.#timers.add(timer);
      return timer;
    }) as typeof setInterval);
    vi.spyOn(globalThis, "clearInterval").mockImplementation((timer) => {
      this.#timers.delete(timer);
      clearInterval(timer);
    });
    onTestFinished(() => {
      void this.output.close();
      vi.restoreAllMocks();
    });
  }

  held(): { files: number; watches: number; kernelWatches: number; timers: number } {
    const { logs } = this;
    return {
      files: isLinux ? openFilesBelow(logs.dir.path).length : 0,
      watches: this.watches.open,
      kernelWatches: isLinux
        ? kernelWatchesOn(logs.path("stdout")) + kernelWatchesOn(logs.path("stderr"))
        : 0,
      timers: this.#timers.size,
    };
  }

  /** Closing a file takes the kernel a moment; watches and timers are gone at once. */
  async expectNothingHeld(): Promise<void> {
    expect(this.held()).toMatchObject({ watches: 0, kernelWatches: 0, timers: 0 });
    await eventually("every file to be closed", () => this.held().files === 0);
  }
}

const ONE_LOG_EACH = isLinux
  ? { files: 2, watches: 2, kernelWatches: 2, timers: 1 }
  : { files: 0, watches: 2, kernelWatches: 0, timers: 1 };

describe("an aborted signal", () => {
  test("stops one that waits, with its reason", async () => {
    const observed = new Observed();
    const abort = new AbortController();
    const ended = new AbortController();
    const { promise: next } = await waiting(observed, {
      ended: ended.signal,
      signal: abort.signal,
    });
    const reason = new Error("enough");
    const rejected = expect(next).rejects.toBe(reason);
    abort.abort(reason);
    await observed.expectNothingHeld();
    await rejected;
  });

  test.each(["chunks", "lines"] as const)(
    "releases %s that nobody asks for any more",
    async (method) => {
      const observed = new Observed();
      observed.logs.append("stdout", "one\ntwo\n");
      const abort = new AbortController();
      const reading = observed.output.open(observed.logs.dir)[method](BOTH, {
        ended: new AbortController().signal,
        signal: abort.signal,
      });
      await reading.next();
      expect(observed.held()).toEqual(ONE_LOG_EACH);
      abort.abort(new Error("gone"));
      await observed.expectNothingHeld();
      // Whoever asks all the same is told.
      await expect(reading.next()).rejects.toThrow("gone");
      expect((await reading.next()).done).toBe(true);
    },
  );

  test("releases one that does not follow", async () => {
    const observed = new Observed();
    observed.logs.append("stdout", Buffer.alloc(3 * CHUNK_BYTES));
    const abort = new AbortController();
    const reading = observed.output.open(observed.logs.dir).chunks(BOTH, { signal: abort.signal });
    await reading.next();
    expect(observed.watches.made).toEqual([]);
    if (isLinux) expect(observed.held().files).toBe(2);
    abort.abort(new Error("gone"));
    await observed.expectNothingHeld();
    await expect(reading.next()).rejects.toThrow("gone");
  });

  test("that was so before opens nothing", async () => {
    const observed = new Observed();
    const reason = new Error("never mind");
    const reading = observed.output.open(observed.logs.dir).chunks(BOTH, {
      ended: new AbortController().signal,
      signal: AbortSignal.abort(reason),
    });
    await expect(reading.next()).rejects.toBe(reason);
    expect(observed.watches.made).toEqual([]);
  });

  test("while the logs are being opened lets go of them", async () => {
    const observed = new Observed();
    const abort = new AbortController();
    const next = observed.output
      .open(observed.logs.dir)
      .chunks(BOTH, {
        ended: new AbortController().signal,
        signal: abort.signal,
      })
      .next();
    abort.abort(new Error("gone"));
    await expect(next).rejects.toThrow("gone");
    await fileOperationsDone();
    await observed.expectNothingHeld();
  });

  test("does not touch other followers of the log", async () => {
    const observed = new Observed();
    const { logs, output } = observed;
    const abort = new AbortController();
    const ended = new AbortController();
    const other = collect(output.open(logs.dir).chunks(BOTH, { ended: ended.signal }));
    const aborted = collect(
      output.open(logs.dir).chunks(BOTH, { ended: ended.signal, signal: abort.signal }),
    );
    await eventually("both logs to be watched", () => observed.watches.open === 2);
    abort.abort(new Error("gone"));
    await expect(aborted).rejects.toThrow("gone");
    expect(observed.held()).toEqual(ONE_LOG_EACH);
    logs.append("stdout", "still there");
    ended.abort();
    expect((await other).bytes("stdout").toString()).toBe("still there");
    await observed.expectNothingHeld();
  });
});

describe("everything is released", () => {
  test("by a consumer that leaves the loop", async () => {
    const observed = new Observed();
    observed.logs.append("stdout", "one\ntwo\n");
    const ended = new AbortController().signal;
    for await (const _ of observed.output.open(observed.logs.dir).lines(BOTH, { ended })) break;
    await observed.expectNothingHeld();
  });

  test("by an error", async () => {
    const observed = new Observed();
    const ended = new AbortController().signal;
    const reading = observed.output
      .open(observed.logs.dir)
      .chunks({ stdout: 0, stderr: 1 }, { ended });
    await expect(reading.next()).rejects.toMatchObject({ reason: "OFFSET_OUT_OF_RANGE" });
    await observed.expectNothingHeld();
  });

  test("by close, which says so to those who read", async () => {
    const observed = new Observed();
    const ended = new AbortController().signal;
    const { promise: next } = await waiting(observed, { ended });
    const rejected = expect(next).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    void observed.output.close();
    await observed.expectNothingHeld();
    await rejected;
    await expect(observed.output.open(observed.logs.dir).chunks(BOTH).next()).rejects.toMatchObject(
      {
        reason: "SHUTTING_DOWN",
      },
    );
  });

  test("from the signals, which may live on", async () => {
    const observed = new Observed();
    const signal = new AbortController().signal;
    const removed = vi.spyOn(signal, "removeEventListener");
    const added = vi.spyOn(signal, "addEventListener");
    await collect(observed.output.open(observed.logs.dir).chunks(BOTH, { signal }));
    expect(added).toHaveBeenCalled();
    expect(removed.mock.calls.map((call) => call.slice(0, 2))).toEqual(
      added.mock.calls.map((call) => call.slice(0, 2)),
    );
  });
});

describe("200 followers of one job", () => {
  test("share a handle, a watch, a timer and what is read at the head", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    onTestFinished(() => void process.off("warning", onWarning));

    const observed = new Observed();
    const { logs, output } = observed;
    const ended = new AbortController();
    const followers = Array.from({ length: 200 }, () =>
      output
        .open(logs.dir)
        .chunks(BOTH, { ended: ended.signal, signal: new AbortController().signal }),
    );
    for (const text of ["first", "second"]) {
      const nexts = followers.map((follower) => follower.next());
      await eventually("both logs to be watched", () => observed.watches.open === 2);
      logs.append("stdout", text);
      const chunks = (await Promise.all(nexts)).map((next) => next.value as OutputChunk);
      expect(new Set(chunks.map((chunk) => Buffer.from(chunk.data).toString()))).toEqual(
        new Set([text]),
      );
      expect(new Set(chunks.map((chunk) => chunk.data.byteOffset)).size).toBe(1);
      expect(new Set(chunks.map((chunk) => chunk.data.buffer)).size).toBe(1);
      expect(observed.held()).toEqual(ONE_LOG_EACH);
    }
    ended.abort();
    for (const follower of followers) expect((await follower.next()).done).toBe(true);
    await observed.expectNothingHeld();
    expect(observed.watches.made).toHaveLength(2);
    expect(warnings).toEqual([]);
  });

  test("hold at most a chunk each when they stall, however much is written", async () => {
    setFlagsFromString("--expose-gc");
    const collectGarbage = runInNewContext("gc") as () => void;
    const observed = new Observed();
    const { logs, output } = observed;
    const size = 1000 * CHUNK_BYTES;
    truncateSync(logs.path("stdout"), size);

    collectGarbage();
    const before = process.memoryUsage().arrayBuffers;
    const ended = AbortSignal.abort();
    const stalled = Array.from({ length: 200 }, (_, i) =>
      output.open(logs.dir).chunks({ stdout: i * CHUNK_BYTES }, { ended }),
    );
    const held = await Promise.all(stalled.map((follower) => follower.next()));
    let read = 0;
    for await (const chunk of output.open(logs.dir).chunks(BOTH, { ended }))
      read += chunk.data.length;
    expect(read).toBe(size);
    // What was collected is given back a little later, in the background.
    await eventually("no more than a chunk each, and what is shared, to be held", () => {
      collectGarbage();
      const grown = process.memoryUsage().arrayBuffers - before;
      return grown < (stalled.length + 10) * CHUNK_BYTES;
    });
    expect(held.every((next) => next.value?.data.length === CHUNK_BYTES)).toBe(true);
    await Promise.all(stalled.map((follower) => follower.return()));
    await observed.expectNothingHeld();
  });
});

test("what followers shared is let go of when nothing is written any more", async () => {
  vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
  onTestFinished(() => void vi.useRealTimers());
  const logs = JobLogs.started();
  logs.append("stdout", "0123456789");
  const output = newOutput({ pollIntervalMs: 1000 });
  const ended = new AbortController().signal;
  const followers = Array.from({ length: 3 }, () =>
    output.open(logs.dir).chunks({ stdout: 0 }, { ended }),
  );
  const memory: unknown[] = [];
  for (const follower of followers) {
    const { value } = await follower.next();
    memory.push(value?.data.buffer, value?.data.byteOffset);
    if (memory.length === 4) vi.advanceTimersByTime(2000);
  }
  expect(memory.slice(0, 2)).toEqual(memory.slice(2, 4));
  expect(memory.slice(0, 2)).not.toEqual(memory.slice(4));
  for (const follower of followers) await follower.return();
});

/** A reading's next chunk, once it has read all there is and waits for more. */
async function waiting(
  observed: Observed,
  options: ReadingOptions,
): Promise<{ promise: Promise<IteratorResult<OutputChunk, void>> }> {
  const chunks = observed.output.open(observed.logs.dir).chunks(BOTH, options);
  observed.logs.append("stdout", "all there is");
  await chunks.next();
  const promise = chunks.next();
  await fileOperationsDone();
  return { promise };
}
