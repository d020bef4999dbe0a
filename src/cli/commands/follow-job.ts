import { setMaxListeners } from "node:events";
import { ProcmanError } from "../../contract/errors.js";
import { isTerminal, type Job } from "../../contract/job.js";
import type { AttachOptions, Procman } from "../../contract/procman.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { defined } from "../../platform/defined.js";
import { shellWord } from "../../platform/shell-word.js";
import type { Cli } from "../cli.js";
import { CliError, EXIT } from "../exit-codes.js";
import { formatJobSummary } from "../format/job-details.js";
import { copyOutput } from "../terminal/copy-output.js";
import { OutputClosed } from "../terminal/output.js";
import { copyPrefixed, type LinePrefix, linePrefixes } from "../terminal/prefixed-output.js";
import { canInteract, interact } from "../terminal/interact.js";
import type { DetachKey } from "../terminal/keys.js";
import { type PumpOptions, pumpInput, withPump } from "../terminal/pump-input.js";
import type { CommandContext } from "./command-context.js";

export interface FollowOptions {
  readonly id: string;
  /** Aborted by Ctrl-C, or what else detaches. */
  readonly interruption: AbortSignal;
  /** Tell the user to come back with `attach -i`. */
  readonly interactive?: boolean;
  /** The job ends with this command. */
  readonly endsToo?: boolean;
}

/**
 * Follows a job until it has ended, and reports how; or until the user detaches, who
 * is then told how to come back.
 * @returns the job, unless the user has detached
 */
export async function followJob(
  context: CommandContext,
  { id, interruption, interactive = false, endsToo = false }: FollowOptions,
  follow: (signal: AbortSignal) => Promise<Job>,
): Promise<Job | undefined> {
  const { stderr } = context.cli;
  const hint = reattachHint(context, id, interactive);
  let job: Job;
  try {
    job = await follow(interruption);
  } catch (error) {
    if (interruption.aborted) {
      // After the "^C" that the terminal shows.
      const newLine = stderr.isTerminal ? "\n" : "";
      const { attach, cancel } = hint;
      const fate = endsToo
        ? `job ${id} is ended`
        : `detached; job ${id} goes on. Come back: ${attach}   Stop it: ${cancel}`;
      await stderr.line(`${newLine}${fate}`);
      context.exitCode = EXIT.interrupted;
      return undefined;
    }
    if (error instanceof ProcmanError && error.reason === "UNREACHABLE") {
      const message = `lost the server; job ${id} goes on. Come back: ${hint.attach}   (${error.message})`;
      throw new CliError(message, { cause: error });
    }
    throw error;
  }
  await reportEnd(job, context.cli);
  return job;
}

/**
 * Follows several jobs at once until all have ended, or the user leaves. One that fails
 * does not keep the others from it.
 * @param attach.json print events with their jobs' ids, in place of lines
 */
export async function followSeveral(
  context: CommandContext,
  client: Procman,
  jobs: readonly Job[],
  { json, ...attach }: Omit<AttachOptions, "signal"> & { readonly json: boolean },
): Promise<void> {
  const { cli } = context;
  const signal = cli.interruption();
  const prefixes = linePrefixes(jobs);
  const leaving = createLinkedAbortController(signal);
  // Each job adds some.
  setMaxListeners(0, leaving.signal);
  const follow = async ({ id }: Job, prefix: LinePrefix) => {
    try {
      const options = { ...attach, signal: leaving.signal };
      const last = json
        ? await copyOutput(client, id, { ...options, json, isOneOfSeveral: true }, cli)
        : await copyPrefixed(client, id, prefix, options, cli);
      await reportEnd(last, cli);
    } catch (error) {
      if (leaving.signal.aborted) return;
      // Where nobody reads any more, there is nothing left to do for the others either.
      if (error instanceof OutputClosed) leaving.abort(error);
      await context.reportFailure(error);
    }
  };
  await Promise.all(jobs.map((job, index) => follow(job, prefixes[index] as LinePrefix)));
  if (!signal.aborted) return;
  await cli.stderr.line(`${cli.stderr.isTerminal ? "\n" : ""}detached; the jobs go on`);
  context.exitCode = EXIT.interrupted;
}

/** Commands that come back to a job. */
interface ReattachHint {
  readonly attach: string;
  readonly cancel: string;
}

/** Repeats which server it is, as this command was told. */
function reattachHint(
  { serverOptions, host }: CommandContext,
  id: string,
  interactive: boolean,
): ReattachHint {
  const { stateDir } = serverOptions;
  const words =
    stateDir === undefined ? (host?.words ?? []) : [`--state-dir ${shellWord(stateDir)}`];
  const server = words.map((word) => ` ${word}`).join("");
  return {
    attach: `procman attach${server}${interactive ? " -i" : ""} ${id}`,
    cancel: `procman cancel${server} ${id}`,
  };
}

/**
 * Tells a person how a job ended, and anybody where its exit code does not tell.
 * Else nothing is added to the job's own stderr.
 */
async function reportEnd(job: Job, { stderr }: Cli): Promise<void> {
  const unexplained = "error" in job && Boolean(job.error);
  if (isTerminal(job) && (stderr.isTerminal || unexplained)) {
    await stderr.line(`procman: ${formatJobSummary(job, stderr)}`);
  }
}

export interface FollowWithInputOptions extends Omit<AttachOptions, "follow" | "signal"> {
  readonly json: boolean;
  /** How stdin is sent where it is not sent key by key. */
  readonly pump: Pick<PumpOptions, "sender" | "close">;
  readonly detachKey: DetachKey;
  /** Have what runs in the job's terminal draw anew. */
  readonly redraw: boolean;
  readonly interruption: AbortSignal;
  readonly endsToo?: boolean;
}

/**
 * Follows a job and sends it this process's stdin: key by key where both have a
 * terminal, else as bytes.
 */
export async function followWithInput(
  context: CommandContext,
  client: Procman,
  job: Job,
  { detachKey, redraw, pump, interruption, endsToo = false, ...attach }: FollowWithInputOptions,
): Promise<Job | undefined> {
  const { id } = job;
  const { cli } = context;
  if (attach.json || !canInteract(job, cli)) {
    return followJob(context, { id, interruption, interactive: true, endsToo }, (signal) =>
      withPump(
        (signal) =>
          pumpInput(client, id, (signal) => cli.stdin.pieces(signal), { ...pump, signal }),
        (signal) => copyOutput(client, id, { ...attach, follow: true, signal }, cli),
        signal,
      ),
    );
  }
  const detached = createLinkedAbortController(interruption);
  const { tailLines } = attach;
  const options = {
    ...defined({ tailLines }),
    detachKey,
    redraw,
    onDetach: () => detached.abort(),
  };
  const following = { id, interruption: detached.signal, interactive: true, endsToo };
  return followJob(context, following, (signal) =>
    interact(client, id, { ...options, signal }, cli),
  );
}
