import { crashPoint } from "../../../platform/crash-point.js";
import { signalTerminal } from "../process/signals.js";
import type { Identity } from "../runner/runner-records.js";

/**
 * How long what a terminal has left to show may take to come through, once the
 * command has ended. It is 64 KiB at most, unless something that the command has
 * left running goes on writing.
 */
const DRAIN_TIMEOUT_MS = 2000;
const DRAIN_INTERVAL_MS = 50;

/**
 * Brings the terminal of a command that has ended to its end too. script(1) may be
 * stopped, may have missed that its child has ended, and reads for as long as
 * anybody writes.
 *
 * Only processes are signalled: how the command has ended is in the runner's
 * record, which counts once the exit recorder has gone, whoever has ended that.
 */
export class TerminalDrain {
  readonly #timer: NodeJS.Timeout;

  constructor(identity: Identity) {
    const killAtMs = performance.now() + DRAIN_TIMEOUT_MS;
    // It may be stopped and have something to read.
    signalTerminal(identity, "SIGCONT");
    this.#timer = setInterval(() => {
      signalTerminal(identity, "SIGCONT");
      if (performance.now() < killAtMs) return;
      signalTerminal(identity, "SIGKILL");
      crashPoint("terminal:ended");
    }, DRAIN_INTERVAL_MS);
  }

  dispose(): void {
    clearInterval(this.#timer);
  }
}
