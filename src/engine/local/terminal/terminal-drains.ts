import { crashPoint } from "../../../platform/crash-point.js";
import type { Identity } from "../runner/job-files.js";
import { signalTerminal } from "../process/signals.js";

/**
 * How long what a terminal has left to show may take to come through, once the
 * command has ended. It is 64 KiB at most, unless something that the command has
 * left running goes on writing.
 */
const DRAIN_MS = 2000;

/**
 * Sees to it that the terminals of commands that have ended come to their end too.
 * script(1) may be stopped, may have missed that its child has ended, and reads
 * for as long as anybody writes.
 *
 * Nothing but processes is changed: how the command has ended is in the runner's
 * record, which counts once the recorder has gone, whoever has ended that.
 */
export class TerminalDrains {
  /** When each was first seen, by a clock that never jumps; by the job's directory. */
  readonly #since = new Map<string, number>();

  /** To be called for as long as a terminal is there whose command is not. */
  look(dir: string, identity: Identity): void {
    const since = this.#since.get(dir);
    if (since === undefined) this.#since.set(dir, performance.now());
    // It may have something to read.
    signalTerminal(identity, "SIGCONT");
    if (since === undefined || performance.now() - since < DRAIN_MS) return;
    signalTerminal(identity, "SIGKILL");
    crashPoint("terminal:ended");
  }

  delete(dir: string): void {
    this.#since.delete(dir);
  }
}
