import { on } from "node:events";
import type { Readable } from "node:stream";

/** A stream such as process.stdin. */
export interface InputStream extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
  unref?(): unknown;
}

/** Pieces that are read ahead of whoever takes them. */
const READ_AHEAD = 16;

/** stdin: read no faster than it is used. */
export class Input {
  readonly #stream: InputStream;

  constructor(stream: InputStream) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /**
   * Has the terminal hand over every key as it is pressed, Ctrl-C too, and show
   * none. @returns how to have it be as it was
   */
  takeKeys(): () => void {
    this.#stream.setRawMode?.(true);
    return () => void this.#stream.setRawMode?.(false);
  }

  /** What is read, until the end or until the signal is aborted. */
  async *pieces(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = this.#stream;
    if (signal.aborted || stream.readableEnded) return;
    const events = on(stream, "data", {
      signal,
      close: ["end", "close"],
      highWaterMark: READ_AHEAD,
      lowWaterMark: READ_AHEAD / 2,
    }) as AsyncIterable<[Uint8Array]>;
    try {
      for await (const [piece] of events) yield piece;
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      // Nothing is read any more, and the process need not wait for it.
      stream.pause();
      stream.unref?.();
    }
  }
}
