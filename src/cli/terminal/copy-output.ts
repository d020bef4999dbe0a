import { type Job, type Stream, STREAMS } from "../../contract/job.js";
import type {
  AttachOptions,
  OutputPeriod,
  OutputStart,
  OutputTruncation,
  Procman,
} from "../../contract/procman.js";
import type { Cli } from "../cli.js";
import { CliError } from "../exit-codes.js";
import { byteCount } from "../format/job-facts.js";
import { RawView } from "./raw-view.js";

export interface CopyOptions extends AttachOptions {
  /** As JSON events, and nothing else. */
  readonly json?: boolean;
  /** Tell the job's id with each event, since there are those of other jobs. */
  readonly isOneOfSeveral?: boolean;
  /** On a terminal, show the progress that the output tells of. */
  readonly progress?: boolean;
}

/** Copies a job's output to this process's, byte by byte or as JSON events, until its end. */
export async function copyOutput(
  client: Procman,
  id: string,
  { json = false, isOneOfSeveral = false, progress = false, ...attach }: CopyOptions,
  cli: Cli,
): Promise<Job> {
  const view = new RawView(cli, { progress });
  const gaps = new OutputGaps(attach);
  // Late, since a server is to be started before so much is loaded.
  const print = json ? (await import("../../wire/json.js")).attachEventJson : undefined;
  const toldId = isOneOfSeveral ? id : undefined;
  const note = async (text: string | undefined) => {
    if (!text || !cli.stderr.isTerminal) return;
    await view.show("stderr", Buffer.from(`${cli.stderr.paint("dim", text)}\n`));
  };
  try {
    for await (const event of client.attach(id, attach)) {
      if (event.type === "opened") gaps.opened(event.job);
      if (print) await cli.stdout.line(print(event, toldId));
      else if (event.type === "truncated") await note(gaps.truncated(event));
      else if (event.type === "chunk") {
        const { stream, offset, data } = event;
        await note(gaps.before(stream, offset, offset + data.length));
        await view.show(stream, data);
      }
      if (event.type === "ended") {
        gaps.throwIfMissing();
        return event.job;
      }
    }
  } finally {
    await view.close();
  }
  throw unexpectedEnd(id);
}

/** Notices output that is missing: removed by a log limit, truncated by the command, deleted. */
export class OutputGaps {
  /** Where each stream goes on; unknown before the first piece of a tail. */
  readonly #next = new Map<Stream, number>();
  readonly #streams: readonly Stream[];
  #job: Job | undefined;

  constructor(asked: OutputStart & OutputPeriod) {
    const { tailLines, sinceTime, streams = [], stdoutOffset = 0, stderrOffset = 0 } = asked;
    this.#streams = streams.length === 0 ? STREAMS : streams;
    if (tailLines !== undefined || sinceTime !== undefined) return;
    this.#next.set("stdout", stdoutOffset).set("stderr", stderrOffset);
  }

  /** Returns what to tell a person before this piece of output is shown, if anything. */
  before(stream: Stream, offset: number, nextOffset: number): string | undefined {
    const missing = offset - (this.#next.get(stream) ?? offset);
    this.#next.set(stream, nextOffset);
    if (missing === 0) return undefined;
    const why = this.#job?.truncations?.[stream]
      ? "since the command has truncated its log"
      : "by the job's log limit";
    return `procman: here ${byteCount(missing)} of ${stream} are gone, ${why}`;
  }

  /** @param job as it was when the output was opened */
  opened(job: Job): void {
    this.#job = job;
  }

  /** Returns what to tell a person where the log was truncated. */
  truncated({ stream, offset }: OutputTruncation): string {
    const lost = offset - (this.#next.get(stream) ?? offset);
    this.#next.set(stream, offset);
    const unseen = lost > 0 ? `; ${byteCount(lost)} that were not shown are lost` : "";
    return `procman: here the command has truncated its ${stream}${unseen}`;
  }

  /** @throws CliError where a log that was to be read was not there */
  throwIfMissing(): void {
    const { id, missingLogs = [] } = this.#job ?? {};
    const missing = this.#streams.filter((stream) => missingLogs.includes(stream));
    if (missing.length === 0) return;
    const logs = missing.map((stream) => `${stream}.log`).join(" and ");
    throw new CliError(`the output of job ${id} is not complete: ${logs} was deleted`);
  }
}

export function unexpectedEnd(id: string): CliError {
  return new CliError(`the output of job ${id} ended unexpectedly`);
}
