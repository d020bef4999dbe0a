import type { OutputChunk, OutputLine } from "../../contract/procman.js";
import type { Stream } from "../../contract/job.js";
import { LineSplitter } from "./line-splitter.js";
import { outputLine } from "./output-line.js";

/** One stream while its chunks become lines. */
interface StreamLines {
  readonly splitter: LineSplitter;
  /** Of the last chunk. */
  seenTime: Date | undefined;
}

/**
 * The chunks as lines, with what they tell of progress; the unterminated last
 * one of each stream comes at the end, or where the output after it is gone.
 * @throws the signal's reason, also between two lines of a chunk
 */
export async function* linesOfChunks(
  chunks: AsyncIterable<OutputChunk>,
  signal: AbortSignal | undefined,
): AsyncGenerator<OutputLine, void, undefined> {
  const streams = new Map<Stream, StreamLines>();
  for await (const { stream, offset, data, seenTime } of chunks) {
    let lines = streams.get(stream);
    if (lines?.splitter.pushOffset !== offset) {
      for (const line of lastLines(stream, lines)) {
        yield line;
        signal?.throwIfAborted();
      }
      lines = { splitter: new LineSplitter(offset), seenTime };
      streams.set(stream, lines);
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

/** One at a time, so that no more than a chunk is held whoever is slow. */
function* readyLines(stream: Stream, { splitter, seenTime }: StreamLines): Generator<OutputLine> {
  for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
    yield outputLine(stream, line, seenTime);
  }
}
