import { type Progress, STREAMS, type Stream } from "../../contract/job.js";
import { LineSplitter, type SplitLine } from "../../logs/lines/line-splitter.js";
import { parseProgress } from "../../logs/progress/parse-progress.js";

/** How much of the end of each stream is kept: as much as the server searches for progress. */
const TAIL_BYTES = 8 * 1024;

const EMPTY: Uint8Array = new Uint8Array();

/** Keeps the end of a job's output, and finds the progress in it. */
export class OutputTail {
  readonly #tails: Record<Stream, Uint8Array> = { stdout: EMPTY, stderr: EMPTY };
  #last: Stream = "stdout";

  push(stream: Stream, data: Uint8Array): void {
    this.#last = stream;
    const before = data.length < TAIL_BYTES ? this.#tails[stream] : EMPTY;
    this.#tails[stream] = Buffer.concat([before, data]).subarray(-TAIL_BYTES);
  }

  /**
   * Returns the last progress that has a line of its own: of the stream that wrote
   * last, else of the other. Not what a program draws over and over in one line: that
   * is on the screen already.
   */
  progress(): Progress | undefined {
    const streams = [...STREAMS].sort((a) => (a === this.#last ? -1 : 1));
    for (const stream of streams) {
      const progress = progressOf(linesOf(this.#tails[stream]));
      if (progress) return progress;
    }
    return undefined;
  }
}

function progressOf(lines: readonly SplitLine[]): Progress | undefined {
  for (let n = lines.length - 1; n >= 0; n -= 1) {
    const line = lines[n] as SplitLine;
    const progress = parseProgress(line.text);
    if (!progress) continue;
    const isDrawn = line.terminator === "cr" || lines[n - 1]?.terminator === "cr";
    return isDrawn ? undefined : progress;
  }
  return undefined;
}

function linesOf(bytes: Uint8Array): SplitLine[] {
  const splitter = new LineSplitter(0);
  splitter.push(bytes);
  splitter.end();
  const lines: SplitLine[] = [];
  for (let line = splitter.next(); line !== undefined; line = splitter.next()) lines.push(line);
  // The first one may lack its beginning: "5%" of 45%.
  return bytes.length < TAIL_BYTES ? lines : lines.slice(1);
}
