import type { Procman } from "../../contract/procman.js";
import type { ProcmanError } from "../../contract/errors.js";
import type { Job } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { CliError } from "../cli-error.js";
import type { DetachKey } from "./detach-key.js";
import { sendKeys } from "./keys.js";
import { pumpInput, wantsNoMore, whilePumping } from "./pump-input.js";
import { TerminalState, withoutQuestions } from "./terminal-state.js";

export interface InteractOptions {
  readonly detachKey: DetachKey;
  /** Lines of what was shown before, to begin with. Default: all of it. */
  readonly tailLines?: number;
  /** Have what runs in the job's terminal draw anew. */
  readonly redraw: boolean;
  /** Called when the detach key is pressed. */
  readonly onDetach: () => void;
  readonly signal: AbortSignal;
}

/** Whatever ends it, the terminal is to be left as it was. */
export const LEAVE_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Whether this terminal can be lent to a job. */
export function canInteract(job: Pick<Job, "pty" | "stdin">, { stdin, stdout }: Cli): boolean {
  return job.pty && job.stdin && stdin.isTerminal && stdout.isTerminal;
}

/**
 * Makes this terminal the job's: what the job shows is shown, keys go to the job,
 * and its terminal has this one's size. This one is as it was afterwards.
 */
export async function interact(
  client: Procman,
  id: string,
  options: InteractOptions,
  cli: Cli,
): Promise<Job> {
  const { stdin, stdout } = cli;
  const { detachKey, onDetach } = options;
  const state = new TerminalState();
  const giveKeysBack = stdin.takeKeys();
  // A second signal, and what nobody has thought of.
  const stopRestoring = cli.onExit(() => {
    giveKeysBack();
    stdout.writeNow(state.restoring());
  });
  const stopFollowing = followWindow(client, id, cli, options);
  const onDropped = () => void stdout.write("\u0007").catch(() => {});
  try {
    return await whilePumping(
      (signal) =>
        sendKeys(
          stdin.pieces(signal),
          (keys) => pumpKeys(client, id, keys, { detachKey, signal }, cli),
          { detachKey, onDetach, onDropped },
        ),
      (signal) => show(client, id, { ...options, signal }, state, cli),
      options.signal,
    );
  } finally {
    stopRestoring();
    stopFollowing();
    giveKeysBack();
    await stdout.write(state.restoring());
  }
}

/** Who types what is read no more is told how to leave. */
async function pumpKeys(
  client: Procman,
  id: string,
  keys: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  { detachKey, signal }: Pick<InteractOptions, "detachKey" | "signal">,
  { stdout }: Cli,
): Promise<void> {
  try {
    await pumpInput(client, id, keys, { close: false, signal });
  } catch (error) {
    if (!wantsNoMore(error)) throw error;
    // Its end is told of as well.
    if ((error as ProcmanError).reason === "JOB_NOT_RUNNING") return;
    const note = `procman: job ${id} takes no more input; ${detachKey.name} leaves`;
    await stdout.write(`\r\n${stdout.paint("dim", note)}\r\n`);
  }
}

/** Has the job's terminal follow the size of this one. @returns how to stop that */
export function followWindow(
  client: Procman,
  id: string,
  { stdout }: Cli,
  { redraw = false } = {},
): () => void {
  const stopped = new AbortController();
  let last: Promise<unknown> = Promise.resolve();
  const resize = (rowsLess = 0) => {
    const { windowSize } = stdout;
    if (!windowSize) return;
    const { rows, columns } = windowSize;
    const size = { rows: Math.max(rows - rowsLess, 1), columns };
    // What goes wrong with it is told by those who follow the output.
    const { signal } = stopped;
    last = last.then(() => client.resizeWindow(id, size, { signal })).catch(() => {});
  };
  if (redraw) {
    // Programs draw anew for another size only.
    resize(1);
    resize();
  }
  const stopListening = stdout.onResize(() => resize());
  return () => {
    stopListening();
    stopped.abort();
  };
}

async function show(
  client: Procman,
  id: string,
  { tailLines, signal }: InteractOptions,
  state: TerminalState,
  { stdout }: Cli,
): Promise<Job> {
  let shownBefore = 0;
  const from = tailLines === undefined ? {} : { tailLines };
  for await (const event of client.attach(id, { ...from, follow: true, signal })) {
    if (event.type === "ended") return event.job;
    if (event.type === "opened") shownBefore = event.job.stdoutBytes;
    if (event.type !== "chunk") continue;
    const data = event.offset < shownBefore ? withoutQuestions(event.data) : event.data;
    state.shown(data);
    await stdout.write(data);
  }
  throw new CliError(`the output of job ${id} ended unexpectedly`);
}
