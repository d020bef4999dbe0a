import { type Job, type Stream, STREAMS } from "../../contract/job.js";
import type { OutputLine, Procman, WatchOptions } from "../../contract/procman.js";
import type { Cli } from "../cli.js";
import { writtenTime } from "../format/written-time.js";
import { OutputGaps, unexpectedEnd } from "./copy-output.js";

/**
 * Copies the lines of a job's output that are asked for to this process's, until the end,
 * with the time before each where that is asked for. Every line ends with a line break,
 * also a last one that had none, and one that ended with "\r".
 */
export async function copyLines(
  client: Procman,
  id: string,
  options: WatchOptions,
  cli: Cli,
): Promise<Job> {
  const { stderr } = cli;
  const isWhole = !options.pattern;
  const gaps = new OutputGaps(isWhole ? options : { ...options, tailLines: 0 });
  const pieces = new Pieces();
  const breakLine = async (stream: Stream) => {
    if (pieces.end(stream)) await cli[stream].write("\n");
  };
  const note = async (text: string | undefined) => {
    if (text && stderr.isTerminal) await stderr.line(stderr.paint("dim", text));
  };
  for await (const event of client.watch(id, options)) {
    switch (event.type) {
      case "opened":
        gaps.opened(event.job);
        break;
      case "line": {
        const { stream, offset, nextOffset, text, terminator, writtenBetween } = event;
        if (isWhole) await note(gaps.before(stream, offset, nextOffset));
        const isPiece = pieces.goesOn(event);
        if (!isPiece) await breakLine(stream);
        const time = writtenBetween && !isPiece ? `${writtenTime(writtenBetween)} ` : "";
        await cli[stream].write(time + text + (terminator === "none" ? "" : "\n"));
        pieces.take(event);
        break;
      }
      case "truncated":
        await breakLine(event.stream);
        await note(gaps.truncated(event));
        break;
      case "searched":
        break;
      case "ended":
        for (const stream of STREAMS) await breakLine(stream);
        gaps.throwIfMissing();
        return event.job;
    }
  }
  throw unexpectedEnd(id);
}

/** Knows whether a line that came in pieces is over, since its next piece does not match. */
class Pieces {
  readonly #open = new Map<Stream, number>();

  /** Whether this is the next piece of the line before it. */
  goesOn({ stream, offset }: OutputLine): boolean {
    return this.#open.get(stream) === offset;
  }

  take({ stream, terminator, nextOffset }: OutputLine): void {
    if (terminator === "none") this.#open.set(stream, nextOffset);
    else this.#open.delete(stream);
  }

  /** @returns whether a line was not over */
  end(stream: Stream): boolean {
    return this.#open.delete(stream);
  }
}
