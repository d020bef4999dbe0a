import { ProcmanError } from "../contract/errors.js";
import type { Log } from "../contract/log.js";
import type { JobRecord, JobStore } from "./ports.js";

export interface SavedRecordOptions {
  readonly store: JobStore;
  readonly log: Log;
  /** How often to try again to write what could not be written. */
  readonly pollIntervalMs: number;
  /** Runs what writes the record while nothing else does. */
  readonly exclusively: (write: () => Promise<void>) => Promise<void>;
}

/** A job's record in memory, and on disk as soon as it can be written. */
export class SavedRecord {
  readonly #options: SavedRecordOptions;
  #value: JobRecord;
  /** Runs while the record is newer than its file. */
  #timer: NodeJS.Timeout | undefined;

  constructor(value: JobRecord, options: SavedRecordOptions) {
    this.#value = value;
    this.#options = options;
  }

  get value(): JobRecord {
    return this.#value;
  }

  /**
   * Takes on a record once it is on disk. That the job has deleted its files is no
   * error.
   * @throws ProcmanError; then the record is what it was
   */
  async write(next: JobRecord): Promise<void> {
    await this.#options.store.write(next).catch((error: unknown) => {
      if (!isGone(error)) throw error;
    });
    this.#value = next;
  }

  /**
   * Takes on a record that was derived from the job's files, and so is true whether
   * or not it can be written now.
   */
  async replace(next: JobRecord): Promise<void> {
    const { store, log } = this.#options;
    try {
      await store.write(next);
    } catch (error) {
      log.error({ jobId: next.spec.id, err: error }, "a job's new state could not be saved");
      if (!isGone(error)) this.#saveLater();
    }
    this.#value = next;
  }

  /** Gives up writing what could not be written. */
  dispose(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #saveLater(): void {
    const { exclusively, pollIntervalMs } = this.#options;
    const save = () => exclusively(() => this.#save()).catch(() => {});
    this.#timer ??= setInterval(() => void save(), pollIntervalMs);
  }

  async #save(): Promise<void> {
    const { store, log } = this.#options;
    if (this.#timer === undefined) return;
    await store.write(this.#value);
    this.dispose();
    log.info({ jobId: this.#value.spec.id }, "a job's state could be saved again");
  }
}

/** There is no directory any more to write the record in. */
function isGone(error: unknown): boolean {
  return error instanceof ProcmanError && error.reason === "JOB_NOT_FOUND";
}
