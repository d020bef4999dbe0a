import type { AttachOptions, Procman } from "../../contract/procman.js";
import { ProcmanError } from "../../contract/errors.js";
import { isTerminal, type Job } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { CliError } from "../cli-error.js";
import { quoted } from "../format/command-line.js";
import { EXIT } from "../exit-codes.js";
import { formatJobSummary } from "../format/job-details.js";
import { attachEventJson } from "../../wire/json.js";
import { OutputGaps } from "../terminal/output-gaps.js";
import { RawView } from "../terminal/raw-view.js";

/** What became of following a job. */
export type Followed =
  | { readonly kind: "ended"; readonly job: Job }
  | { readonly kind: "detached"; readonly exitCode: number };

/** How one comes back to a job: how this command was told its state directory is repeated. */
export interface WayBack {
  readonly id: string;
  readonly stateDirOption: string | undefined;
  /** What to say of `attach` besides: " -i". */
  readonly attachOption?: string;
}

export interface CopyOptions extends AttachOptions {
  /** As JSON events, and nothing else. */
  readonly json?: boolean;
  /** On a terminal, show the progress that the output tells of. */
  readonly progress?: boolean;
}

/** Copies a job's output to ours, byte by byte, or as JSON events, until its end. */
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
  throw new CliError(`the output of job ${id} ended unexpectedly`);
}

/** Follows until the job has ended or Ctrl-C is pressed, and says how to come back then. */
export async function untilInterrupted(
  follow: (signal: AbortSignal) => Promise<Job>,
  interruption: AbortSignal,
  { id, stateDirOption, attachOption = "" }: WayBack,
  { stderr }: Cli,
): Promise<Followed> {
  const where = stateDirOption === undefined ? "" : ` --state-dir ${quoted(stateDirOption)}`;
  const attach = `procman attach${where}${attachOption} ${id}`;
  try {
    return { kind: "ended", job: await follow(interruption) };
  } catch (error) {
    if (interruption.aborted) {
      const stop = `procman cancel${where} ${id}`;
      // After the "^C" that the terminal shows.
      const fresh = stderr.isTerminal ? "\n" : "";
      await stderr.line(
        `${fresh}detached; job ${id} goes on. Come back: ${attach}   Stop it: ${stop}`,
      );
      return { kind: "detached", exitCode: EXIT.interrupted };
    }
    if (error instanceof ProcmanError && error.reason === "UNREACHABLE") {
      const message = `lost the server; job ${id} goes on. Come back: ${attach}   (${error.message})`;
      throw new CliError(message, { cause: error });
    }
    throw error;
  }
}

/**
 * Says how a job ended: to a person, and wherever its exit code does not tell.
 * Else nothing is added to the job's own stderr.
 */
export async function sayHowItEnded(job: Job, { stderr }: Cli): Promise<void> {
  const unexplained = "error" in job && Boolean(job.error);
  if (isTerminal(job) && (stderr.isTerminal || unexplained)) {
    await stderr.line(`procman: ${formatJobSummary(job, stderr)}`);
  }
}
