import { type Progress, STREAMS, type Stream } from "../../contract/job.js";
import { LineSplitter, type SplitLine } from "../../logs/lines/line-splitter.js";
import { parseProgress } from "../../logs/progress/parse-progress.js";

/** How much of the end of each stream is kept: as much as the server looks at. */
const TAIL_BYTES = 8 * 1024;

const NOTHING: Uint8Array = new Uint8Array();

/** The end of a job's output. */
export class OutputTail {
  readonly #tails: Record<Stream, Uint8Array> = { stdout: NOTHING, stderr: NOTHING };
  #last: Stream = "stdout";

  push(stream: Stream, data: Uint8Array): void {
    this.#last = stream;
    const before = data.length < TAIL_BYTES ? this.#tails[stream] : NOTHING;
    this.#tails[stream] = Buffer.concat([before, data]).subarray(-TAIL_BYTES);
  }

  /**
   * The last progress that it tells of in lines of their own: of the stream that
   * came last, else of the other. What a program draws over and over in one line
   * is to be seen as it is.
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
  // The first one may lack its beginning, which may tell "5%" for 45%.
  return bytes.length < TAIL_BYTES ? lines : lines.slice(1);
}
