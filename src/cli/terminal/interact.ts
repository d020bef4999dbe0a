import type { Job } from "../../contract/job.js";
import type { Procman } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import type { Cli } from "../cli.js";
import { unexpectedEnd } from "./copy-output.js";
import { type DetachKey, sendKeys } from "./keys.js";
import { isInputClosed, pumpInput, withPump } from "./pump-input.js";
import { TerminalState, withoutQueries } from "./terminal-state.js";

export interface InteractOptions {
  readonly detachKey: DetachKey;
  /** Lines of what was shown before, to begin with. Default: all of it. */
  readonly tailLines?: number;
  /** Have what runs in the job's terminal draw anew. */
  readonly redraw: boolean;
  /** Called when the detach key was pressed. */
  readonly onDetach: () => void;
  readonly signal: AbortSignal;
}

/** What detaches from a job's terminal: whatever ends this process, the terminal is restored. */
export const DETACH_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/** Whether this process's terminal can become the job's. */
export function canInteract(job: Pick<Job, "pty" | "stdin">, { stdin, stdout }: Cli): boolean {
  return job.pty && job.stdin && stdin.isTerminal && stdout.isTerminal;
}

/**
 * Makes this terminal the job's: the job's output is shown, keys go to the job, and
 * its terminal has this one's size. Restores this terminal afterwards.
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
  const leaveRawMode = stdin.enterRawMode();
  // For a second signal, which ends the process at once, and for faults.
  const cancelOnExit = cli.onExit(() => {
    leaveRawMode();
    stdout.writeNow(state.restoreSequence());
  });
  const stopSyncing = syncWindowSize(client, id, cli, options);
  const ringBell = () => void stdout.write("\u0007").catch(() => {});
  try {
    return await withPump(
      (signal) =>
        sendKeys(
          stdin.pieces(signal),
          (keys) => pumpKeys(client, id, keys, { detachKey, signal }, cli),
          { detachKey, onDetach, onDropped: ringBell },
        ),
      (signal) => showOutput(client, id, { ...options, signal }, state, cli),
      options.signal,
    );
  } finally {
    cancelOnExit();
    stopSyncing();
    leaveRawMode();
    await stdout.write(state.restoreSequence());
  }
}

/** Sends keys; once the job takes no more, tells the user which key detaches. */
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
    if (!isInputClosed(error)) throw error;
    // Its end is reported as well.
    if (error.reason === "JOB_NOT_RUNNING") return;
    const note = `procman: job ${id} takes no more input; ${detachKey.name} leaves`;
    await stdout.write(`\r\n${stdout.paint("dim", note)}\r\n`);
  }
}

/**
 * Has the job's terminal follow the size of this one. With `redraw` it is also resized
 * now, so that what runs in it draws anew. @returns how to stop
 */
export function syncWindowSize(
  client: Procman,
  id: string,
  { stdout }: Cli,
  { redraw = false } = {},
): () => void {
  const stopped = new AbortController();
  const { signal } = stopped;
  let last: Promise<unknown> = Promise.resolve();
  const resize = (rowsLess = 0) => {
    const { windowSize } = stdout;
    if (!windowSize) return;
    const { rows, columns } = windowSize;
    const size = { rows: Math.max(rows - rowsLess, 1), columns };
    // An error that matters is thrown where the output is followed, too.
    last = last.then(() => client.resizeWindow(id, size, { signal })).catch(() => {});
  };
  if (redraw) {
    // Programs draw anew only for another size.
    resize(1);
    resize();
  }
  const stopListening = stdout.onResize(() => resize());
  return () => {
    stopListening();
    stopped.abort();
  };
}

async function showOutput(
  client: Procman,
  id: string,
  { tailLines, signal }: InteractOptions,
  state: TerminalState,
  { stdout }: Cli,
): Promise<Job> {
  let shownBefore = 0;
  for await (const event of client.attach(id, {
    ...defined({ tailLines }),
    follow: true,
    signal,
  })) {
    if (event.type === "ended") return event.job;
    if (event.type === "opened") shownBefore = event.job.stdoutBytes;
    if (event.type !== "chunk") continue;
    const data = event.offset < shownBefore ? withoutQueries(event.data) : event.data;
    state.observe(data);
    await stdout.write(data);
  }
  throw unexpectedEnd(id);
}
