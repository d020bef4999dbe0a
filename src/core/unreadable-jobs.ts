import { jobNotFound, ProcmanError } from "../contract/errors.js";
import type { UnreadableJob } from "../contract/procman.js";
import { SerialQueue } from "../platform/serial-queue.js";
import type { JobContext } from "./managed-job.js";

/** How many are told of, and how many characters of why: they share a message with jobs. */
const MAX_TOLD = 100;
const MAX_REASON_LENGTH = 500;

/** The jobs whose records cannot be read. They are left in place until they are removed as such. */
export class UnreadableJobs {
  readonly #context: JobContext;
  /** By job id, why its record could not be read. */
  readonly #errors = new Map<string, Error>();
  /** One after another, so that each job is removed once. */
  readonly #removals = new SerialQueue();

  constructor(context: JobContext) {
    this.#context = context;
  }

  get size(): number {
    return this.#errors.size;
  }

  add(id: string, error: Error): void {
    this.#errors.set(id, error);
    const message = "a job's record cannot be read; it is left in place";
    this.#context.log.error({ jobId: id, err: error }, message);
  }

  has(id: string): boolean {
    return this.#errors.has(id);
  }

  errorOf(id: string): Error | undefined {
    return this.#errors.get(id);
  }

  /** Returns the first of them, by id. */
  told(): readonly UnreadableJob[] {
    const errors = [...this.#errors].sort(([a], [b]) => (a < b ? -1 : 1));
    return errors.slice(0, MAX_TOLD).map(([id, error]) => ({ id, error: reasonOf(error) }));
  }

  /**
   * Deletes the files of one, unless something of it runs.
   * @throws ProcmanError JOB_NOT_FOUND, JOB_RUNNING
   */
  remove(id: string): Promise<void> {
    return this.#removals.run(async () => {
      const { engine, store, closing, log } = this.#context;
      // From then on another server may own the job's files.
      closing.throwIfAborted();
      if (!this.#errors.has(id)) throw jobNotFound(id);
      const process = engine.open(store.dirOf(id));
      if (!(await process.ensureOver())) {
        const message = `job ${id}, whose record cannot be read, has a process that runs`;
        throw new ProcmanError("JOB_RUNNING", message, { jobId: id });
      }
      process.release();
      await store.remove(id);
      this.#errors.delete(id);
      log.info({ jobId: id }, "removed a job whose record could not be read");
    });
  }

  /** Resolves when no removal is under way any more. */
  async close(): Promise<void> {
    await this.#removals.idle();
  }
}

/** Returns why, without what was attempted: that is the same for all. */
function reasonOf({ message, cause }: Error): string {
  const messages: string[] = [];
  for (let each = cause; each instanceof Error; each = each.cause) messages.push(each.message);
  const reason = messages.join(": ") || message;
  return Array.from(reason).slice(0, MAX_REASON_LENGTH).join("");
}
