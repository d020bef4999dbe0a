import { isTerminal, type Status, type TerminalState } from "../contract/job.js";
import { type FilteredFields, isMatch, type JobFilter } from "../contract/procman.js";
import { IndexedJobs } from "./indexed-jobs.js";
import { JobsByName } from "./jobs-by-name.js";
import type { JobRecord } from "./ports.js";
import { logLimitOf } from "./transitions.js";

/**
 * A job that has ended, and of which nothing is under way: all that is kept of it in
 * memory. The rest of its record never changes, and is read when somebody asks for it.
 */
export interface EndedJob extends FilteredFields {
  readonly id: string;
  readonly sequence: number;
  readonly requestId: string;
  readonly status: TerminalState["status"];
  readonly labels: FilteredFields["labels"];
  /** By the wall clock. */
  readonly completedMs: number;
  /** When this process saw the end, by a clock that never jumps. */
  readonly seenEndMs: number | undefined;
}

/** Returns what is kept of a job, or undefined where it has not ended. */
export function endedJob(record: JobRecord, seenEndMs?: number): EndedJob | undefined {
  const { spec, sequence, state } = record;
  if (!isTerminal(state)) return undefined;
  const job: EndedJob = {
    id: spec.id,
    sequence,
    requestId: spec.requestId,
    status: state.status,
    labels: spec.labels,
    completedMs: state.completedTime.getTime(),
    seenEndMs,
  };
  // Without the field where there is none: there may be very many of them.
  return spec.name === undefined ? job : { ...job, name: spec.name };
}

/**
 * Whether the record alone says that nothing of the job can be under way: it has no
 * processes that were left or to be ended, nothing that is run at its end, no log that is still to be trimmed, and is not
 * to be started again.
 */
export function isSettled(record: JobRecord): boolean {
  const { state, stop, restart, remaining } = record;
  const isUnderWay = stop ?? restart ?? remaining ?? logLimitOf(record);
  return isTerminal(state) && isUnderWay === undefined && !awaitsOnEnd(record);
}

/** Whether it is not known yet what became of what is run at the job's end. */
export function awaitsOnEnd({ spec, onEndResult }: JobRecord): boolean {
  return spec.onEnd !== undefined && onEndResult === undefined;
}

/**
 * Returns how many milliseconds ago a job ended. Where this process has seen the end,
 * a wall clock that jumps ahead makes the job no older.
 */
export function endedAgoMs({ completedMs, seenEndMs }: EndedJob): number {
  const byWallClockMs = Math.max(0, Date.now() - completedMs);
  if (seenEndMs === undefined) return byWallClockMs;
  return Math.min(byWallClockMs, performance.now() - seenEndMs);
}

/** Ended jobs, by their ids, names and statuses. Made for very many of them. */
export class EndedJobs {
  readonly #byId = new Map<string, EndedJob>();
  readonly #byName = new JobsByName<EndedJob>();
  readonly #byStatus = new Map<Status, IndexedJobs<EndedJob>>();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): EndedJob | undefined {
    return this.#byId.get(id);
  }

  values(): Iterable<EndedJob> {
    return this.#byId.values();
  }

  newestNamed(name: string): EndedJob | undefined {
    return this.#byName.named(name).at(-1);
  }

  add(job: EndedJob): void {
    this.#byId.set(job.id, job);
    this.#byName.add(job);
    let sameStatus = this.#byStatus.get(job.status);
    if (!sameStatus) this.#byStatus.set(job.status, (sameStatus = new IndexedJobs()));
    sameStatus.add(job);
  }

  delete(id: string): EndedJob | undefined {
    const job = this.#byId.get(id);
    if (!job) return undefined;
    this.#byId.delete(id);
    this.#byName.delete(job);
    this.#byStatus.get(job.status)?.delete(job);
    return job;
  }

  count(filter: JobFilter): number {
    if (filter.name) return this.#named(filter).length;
    let count = 0;
    for (const jobs of this.#withStatus(filter)) count += jobs.count(filter.labels);
    return count;
  }

  /** Yields the jobs that match and whose sequence is below `before`, newest first. */
  *newestFirst(filter: JobFilter, before: number): Generator<EndedJob, void, undefined> {
    if (filter.name) {
      const named = this.#named(filter).toReversed();
      return yield* named.filter(({ sequence }) => sequence < before);
    }
    const rest = this.#withStatus(filter).map((jobs) => jobs.newestFirst(before, filter.labels));
    const next = rest.map((jobs) => jobs.next().value);
    for (;;) {
      let newest = -1;
      for (let index = 0; index < next.length; index += 1) {
        const sequence = next[index]?.sequence ?? Number.NEGATIVE_INFINITY;
        if (sequence > (next[newest]?.sequence ?? Number.NEGATIVE_INFINITY)) newest = index;
      }
      const job = next[newest];
      if (!job) return;
      next[newest] = rest[newest]?.next().value;
      yield job;
    }
  }

  /** Returns the jobs that match a filter with a name, oldest first. */
  #named(filter: JobFilter): EndedJob[] {
    return this.#byName.named(filter.name ?? "").filter((job) => isMatch(job, filter));
  }

  #withStatus({ statuses = [] }: JobFilter): IndexedJobs<EndedJob>[] {
    const all = [...this.#byStatus];
    const wanted = all.filter(([status]) => statuses.length === 0 || statuses.includes(status));
    return wanted.map(([, jobs]) => jobs);
  }
}
