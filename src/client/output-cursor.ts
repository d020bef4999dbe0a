import type { OutputStart, OutputTruncation } from "../contract/procman.js";
import { type OutputSizes, STREAMS, type Stream } from "../contract/job.js";

/** Finds where the last lines of a stream begin now; undefined when it has none. */
export type LocateTail = (stream: Stream) => Promise<number | undefined>;

type LogSizes = Pick<OutputSizes, "stdoutBytes" | "stderrBytes">;

/**
 * Keeps the position of a reader of a job's output, so that it can go on from there over
 * another connection: nothing lost, nothing twice. Where a log limit has removed bytes
 * meanwhile, the server begins at the first one there is.
 */
export class OutputCursor {
  readonly #asked: OutputStart;
  /** The offset of the next byte of each stream, where it is known. */
  readonly #next = new Map<Stream, number>();
  /** The logs' sizes when the first connection had opened. */
  #sizesAtOpen: LogSizes | undefined;

  constructor(asked: OutputStart) {
    this.#asked = asked;
    if (asked.tailLines !== undefined) return;
    for (const stream of STREAMS) this.#next.set(stream, offsetAsked(asked, stream));
  }

  opened(sizes: LogSizes): void {
    this.#sizesAtOpen ??= sizes;
  }

  advance(stream: Stream, nextOffset: number): void {
    this.#next.set(stream, nextOffset);
  }

  /**
   * Moves back what is beyond the end of its log now, to where that begins.
   * @returns the streams that this was done with
   */
  clamp(sizes: OutputSizes): OutputTruncation[] {
    return wantedStreams(this.#asked).flatMap((stream) => {
      const size = stream === "stdout" ? sizes.stdoutBytes : sizes.stderrBytes;
      if ((this.#next.get(stream) ?? 0) <= size) return [];
      const offset = stream === "stdout" ? sizes.stdoutFirstOffset : sizes.stderrFirstOffset;
      this.advance(stream, offset);
      return [{ stream, offset }];
    });
  }

  /** Returns what to ask a new connection for. */
  async start(locateTail: LocateTail): Promise<OutputStart> {
    if (this.#sizesAtOpen) await this.#settle(this.#sizesAtOpen, locateTail);
    else if (this.#asked.tailLines !== undefined) return this.#asked;
    const { streams = [] } = this.#asked;
    return {
      streams,
      stdoutOffset: this.#next.get("stdout") ?? 0,
      stderrOffset: this.#next.get("stderr") ?? 0,
    };
  }

  /**
   * Decides where to begin in the streams of which nothing came before the connection
   * was lost. It is never after the size when the first connection opened: what was
   * written since then is new, and must come. Before that, it is the start of the last
   * lines as they are now.
   */
  async #settle(sizes: LogSizes, locateTail: LocateTail): Promise<void> {
    for (const stream of wantedStreams(this.#asked)) {
      if (this.#next.has(stream)) continue;
      const size = stream === "stdout" ? sizes.stdoutBytes : sizes.stderrBytes;
      const hasTail = size > 0 && this.#asked.tailLines !== 0;
      const tailStart = hasTail ? await locateTail(stream) : undefined;
      this.#next.set(stream, Math.min(tailStart ?? size, size));
    }
  }
}

function wantedStreams({ streams = [] }: OutputStart): readonly Stream[] {
  return streams.length === 0 ? STREAMS : streams;
}

function offsetAsked(asked: OutputStart, stream: Stream): number {
  return (stream === "stdout" ? asked.stdoutOffset : asked.stderrOffset) ?? 0;
}
