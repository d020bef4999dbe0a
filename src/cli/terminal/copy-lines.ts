import type { Job, Stream } from "../../contract/job.js";
import type { OutputLine, Procman, WatchOptions } from "../../contract/procman.js";
import type { Cli } from "../cli.js";
import { OutputGaps, unexpectedEnd } from "./copy-output.js";

/**
 * Copies the lines of a job's output that match to this process's, until the end. Every
 * line ends with a line break, also a last one that had none, and one that ended with "\r".
 */
export async function copyMatchingLines(
  client: Procman,
  id: string,
  options: WatchOptions & Required<Pick<WatchOptions, "pattern">>,
  cli: Cli,
): Promise<Job> {
  const { stderr } = cli;
  const gaps = new OutputGaps({ ...options, tailLines: 0 });
  const pieces = new Pieces();
  const breakLine = async (stream: Stream, next?: OutputLine) => {
    if (pieces.isBroken(stream, next)) await cli[stream].write("\n");
  };
  for await (const event of client.watch(id, options)) {
    switch (event.type) {
      case "opened":
        gaps.opened(event.job);
        break;
      case "line":
        await breakLine(event.stream, event);
        await cli[event.stream].write(event.text + (event.terminator === "none" ? "" : "\n"));
        break;
      case "truncated":
        await breakLine(event.stream);
        if (stderr.isTerminal) await stderr.line(stderr.paint("dim", gaps.truncated(event)));
        break;
      case "searched":
        break;
      case "ended":
        for (const stream of ["stdout", "stderr"] as const) await breakLine(stream);
        gaps.throwIfMissing();
        return event.job;
    }
  }
  throw unexpectedEnd(id);
}

/** Knows whether a line that came in pieces is over, since its next piece does not match. */
class Pieces {
  readonly #open = new Map<Stream, number>();

  /** @param next the line that comes next in that stream, which is noted */
  isBroken(stream: Stream, next?: OutputLine): boolean {
    const goesOnAt = this.#open.get(stream);
    if (next?.terminator === "none") this.#open.set(stream, next.nextOffset);
    else this.#open.delete(stream);
    return goesOnAt !== undefined && goesOnAt !== next?.offset;
  }
}
