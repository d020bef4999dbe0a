import { setMaxListeners } from "node:events";
import { jobNotRunning, ProcmanError } from "../contract/errors.js";
import { IS_OVER } from "../platform/abort-signals.js";
import { defined } from "../platform/defined.js";
import type { RemainingProcesses, RemainingRecord } from "./ports.js";

/** What a job's command has left behind, from the job's end until nothing is left. */
export class Remaining {
  readonly #none = new AbortController();
  readonly #onNone: () => void;
  #processes: RemainingProcesses | undefined;
  #stopWatching: (() => void) | undefined;

  /** @param onNone called when the last process that was followed has ended */
  constructor(onNone: () => void) {
    this.#onNone = onNone;
    // Each call that waits for it adds a listener.
    setMaxListeners(0, this.#none.signal);
  }

  /** Aborted once the job has ended and none is left. */
  get none(): AbortSignal {
    return this.#none.signal;
  }

  get processes(): RemainingProcesses | undefined {
    return this.#processes;
  }

  count(): number {
    return this.#processes?.count() ?? 0;
  }

  /** Follows what an ended job has left behind; undefined: that is nothing. */
  follow(processes: RemainingProcesses | undefined): void {
    this.#processes = processes;
    if (!processes) return this.#none.abort(IS_OVER);
    this.#stopWatching = processes.onChange(() => this.look());
    // The last one may have ended before the watch began.
    queueMicrotask(() => this.look());
  }

  /** Looks whether any is left. */
  look(): void {
    const processes = this.#processes;
    if (!processes || !this.#stopWatching) return;
    try {
      if (processes.count() > 0) return;
    } catch {
      // For want of descriptors, say: it is looked at again.
      return;
    }
    this.dispose();
    this.#processes = undefined;
    processes.release();
    this.#none.abort(IS_OVER);
    this.#onNone();
  }

  /** Stops following them. */
  dispose(): void {
    this.#stopWatching?.();
    this.#stopWatching = undefined;
  }
}

/**
 * Returns what is recorded of them together with the job's end.
 * @param endGraceMs the grace period with which they are to be ended; undefined: they are not
 */
export function remainingAtEnd(
  processes: RemainingProcesses,
  endGraceMs: number | undefined,
): RemainingRecord {
  if (endGraceMs === undefined) return markOf(processes);
  const stop = { requestedTime: new Date(), gracePeriodMs: endGraceMs };
  return { ...markOf(processes), stop };
}

export function markOf({ mark }: RemainingProcesses): RemainingRecord {
  return defined({ mark });
}

/** The error of a call that is for jobs that run. */
export function endedAlready(id: string, remaining: number): ProcmanError {
  if (remaining === 0) return jobNotRunning(id);
  const message = `job ${id} is not running; ${left(remaining)}, which include_remaining reaches`;
  return new ProcmanError("JOB_NOT_RUNNING", message, { jobId: id });
}

export function hasProcesses(id: string, remaining: number): ProcmanError {
  const message = `job ${id} has ended, but ${left(remaining)}`;
  return new ProcmanError("JOB_HAS_PROCESSES", message, { jobId: id });
}

export function hasOnEnd(id: string): ProcmanError {
  const message = `job ${id} has ended, but what it runs at its end (on_end) has not`;
  return new ProcmanError("JOB_HAS_PROCESSES", message, { jobId: id });
}

function left(count: number): string {
  return count === 1 ? "1 process of it is left" : `${count} processes of it are left`;
}
