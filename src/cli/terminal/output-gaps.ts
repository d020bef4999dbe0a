import type { OutputStart } from "../../contract/procman.js";
import { STREAMS, type Stream } from "../../contract/job.js";
import { byteCount } from "../format/job-facts.js";

/** Notices output that is missing because a log limit has taken it. */
export class OutputGaps {
  /** Where each stream goes on; unknown before the first piece of a tail. */
  readonly #next = new Map<Stream, number>();

  constructor(start: OutputStart) {
    if (start.tailLines !== undefined) return;
    for (const stream of STREAMS) {
      this.#next.set(stream, (stream === "stdout" ? start.stdoutOffset : start.stderrOffset) ?? 0);
    }
  }

  /** What to tell a person before this piece of output is shown, where there is something. */
  before(stream: Stream, offset: number, nextOffset: number): string | undefined {
    const missing = offset - (this.#next.get(stream) ?? offset);
    this.#next.set(stream, nextOffset);
    if (missing === 0) return undefined;
    return `procman: here ${byteCount(missing)} of ${stream} are gone, by the job's log limit`;
  }
}
