import type { Stream } from "../../contract/job.js";
import type { OutputLine } from "../../contract/procman.js";
import type { LogChunk, LogLine } from "../../core/ports.js";
import { parseProgress } from "../progress/parse-progress.js";
import { LineSplitter, type SplitLine } from "./line-splitter.js";

/** One stream whose chunks become lines. */
interface StreamLines {
  readonly splitter: LineSplitter;
  /** Of the last chunk. */
  seenTime: Date | undefined;
}

/**
 * Gives the chunks as lines, with the progress that they tell of. The unterminated
 * last one of each stream comes at the end, or where a log limit or a truncation has
 * removed the output after it.
 * @throws the signal's reason, also between two lines of a chunk
 */
export async function* linesOfChunks(
  chunks: AsyncIterable<LogChunk>,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogLine, void, undefined> {
  const streams = new Map<Stream, StreamLines>();
  for await (const { stream, offset, data, seenTime, isTruncation } of chunks) {
    let lines = streams.get(stream);
    if (lines?.splitter.pushOffset !== offset || isTruncation) {
      for (const line of lastLines(stream, lines)) {
        yield line;
        signal?.throwIfAborted();
      }
      lines = { splitter: new LineSplitter(offset), seenTime };
      streams.set(stream, lines);
    }
    if (isTruncation) {
      const place = { offset, nextOffset: offset };
      yield { stream, text: "", ...place, terminator: "none", isTruncation };
      signal?.throwIfAborted();
      continue;
    }
    lines.splitter.push(data);
    lines.seenTime = seenTime;
    for (const line of readyLines(stream, lines)) {
      yield line;
      signal?.throwIfAborted();
    }
  }
  for (const [stream, lines] of streams) {
    for (const line of lastLines(stream, lines)) {
      yield line;
      signal?.throwIfAborted();
    }
  }
}

function lastLines(stream: Stream, lines: StreamLines | undefined): Iterable<OutputLine> {
  if (lines === undefined) return [];
  lines.splitter.end();
  return readyLines(stream, lines);
}

/** Gives one line at a time, so that no more than a chunk is held however slow the consumer is. */
function* readyLines(stream: Stream, { splitter, seenTime }: StreamLines): Generator<OutputLine> {
  for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
    yield outputLine(stream, line, seenTime);
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
