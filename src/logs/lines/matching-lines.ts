import { STREAMS } from "../../contract/job.js";
import type { LineFilter } from "../../core/line-pattern.js";
import type { LogChunk, LogLine, LogSearched, OutputPositions } from "../../core/ports.js";
import { Turns } from "../../platform/turns.js";
import { ChunkLines } from "./chunk-lines.js";

/** How much of a stream is searched at most before that is told. */
const MAX_UNTOLD_BYTES = 1024 * 1024;

/**
 * Gives those lines of the chunks that a filter wants, and truncations; and how far it has
 * come, so that a reader who sees few lines need not begin anew: at least once in each MiB
 * of a stream, and at the end.
 * @throws the signal's reason, also between two lines of a chunk
 */
export async function* matchingLines(
  chunks: AsyncIterable<LogChunk>,
  from: OutputPositions,
  { pattern, invert }: LineFilter,
  signal: AbortSignal | undefined,
): AsyncGenerator<LogLine | LogSearched, void, undefined> {
  const lines = new ChunkLines({ from, isWanted: (text) => pattern.matches(text) !== invert });
  const told = { stdout: from.stdout ?? 0, stderr: from.stderr ?? 0 };
  const turns = new Turns();
  for await (const chunk of chunks) {
    for (const line of lines.add(chunk)) {
      if (line) {
        told[line.stream] = line.nextOffset;
        yield line;
      } else if (turns.isOver) await turns.next();
      signal?.throwIfAborted();
    }
    const { offsets } = lines;
    const untoldBytes = STREAMS.map((stream) => offsets[`${stream}Offset`] - told[stream]);
    if (Math.max(...untoldBytes) < MAX_UNTOLD_BYTES) continue;
    told.stdout = offsets.stdoutOffset;
    told.stderr = offsets.stderrOffset;
    yield { isSearched: true, isEnd: false, ...offsets };
    signal?.throwIfAborted();
  }
  for (const line of lines.end()) {
    if (line) yield line;
    signal?.throwIfAborted();
  }
  yield { isSearched: true, isEnd: true, ...lines.offsets };
}
