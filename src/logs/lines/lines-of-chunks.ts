import type { LogChunk, LogLine } from "../../core/ports.js";
import { ChunkLines } from "./chunk-lines.js";

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
  const lines = new ChunkLines();
  for await (const chunk of chunks) {
    for (const line of lines.add(chunk)) {
      if (line) yield line;
      signal?.throwIfAborted();
    }
  }
  for (const line of lines.end()) {
    if (line) yield line;
    signal?.throwIfAborted();
  }
}
