import { ProcmanError } from "../contract/errors.js";
import type { Log } from "../contract/log.js";
import type { JobRecord, JobStore, WriteOptions } from "./ports.js";

export interface SavedRecordOptions {
  readonly store: JobStore;
  readonly log: Log;
  /** How often to retry a failed write. */
  readonly pollIntervalMs: number;
  /** Runs a write of the record while no other operation changes the job. */
  readonly exclusively: (write: () => Promise<void>) => Promise<void>;
}

/** How soon a record is written that need not be at once. */
const SOON_MS = 100;

/** A job's record in memory, and on disk as soon as writing it succeeds. */
export class SavedRecord {
  readonly #options: SavedRecordOptions;
  #value: JobRecord;
  /** What is on disk, as far as this process knows. */
  #saved: JobRecord | undefined;
  /** Runs while the record is newer than its file. */
  #timer: NodeJS.Timeout | undefined;
  #isFailing = false;
  #isDisposed = false;

  constructor(value: JobRecord, options: SavedRecordOptions) {
    this.#value = value;
    this.#saved = value;
    this.#options = options;
  }

  get value(): JobRecord {
    return this.#value;
  }

  /** Whether the file has what `value` has. */
  get isSaved(): boolean {
    return this.#saved === this.#value;
  }

  /**
   * Replaces the record once the new one is on disk. It is no error that the job's
   * directory has been deleted.
   * @throws ProcmanError; the record is then unchanged
   */
  async write(next: JobRecord, options?: WriteOptions): Promise<void> {
    try {
      await this.#options.store.write(next, options);
      this.#saved = next;
    } catch (error) {
      if (isGone(error)) return this.#replaced(next);
      // Its file may have been written, and only not be durable. It is to say what counts.
      this.#saved = undefined;
      if (!this.#isDisposed) this.#saveLater(this.#options.pollIntervalMs);
      throw error;
    }
    this.#replaced(next);
  }

  #replaced(next: JobRecord): void {
    clearTimeout(this.#timer);
    this.#isFailing = false;
    this.#value = next;
  }

  /**
   * Replaces the record with one that was derived from the job's files. That is true
   * even where it cannot be written now, so a failed write is retried in background.
   */
  async replace(next: JobRecord): Promise<void> {
    clearTimeout(this.#timer);
    await this.#write(next);
    this.#value = next;
  }

  /**
   * Replaces the record now, and writes it in a while. Only for a state that the next
   * server can also learn from the job's other files.
   */
  replaceSoon(next: JobRecord): void {
    this.#value = next;
    this.#saveLater(SOON_MS);
  }

  /** Stops trying to write the record. */
  dispose(): void {
    this.#isDisposed = true;
    clearTimeout(this.#timer);
  }

  #saveLater(delayMs: number): void {
    const { exclusively } = this.#options;
    const save = async () => {
      if (!this.#isDisposed) await this.#write(this.#value);
    };
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void exclusively(save).catch(() => {}), delayMs);
  }

  /** Writes the record, now or in background where it cannot be written now. */
  async #write(record: JobRecord): Promise<void> {
    const { store, log, pollIntervalMs } = this.#options;
    const jobId = record.spec.id;
    try {
      await store.write(record);
      this.#saved = record;
      if (this.#isFailing) log.info({ jobId }, "a job's state could be saved again");
      this.#isFailing = false;
    } catch (error) {
      if (!this.#isFailing)
        log.error({ jobId, err: error }, "a job's new state could not be saved");
      this.#isFailing = !isGone(error);
      if (this.#isFailing && !this.#isDisposed) this.#saveLater(pollIntervalMs);
    }
  }
}

/** Whether the directory that the record belongs in has been deleted. */
function isGone(error: unknown): boolean {
  return error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND";
}
