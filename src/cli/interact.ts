import type { Procman } from "../core/api.js";
import type { Job } from "../core/job.js";
import type { Cli } from "./cli.js";
import { CliError } from "./cli-error.js";
import type { DetachKey } from "./detach-key.js";
import { pumpInput, whilePumping } from "./pump-input.js";
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
  const state = new TerminalState();
  const giveKeysBack = stdin.takeKeys();
  const stopFollowing = followWindow(client, id, cli, options);
  try {
    return await whilePumping(
      (signal) => {
        const keys = (signal: AbortSignal) => untilDetached(stdin.pieces(signal), options);
        return pumpInput(client, id, keys, { close: false, signal });
      },
      (signal) => show(client, id, { ...options, signal }, state, cli),
      options.signal,
    );
  } finally {
    stopFollowing();
    giveKeysBack();
    await stdout.write(state.restoring());
  }
}

/** Has the job's terminal follow the size of this one. @returns how to stop that */
export function followWindow(
  client: Procman,
  id: string,
  { stdout }: Cli,
  { redraw = false } = {},
): () => void {
  let last: Promise<unknown> = Promise.resolve();
  const resize = (rowsLess = 0) => {
    const { windowSize } = stdout;
    if (!windowSize) return;
    const { rows, columns } = windowSize;
    const size = { rows: Math.max(rows - rowsLess, 1), columns };
    // What goes wrong with it is told by those who follow the output.
    last = last.then(() => client.resizeWindow(id, size)).catch(() => {});
  };
  if (redraw) {
    // Programs draw anew for another size only.
    resize(1);
    resize();
  }
  return stdout.onResize(() => resize());
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

async function* untilDetached(
  pieces: AsyncIterable<Uint8Array>,
  { detachKey, onDetach }: InteractOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    const end = detachKey.findIn(piece);
    if (end < 0) yield piece;
    else {
      if (end > 0) yield piece.subarray(0, end);
      onDetach();
      return;
    }
  }
}
