import { nanoid } from "nanoid";
import type { Status } from "../contract/job.js";
import { startTimer } from "../platform/timers.js";
import { type FilteredFields, isMatch, type JobFilter } from "../contract/procman.js";

/** How many removals are remembered at least. */
const DEFAULT_KEPT_REMOVALS = 10_000;

/** One job's changes, as far as they are remembered. */
export interface JobHistory {
  readonly id: string;
  readonly name: string | undefined;
  readonly labels: FilteredFields["labels"];
  /** The revision of its latest change. */
  readonly revision: number;
  /** Its statuses, each with the revision that set it, oldest first. */
  readonly statuses: readonly StatusSince[];
}

interface StatusSince {
  readonly revision: number;
  /** Undefined once the job was removed. */
  readonly status: Status | undefined;
}

export interface Change {
  readonly revision: number;
  readonly history: JobHistory;
}

/** Whether a job matched at any time up to that revision. */
export function hadMatched(history: JobHistory, revision: number, filter: JobFilter): boolean {
  const { name, labels, statuses } = history;
  return statuses.some(
    (since) =>
      since.revision <= revision &&
      since.status !== undefined &&
      isMatch({ name, labels, status: since.status }, filter),
  );
}

/** The fields of a job whose changes are recorded. */
interface ChangedJob extends FilteredFields {
  readonly id: string;
}

/** A history that this module appends to. */
interface MutableHistory extends JobHistory {
  revision: number;
  readonly statuses: StatusSince[];
}

/**
 * A log of the jobs' changes, compacted to the latest one of each job. Each change
 * gets the next revision.
 *
 * A follower holds one number, the revision of the last change it has taken.
 * Nothing is queued for a slow follower, and one that comes back later reads on as
 * if it had never left. Memory is bounded by the number of jobs and of remembered
 * removals.
 */
export class JobChanges {
  /** Tells the revisions of this process from those of any other. */
  readonly epoch = nanoid(10);
  readonly #keptRemovals: number;
  readonly #histories = new Map<string, MutableHistory>();
  /** In order of revision. Changes superseded by a later one of the same job are skipped. */
  #changes: Change[] = [];
  #revision = 0;
  /** Removals up to this revision may have been dropped. */
  #forgottenUpTo = 0;
  readonly #waiting = new Set<() => void>();

  constructor(keptRemovals = DEFAULT_KEPT_REMOVALS) {
    this.#keptRemovals = keptRemovals;
  }

  /** The revision of the last change. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether every change after that revision is known. */
  covers(revision: number): boolean {
    return this.#forgottenUpTo <= revision && revision <= this.#revision;
  }

  /** Adds a job that existed before the first change, and may change. */
  add(job: ChangedJob): void {
    this.#histories.set(job.id, historyOf(job));
  }

  /** Records that a job was created, or that something about it changed. */
  changed(job: ChangedJob): void {
    const { id, name, labels, status } = job;
    const history = this.#histories.get(id) ?? { id, name, labels, revision: 0, statuses: [] };
    this.#histories.set(id, history);
    this.#append(history, status);
  }

  /** A job that is not known here existed before the first change. */
  removed(job: ChangedJob): void {
    const history = this.#histories.get(job.id) ?? historyOf(job);
    this.#histories.delete(job.id);
    this.#append(history, undefined);
  }

  /** Returns the first change after a revision that is covered, if there is one. */
  firstAfter(revision: number): Change | undefined {
    let low = 0;
    for (let high = this.#changes.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if ((this.#changes[middle]?.revision ?? 0) > revision) high = middle;
      else low = middle + 1;
    }
    for (; low < this.#changes.length; low += 1) {
      const change = this.#changes[low];
      if (change && isLatest(change)) return change;
    }
    return undefined;
  }

  /**
   * Resolves once there is a change after that revision, or after so long.
   * @throws the signal's reason
   */
  async waitForChange(
    revision: number,
    signal: AbortSignal,
    timeoutMs = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    if (this.#revision <= revision && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          cancelTimer?.();
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        const cancelTimer =
          timeoutMs === Number.POSITIVE_INFINITY ? undefined : startTimer(timeoutMs, wake);
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake);
      });
    }
    signal.throwIfAborted();
  }

  #append(history: MutableHistory, status: Status | undefined): void {
    this.#revision += 1;
    const revision = this.#revision;
    history.revision = revision;
    const before = history.statuses.at(-1);
    if (!before || before.status !== status) history.statuses.push({ revision, status });
    this.#changes.push({ revision, history });
    if (this.#changes.length > 2 * (this.#histories.size + this.#keptRemovals)) this.#compact();
    for (const wake of this.#waiting) wake();
  }

  /** Drops superseded changes and the oldest removals. */
  #compact(): void {
    const latest = this.#changes.filter(isLatest);
    const removals = latest.filter(isRemoval);
    this.#forgottenUpTo = removals.at(-1 - this.#keptRemovals)?.revision ?? this.#forgottenUpTo;
    this.#changes = latest.filter(
      (change) => !isRemoval(change) || change.revision > this.#forgottenUpTo,
    );
  }
}

function historyOf({ id, name, labels, status }: ChangedJob): MutableHistory {
  return { id, name, labels, revision: 0, statuses: [{ revision: 0, status }] };
}

function isLatest({ revision, history }: Change): boolean {
  return revision === history.revision;
}

function isRemoval({ history }: Change): boolean {
  return history.statuses.at(-1)?.status === undefined;
}
