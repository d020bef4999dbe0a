import { type Stream, STREAMS } from "../../contract/job.js";
import type { OutputLine, SearchedOffsets } from "../../contract/procman.js";
import type { LogChunk, LogLine, OutputPositions } from "../../core/ports.js";
import { parseProgress } from "../progress/parse-progress.js";
import { LineSplitter, type SplitLine } from "./line-splitter.js";

/** One stream whose chunks become lines. */
interface StreamLines {
  readonly splitter: LineSplitter;
  /** Of the last chunk. */
  seenTime: Date | undefined;
}

export interface ChunkLinesOptions {
  /** Whether a line is wanted, by its text. Default: each is. */
  readonly isWanted?: (text: string) => boolean;
  /** Where the first chunks begin; only for `offsets`. */
  readonly from?: OutputPositions;
}

/**
 * Cuts the chunks of a job's logs into lines, with the progress that they tell of. Take
 * each generator to its end before the next call: one line is made at a time, so that no
 * more than a chunk is held however slow the consumer is.
 */
export class ChunkLines {
  readonly #isWanted: ((text: string) => boolean) | undefined;
  readonly #streams = new Map<Stream, StreamLines>();

  constructor({ isWanted, from = {} }: ChunkLinesOptions = {}) {
    this.#isWanted = isWanted;
    for (const stream of STREAMS) {
      const offset = from[stream];
      if (offset === undefined) continue;
      this.#streams.set(stream, { splitter: new LineSplitter(offset), seenTime: undefined });
    }
  }

  /** Where in each stream the first line begins that was not given yet. */
  get offsets(): SearchedOffsets {
    const offsetOf = (stream: Stream) => this.#streams.get(stream)?.splitter.offset ?? 0;
    return { stdoutOffset: offsetOf("stdout"), stderrOffset: offsetOf("stderr") };
  }

  /**
   * Yields the lines that the chunk completes, undefined for one that is not wanted. The
   * unterminated last one comes where a log limit or a truncation has removed the output
   * after it.
   */
  *add(chunk: LogChunk): Generator<LogLine | undefined, void, undefined> {
    const { stream, offset, data, seenTime, isTruncation } = chunk;
    let lines = this.#streams.get(stream);
    if (lines?.splitter.pushOffset !== offset || isTruncation) {
      if (lines) yield* this.#last(stream, lines);
      lines = { splitter: new LineSplitter(offset), seenTime };
      this.#streams.set(stream, lines);
    }
    if (isTruncation) {
      const place = { offset, nextOffset: offset };
      yield { stream, text: "", ...place, terminator: "none", isTruncation };
      return;
    }
    lines.splitter.push(data);
    lines.seenTime = seenTime;
    yield* this.#ready(stream, lines);
  }

  /** Yields the unterminated last line of each stream. */
  *end(): Generator<LogLine | undefined, void, undefined> {
    for (const [stream, lines] of this.#streams) yield* this.#last(stream, lines);
  }

  #last(stream: Stream, lines: StreamLines): Iterable<LogLine | undefined> {
    lines.splitter.end();
    return this.#ready(stream, lines);
  }

  *#ready(stream: Stream, { splitter, seenTime }: StreamLines): Generator<OutputLine | undefined> {
    const isWanted = this.#isWanted;
    for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
      yield isWanted?.(line.text) === false ? undefined : outputLine(stream, line, seenTime);
    }
  }
}

/** Returns a line of a stream with the progress that it tells of. */
export function outputLine(stream: Stream, split: SplitLine, seenTime?: Date): OutputLine {
  const { text, offset, nextOffset, terminator } = split;
  const line: { -readonly [Field in keyof OutputLine]: OutputLine[Field] } = {
    stream,
    text,
    offset,
    nextOffset,
    terminator,
  };
  const progress = parseProgress(text);
  if (progress !== undefined) line.progress = progress;
  if (seenTime !== undefined) line.seenTime = seenTime;
  return line;
}
