import { ProcmanError } from "../contract/errors.js";
import type { Log } from "../contract/log.js";
import type { JobRecord, JobStore } from "./ports.js";

export interface SavedRecordOptions {
  readonly store: JobStore;
  readonly log: Log;
  /** How often to retry a failed write. */
  readonly pollIntervalMs: number;
  /** Runs a write of the record while no other operation changes the job. */
  readonly exclusively: (write: () => Promise<void>) => Promise<void>;
}

/** A job's record in memory, and on disk as soon as writing it succeeds. */
export class SavedRecord {
  readonly #options: SavedRecordOptions;
  #value: JobRecord;
  /** Set while the record is newer than its file. */
  #retryTimer: NodeJS.Timeout | undefined;

  constructor(value: JobRecord, options: SavedRecordOptions) {
    this.#value = value;
    this.#options = options;
  }

  get value(): JobRecord {
    return this.#value;
  }

  /**
   * Replaces the record once the new one is on disk. It is no error that the job's
   * directory has been deleted.
   * @throws ProcmanError; the record is then unchanged
   */
  async write(next: JobRecord): Promise<void> {
    await this.#options.store.write(next).catch((error: unknown) => {
      if (!isGone(error)) throw error;
    });
    this.#value = next;
  }

  /**
   * Replaces the record with one that was derived from the job's files. That is true
   * even where it cannot be written now, so a failed write is retried in background.
   */
  async replace(next: JobRecord): Promise<void> {
    const { store, log } = this.#options;
    try {
      await store.write(next);
    } catch (error) {
      log.error({ jobId: next.spec.id, err: error }, "a job's new state could not be saved");
      if (!isGone(error)) this.#retryLater();
    }
    this.#value = next;
  }

  /** Stops retrying a failed write. */
  dispose(): void {
    clearInterval(this.#retryTimer);
    this.#retryTimer = undefined;
  }

  #retryLater(): void {
    const { exclusively, pollIntervalMs } = this.#options;
    const save = () => exclusively(() => this.#save()).catch(() => {});
    this.#retryTimer ??= setInterval(() => void save(), pollIntervalMs);
  }

  async #save(): Promise<void> {
    const { store, log } = this.#options;
    if (this.#retryTimer === undefined) return;
    await store.write(this.#value);
    this.dispose();
    log.info({ jobId: this.#value.spec.id }, "a job's state could be saved again");
  }
}

/** Whether the directory that the record belongs in has been deleted. */
function isGone(error: unknown): boolean {
  return error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND";
}
