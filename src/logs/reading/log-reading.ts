import type { LogChunk } from "../../core/ports.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { HISTORY } from "../following/seen-marks.js";
import type { LogCursor } from "./log-cursor.js";

export interface LogReadingOptions {
  /** Called when the first chunk is asked for. The reading closes the cursors. */
  readonly openCursors: () => Promise<readonly LogCursor[]>;
  /** The reading follows until this is aborted and the last byte was read. Absent: it does not. */
  readonly ended: AbortSignal | undefined;
  /** Each of them stops the reading at once, with its reason. */
  readonly signals: readonly (AbortSignal | undefined)[];
}

const DONE: IteratorResult<LogChunk, void> = { done: true, value: undefined };

/**
 * One reading of a job's logs: gives the cursors' chunks in the order in which
 * they were seen. History has no such order, so a cursor with history and the
 * other one take turns, and new output need not wait for all of the history.
 *
 * It ends after the last byte that was there when `ended` was aborted, even if
 * something goes on writing; without `ended`, after the last byte there was at the
 * beginning. Nothing is read before it is asked for, and only one chunk may be
 * asked for at a time.
 *
 * An iterator of its own and not a generator: a signal has to release files and
 * watches at once, also when a consumer that went away never asks again.
 */
export class LogReading implements AsyncIterableIterator<LogChunk, void, undefined> {
  readonly #options: LogReadingOptions;
  /** Aborted when the reading is stopped, and when it is over. */
  #stop: AbortController | undefined;
  #isOver = false;
  #cursors: readonly LogCursor[] = [];
  /** The cursor that gave the last chunk. */
  #last: LogCursor | undefined;
  /** Whether the cursors know where they end. */
  #isSettled = false;
  // One slot instead of Promise.race with one long-lived promise, which would keep
  // every promise that it ever raced with.
  #rejectWait: ((reason: unknown) => void) | undefined;

  constructor(options: LogReadingOptions) {
    this.#options = options;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<LogChunk, void>> {
    if (this.#isOver) return DONE;
    try {
      if (this.#stop === undefined) await this.#begin();
      const chunk = await this.#nextChunk();
      if (chunk !== undefined) return { done: false, value: chunk };
    } catch (error) {
      if (this.#isOver) return DONE;
      this.#end();
      throw error;
    }
    this.#end();
    return DONE;
  }

  async return(): Promise<IteratorResult<LogChunk, void>> {
    this.#end();
    return DONE;
  }

  async #begin(): Promise<void> {
    const { signals, openCursors } = this.#options;
    this.#stop = createLinkedAbortController(...signals);
    const { signal } = this.#stop;
    signal.throwIfAborted();
    this.#cursors = await openCursors();
    if (signal.aborted) this.#release();
    else signal.addEventListener("abort", this.#release);
    signal.throwIfAborted();
    await this.#wait(Promise.all(this.#cursors.map((cursor) => cursor.open())));
  }

  /** Undefined after the last one. */
  async #nextChunk(): Promise<LogChunk | undefined> {
    const { ended } = this.#options;
    this.#stop?.signal.throwIfAborted();
    for (;;) {
      if (!this.#isSettled && (ended === undefined || ended.aborted)) {
        // Begins after the end was seen, so it finds all that was written before.
        await this.#wait(Promise.all(this.#cursors.map((cursor) => cursor.settle())));
        this.#isSettled = true;
      }
      // Also those that others could go before, so that none starves.
      for (const cursor of this.#cursors) if (cursor.stale) await this.#wait(cursor.refresh());
      const turn = nextTurn(this.#cursors, this.#last);
      if (turn !== undefined) {
        this.#last = turn.cursor;
        const chunk = await this.#wait(turn.cursor.next(turn.beforeMs));
        if (chunk !== undefined) return chunk;
      } else {
        if (this.#isSettled || ended === undefined) return undefined;
        await this.#untilMore(ended);
      }
    }
  }

  async #untilMore(ended: AbortSignal): Promise<void> {
    let wake = (): void => {};
    const more = new Promise<void>((resolve) => {
      wake = resolve;
    });
    ended.addEventListener("abort", wake);
    if (ended.aborted) wake();
    for (const cursor of this.#cursors) cursor.onMore(wake);
    try {
      await this.#wait(more);
    } finally {
      ended.removeEventListener("abort", wake);
      for (const cursor of this.#cursors) cursor.onMore(undefined);
    }
  }

  /** Settles as the promise does, unless the reading is stopped before. One at a time. */
  #wait<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#rejectWait = reject;
      promise.then(resolve, reject);
      if (this.#stop?.signal.aborted) reject(this.#stop.signal.reason);
    });
  }

  readonly #release = (): void => {
    for (const cursor of this.#cursors) cursor.close();
    this.#rejectWait?.(this.#stop?.signal.reason);
  };

  #end(): void {
    this.#isOver = true;
    this.#stop?.abort();
  }
}

interface Turn {
  readonly cursor: LogCursor;
  /** When the next byte of the other was seen. */
  readonly beforeMs: number;
}

function nextTurn(cursors: readonly LogCursor[], last: LogCursor | undefined): Turn | undefined {
  const ready = cursors.flatMap((cursor) => {
    const { order } = cursor;
    return order === undefined ? [] : [{ cursor, order }];
  });
  if (ready.some(({ order }) => order === HISTORY)) {
    const next = ready.find(({ cursor }) => cursor !== last) ?? ready[0];
    return next && { cursor: next.cursor, beforeMs: Number.POSITIVE_INFINITY };
  }
  const [first, second] = ready.sort((a, b) => a.order - b.order);
  return first && { cursor: first.cursor, beforeMs: second?.order ?? Number.POSITIVE_INFINITY };
}
