import { nanoid } from "nanoid";
import type { Status } from "../contract/job.js";
import { type FilteredFields, isMatch, type JobFilter } from "../contract/procman.js";

/** How many removals are remembered, at least. */
const KEPT_REMOVALS = 10_000;

/** What is known of one job's changes. */
export interface JobHistory {
  readonly id: string;
  readonly labels: FilteredFields["labels"];
  /** Of its latest change. */
  readonly revision: number;
  /** Each since a revision, oldest first; undefined once the job was removed. */
  readonly statuses: readonly StatusSince[];
}

interface StatusSince {
  readonly revision: number;
  readonly status: Status | undefined;
}

export interface Change {
  readonly revision: number;
  readonly history: JobHistory;
}

/** Whether a job has ever matched, up to that revision. */
export function hadMatched(history: JobHistory, revision: number, filter: JobFilter): boolean {
  const { labels, statuses } = history;
  return statuses.some(
    (since) =>
      since.revision <= revision &&
      since.status !== undefined &&
      isMatch({ labels, status: since.status }, filter),
  );
}

/** A job, as far as its changes are concerned. */
interface ChangedJob extends FilteredFields {
  readonly id: string;
}

/** A history while it is written. */
interface OpenHistory extends JobHistory {
  revision: number;
  readonly statuses: StatusSince[];
}

/**
 * The latest change of each job, in order; revisions grow by one a change.
 *
 * Whoever follows the changes holds one number, the revision of the last one it
 * has taken. Nothing is queued for it, however slow it is, and going on later is
 * the same as going on now. What is kept is bounded by the number of jobs and by
 * that of the removals that are remembered.
 */
export class JobChanges {
  /** Tells these changes from those of any other process. */
  readonly epoch = nanoid(10);
  readonly #keptRemovals: number;
  readonly #histories = new Map<string, OpenHistory>();
  /** In order; those that a later one of the same job has superseded are skipped. */
  #changes: Change[] = [];
  #revision = 0;
  /** Removals up to here may have been forgotten. */
  #forgotten = 0;
  readonly #waiting = new Set<() => void>();

  constructor(keptRemovals = KEPT_REMOVALS) {
    this.#keptRemovals = keptRemovals;
  }

  /** Of the last change there was. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether it is known what has changed since. */
  covers(revision: number): boolean {
    return this.#forgotten <= revision && revision <= this.#revision;
  }

  /** A job that has been there since before the first change. */
  add({ id, labels, status }: ChangedJob): void {
    this.#histories.set(id, { id, labels, revision: 0, statuses: [{ revision: 0, status }] });
  }

  /** A job came, or something about it changed. */
  changed({ id, labels, status }: ChangedJob): void {
    const history = this.#histories.get(id) ?? { id, labels, revision: 0, statuses: [] };
    this.#histories.set(id, history);
    this.#append(history, status);
  }

  removed(id: string): void {
    const history = this.#histories.get(id);
    if (!history) return;
    this.#histories.delete(id);
    this.#append(history, undefined);
  }

  /** The first change after a revision that is covered, if there is one. */
  after(revision: number): Change | undefined {
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

  /** Resolves once there is a change after that revision. @throws the signal's reason */
  async beyond(revision: number, signal: AbortSignal): Promise<void> {
    if (this.#revision <= revision && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiting.delete(wake);
          signal.removeEventListener("abort", wake);
          resolve();
        };
        this.#waiting.add(wake);
        signal.addEventListener("abort", wake);
      });
    }
    signal.throwIfAborted();
  }

  #append(history: OpenHistory, status: Status | undefined): void {
    this.#revision += 1;
    const revision = this.#revision;
    history.revision = revision;
    const before = history.statuses.at(-1);
    if (!before || before.status !== status) history.statuses.push({ revision, status });
    this.#changes.push({ revision, history });
    if (this.#changes.length > 2 * (this.#histories.size + this.#keptRemovals)) this.#compact();
    for (const wake of this.#waiting) wake();
  }

  /** Drops what was superseded, and the oldest removals. */
  #compact(): void {
    const latest = this.#changes.filter(isLatest);
    const removals = latest.filter(isRemoval);
    this.#forgotten = removals.at(-1 - this.#keptRemovals)?.revision ?? this.#forgotten;
    this.#changes = latest.filter(
      (change) => !isRemoval(change) || change.revision > this.#forgotten,
    );
  }
}

function isLatest({ revision, history }: Change): boolean {
  return revision === history.revision;
}

function isRemoval({ history }: Change): boolean {
  return history.statuses.at(-1)?.status === undefined;
}
