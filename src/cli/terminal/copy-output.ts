import type { Job, Stream } from "../../contract/job.js";
import type { AttachOptions, OutputStart, Procman } from "../../contract/procman.js";
import { attachEventJson } from "../../wire/json.js";
import type { Cli } from "../cli.js";
import { CliError } from "../exit-codes.js";
import { byteCount } from "../format/job-facts.js";
import { RawView } from "./raw-view.js";

export interface CopyOptions extends AttachOptions {
  /** As JSON events, and nothing else. */
  readonly json?: boolean;
  /** On a terminal, show the progress that the output tells of. */
  readonly progress?: boolean;
}

/** Copies a job's output to this process's, byte by byte or as JSON events, until its end. */
export async function copyOutput(
  client: Procman,
  id: string,
  { json = false, progress = false, ...attach }: CopyOptions,
  cli: Cli,
): Promise<Job> {
  const view = new RawView(cli, { progress });
  const gaps = new OutputGaps(attach);
  try {
    for await (const event of client.attach(id, attach)) {
      if (json) await cli.stdout.line(attachEventJson(event));
      else if (event.type === "chunk") {
        const { stream, offset, data } = event;
        const gap = gaps.before(stream, offset, offset + data.length);
        if (gap && cli.stderr.isTerminal) {
          await view.show("stderr", Buffer.from(`${cli.stderr.paint("dim", gap)}\n`));
        }
        await view.show(stream, data);
      }
      if (event.type === "ended") return event.job;
    }
  } finally {
    await view.close();
  }
  throw unexpectedEnd(id);
}

/** Notices output that is missing, since a log limit has removed it. */
export class OutputGaps {
  /** Where each stream goes on; unknown before the first piece of a tail. */
  readonly #next = new Map<Stream, number>();

  constructor({ tailLines, stdoutOffset = 0, stderrOffset = 0 }: OutputStart) {
    if (tailLines !== undefined) return;
    this.#next.set("stdout", stdoutOffset).set("stderr", stderrOffset);
  }

  /** Returns what to tell a person before this piece of output is shown, if anything. */
  before(stream: Stream, offset: number, nextOffset: number): string | undefined {
    const missing = offset - (this.#next.get(stream) ?? offset);
    this.#next.set(stream, nextOffset);
    if (missing === 0) return undefined;
    return `procman: here ${byteCount(missing)} of ${stream} are gone, by the job's log limit`;
  }
}

export function unexpectedEnd(id: string): CliError {
  return new CliError(`the output of job ${id} ended unexpectedly`);
}
