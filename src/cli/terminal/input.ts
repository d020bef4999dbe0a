import { on } from "node:events";
import type { Readable } from "node:stream";

/** A stream such as process.stdin. */
export interface InputStream extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(raw: boolean): unknown;
  unref?(): unknown;
}

/** How many pieces may be read before they are used. */
const MAX_READ_AHEAD = 16;

/** Stdin, read no faster than it is used. */
export class Input {
  readonly #stream: InputStream;

  constructor(stream: InputStream) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /**
   * Has the terminal hand over every key as it is pressed, Ctrl-C too, and echo
   * none. @returns how to leave that mode
   */
  enterRawMode(): () => void {
    this.#stream.setRawMode?.(true);
    return () => void this.#stream.setRawMode?.(false);
  }

  /** Yields what is read, until its end or until the signal is aborted. */
  async *pieces(signal: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    const stream = this.#stream;
    if (signal.aborted || stream.readableEnded) return;
    const events = on(stream, "data", {
      signal,
      close: ["end", "close"],
      highWaterMark: MAX_READ_AHEAD,
      lowWaterMark: MAX_READ_AHEAD / 2,
    }) as AsyncIterable<[Uint8Array]>;
    try {
      for await (const [piece] of events) yield piece;
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      // Stdin that nobody reads must not keep the process alive.
      stream.pause();
      stream.unref?.();
    }
  }
}
