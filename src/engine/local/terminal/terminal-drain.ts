import { crashPoint } from "../../../platform/crash-point.js";
import { signalTerminal } from "../process/signals.js";
import type { Identity } from "../runner/runner-records.js";

/**
 * How long the last output of a terminal may take to reach the log, once the command
 * has ended. That is 64 KiB at most, unless a process that the command left running
 * goes on writing.
 */
const DRAIN_TIMEOUT_MS = 2000;
const DRAIN_INTERVAL_MS = 50;

/**
 * Ends the terminal of a command that has ended: continues it, and kills it after a
 * timeout. script(1) may be stopped, may have missed its child's end, and reads for
 * as long as anybody writes.
 *
 * Killing it loses no exit status. That is in the runner's record, which counts once
 * the exit recorder is gone, however that has ended.
 */
export class TerminalDrain {
  readonly #timer: NodeJS.Timeout;

  constructor(identity: Identity) {
    const killAtMs = performance.now() + DRAIN_TIMEOUT_MS;
    const signal = (name: NodeJS.Signals) => {
      try {
        signalTerminal(identity, name);
      } catch {
        // Without descriptors for a look at it, say: the next turn tries again.
      }
    };
    // It may be stopped with output left to read.
    signal("SIGCONT");
    this.#timer = setInterval(() => {
      signal("SIGCONT");
      if (performance.now() < killAtMs) return;
      signal("SIGKILL");
      crashPoint("terminal:ended");
    }, DRAIN_INTERVAL_MS);
  }

  dispose(): void {
    clearInterval(this.#timer);
  }
}
