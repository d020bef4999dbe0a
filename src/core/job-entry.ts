import { setMaxListeners } from "node:events";
import { isTerminal } from "../contract/job.js";
import type { JobRecord } from "./ports.js";

/** One job while this process looks after it. */
export class JobEntry {
  record: JobRecord;
  /** Stops watching for the exit, where that is watched for. */
  unwatch: (() => void) | undefined;
  /** Fires when the job's time limit passes. */
  cancelDeadline: (() => void) | undefined;
  /** Its directory is gone; whoever still has it in hand is to know. */
  removed = false;
  /** When this process saw it end, by a clock that never jumps. */
  endedAtMs: number | undefined;
  readonly #ended = new AbortController();
  #tail: Promise<unknown> = Promise.resolve();

  constructor(record: JobRecord) {
    this.record = record;
    // Every call that waits for the job listens to it.
    setMaxListeners(0, this.#ended.signal);
    this.settleIfEnded();
  }

  get id(): string {
    return this.record.spec.id;
  }

  /** Aborted once the job has ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Runs tasks that change the job one after another. */
  exclusively<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(task);
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Lets go of what only a job that has not ended needs. */
  settleIfEnded(): void {
    if (!isTerminal(this.record.state)) return;
    this.release();
    this.#ended.abort();
  }

  release(): void {
    this.unwatch?.();
    this.unwatch = undefined;
    this.cancelDeadline?.();
    this.cancelDeadline = undefined;
  }
}
