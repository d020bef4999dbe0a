import type { Log } from "../contract/log.js";
import { startTimer } from "../platform/timers.js";
import { Turns } from "../platform/turns.js";
import { type EndedJob, endedAgoMs } from "./ended-jobs.js";
import type { Removals } from "./remove-ended.js";

/** Which ended jobs are removed without being asked. */
export interface RetentionLimits {
  /** Those that ended so long ago. */
  readonly ageMs: number | undefined;
  /** The ones that ended first, while the logs of all jobs together are larger than this. */
  readonly bytes: number | undefined;
}

export interface JobRetentionOptions {
  readonly limits: RetentionLimits;
  /** What a job's logs take on the disk. */
  readonly logBytes: (id: string) => number;
  /** The jobs that have not ended. */
  readonly unendedIds: () => Iterable<string>;
  /** Whether somebody reads the job's output now. */
  readonly isRead: (id: string) => boolean;
  readonly remove: (jobs: Iterable<EndedJob>) => Promise<Removals>;
  readonly log: Log;
  readonly closing: AbortSignal;
}

interface Entry {
  readonly job: EndedJob;
  readonly bytes: number;
}

/** How often to look, at least and at most. */
const MAX_INTERVAL_MS = 60_000;
const MIN_INTERVAL_MS = 1000;

/** How many jobs that are too young are looked at before one that is old enough: clocks jump. */
const MAX_YOUNGER = 100;

/**
 * Removes ended jobs that are older than a limit, and the oldest of them where all logs
 * together are larger than another. It keeps account of the ended jobs in the order in
 * which they ended, so a look costs no more than there is to remove, and a look at the logs
 * of the jobs that run.
 */
export class JobRetention {
  readonly #options: JobRetentionOptions;
  /** In the order in which they ended. */
  readonly #jobs = new Map<string, Entry>();
  /** What their logs take together. */
  #bytes = 0;
  #cancelTimer: (() => void) | undefined;
  /** When the timer fires. */
  #dueMs = Number.POSITIVE_INFINITY;
  #checking: Promise<void> | undefined;
  /** Whether a job has ended since the last look began. */
  #hasNews = false;

  constructor(options: JobRetentionOptions) {
    this.#options = options;
    options.closing.addEventListener("abort", () => this.#cancelTimer?.());
  }

  /** Takes over the jobs that had ended before, and begins. Does not wait for that. */
  open(ended: Iterable<EndedJob>): void {
    const jobs = [...ended].sort((a, b) => a.completedMs - b.completedMs);
    this.#checking = this.#takeOver(jobs).finally(() => {
      this.#checking = undefined;
      this.#checkIn(0);
    });
  }

  /** Notes a job that has ended, or whose logs have another size since. */
  ended(job: EndedJob): void {
    this.#note(job);
    this.#hasNews = true;
    this.#checkIn(MIN_INTERVAL_MS);
  }

  removed(id: string): void {
    this.#bytes -= this.#jobs.get(id)?.bytes ?? 0;
    this.#jobs.delete(id);
  }

  /** Resolves when nothing is being removed any more. */
  async close(): Promise<void> {
    await this.#checking;
  }

  async #takeOver(jobs: readonly EndedJob[]): Promise<void> {
    const turns = new Turns();
    for (const job of jobs) {
      await turns.next();
      if (this.#options.closing.aborted) return;
      this.#note(job);
    }
  }

  #note(job: EndedJob): void {
    const { limits, logBytes } = this.#options;
    const bytes = limits.bytes === undefined ? 0 : logBytes(job.id);
    this.#bytes += bytes - (this.#jobs.get(job.id)?.bytes ?? 0);
    this.#jobs.set(job.id, { job, bytes });
  }

  #checkIn(delayMs: number): void {
    const dueMs = performance.now() + delayMs;
    if (this.#options.closing.aborted || this.#checking || dueMs >= this.#dueMs) return;
    this.#cancelTimer?.();
    this.#dueMs = dueMs;
    this.#cancelTimer = startTimer(delayMs, () => this.#check(), { keepsAlive: false });
  }

  #check(): void {
    this.#dueMs = Number.POSITIVE_INFINITY;
    this.#hasNews = false;
    this.#checking = this.#removeExcess().finally(() => {
      this.#checking = undefined;
      this.#checkIn(this.#nextIntervalMs());
    });
  }

  async #removeExcess(): Promise<void> {
    const { remove, log, closing } = this.#options;
    try {
      const { removed, failed } = await remove(this.#excess());
      if (removed.length > 0) log.info({ removed: removed.length }, "removed ended jobs");
      for (const { job, error } of failed) {
        log.error({ jobId: job.id, err: error }, "removing an ended job failed");
      }
    } catch (error) {
      if (!closing.aborted) log.error({ err: error }, "removing ended jobs failed");
    }
  }

  /** Yields the jobs to remove; of each it takes for granted that it is. */
  *#excess(): Generator<EndedJob, void, undefined> {
    const { limits, isRead } = this.#options;
    const maxBytes = limits.bytes ?? Number.POSITIVE_INFINITY;
    let bytes = maxBytes === Number.POSITIVE_INFINITY ? 0 : this.#bytes + this.#unendedBytes();
    let younger = 0;
    for (const { job, bytes: own } of this.#jobs.values()) {
      const isOld = limits.ageMs !== undefined && endedAgoMs(job) >= limits.ageMs;
      if (!isOld && bytes <= maxBytes) {
        younger += 1;
        if (younger >= MAX_YOUNGER) return;
        continue;
      }
      if (isRead(job.id)) continue;
      bytes -= own;
      yield job;
    }
  }

  #unendedBytes(): number {
    let bytes = 0;
    for (const id of this.#options.unendedIds()) bytes += this.#options.logBytes(id);
    return bytes;
  }

  /** Soon where the oldest job is about to be old enough. */
  #nextIntervalMs(): number {
    const { ageMs } = this.#options.limits;
    if (this.#hasNews) return MIN_INTERVAL_MS;
    const [oldest] = this.#jobs.values();
    if (ageMs === undefined || !oldest) return MAX_INTERVAL_MS;
    const leftMs = ageMs - endedAgoMs(oldest.job);
    // It could not be removed: somebody reads it, or it failed.
    if (leftMs <= 0) return MAX_INTERVAL_MS;
    return Math.min(Math.max(leftMs, MIN_INTERVAL_MS), MAX_INTERVAL_MS);
  }
}
