import type { Job } from "../contract/job.js";
import {
  isMatch,
  type JobFilter,
  type JobsEvent,
  type WatchJobsOptions,
} from "../contract/procman.js";
import { abortable } from "../platform/abort-signals.js";
import { inParallel } from "../platform/in-parallel.js";
import { hadMatched, type JobChanges, type JobHistory } from "./job-changes.js";
import type { ManagedJob } from "./managed-job.js";
import type { OutputGrowth } from "./output-growth.js";
import { filterDigest } from "./page-token.js";

/** How many jobs of a snapshot are looked at at a time: each may have a log open. */
const SNAPSHOT_CONCURRENCY = 32;

/** The jobs that are watched. */
export interface WatchedJobs {
  readonly changes: JobChanges;
  readonly growth: OutputGrowth;
  /** Newest first. */
  readonly matching: (filter: JobFilter) => readonly ManagedJob[];
  readonly find: (id: string) => ManagedJob | undefined;
}

/**
 * A snapshot, or `resumed`, and then every change, until `stop` is aborted.
 *
 * A job's state is taken at the same moment as the revision it is told with, so
 * each event holds what was true as of its revision. Of the changes up to there,
 * those that were not told are superseded by one that is to come.
 */
export async function* watchJobs(
  jobs: WatchedJobs,
  { sinceRevision, ...filter }: WatchJobsOptions,
  stop: AbortSignal,
): AsyncGenerator<JobsEvent, never, undefined> {
  stop.throwIfAborted();
  const { changes } = jobs;
  const prefix = `${changes.epoch}.${filterDigest(filter)}.`;
  const release = jobs.growth.watch();
  try {
    // What grew while nobody watched is a change that a consumer who comes back is to see.
    await abortable(jobs.growth.seen, stop);
    const resumedAt = numberAfter(prefix, sinceRevision);
    let shown = new ShownJobs(filter, [], resumedAt);
    let told = resumedAt;
    if (told !== undefined && changes.covers(told)) {
      yield { type: "resumed", revision: prefix + told };
    }
    for (;;) {
      if (told === undefined || !changes.covers(told)) {
        told = changes.revision;
        const taken = await snapshot(jobs, filter);
        shown = new ShownJobs(filter, taken);
        yield { type: "snapshot", jobs: taken, revision: prefix + told };
        continue;
      }
      await changes.beyond(told, stop);
      const change = changes.covers(told) ? changes.after(told) : undefined;
      if (!change) continue;
      told = change.revision;
      if (!shown.concerns(change.history)) continue;
      const { id } = change.history;
      const job = jobs.find(id);
      const revision = prefix + told;
      yield job
        ? { type: "changed", job: await job.view(), revision }
        : { type: "removed", id, revision };
    }
  } finally {
    release();
  }
}

/** What a consumer may take to be there. */
class ShownJobs {
  readonly #filter: JobFilter;
  readonly #resumedAt: number;
  /** False for those that have left. */
  readonly #shown = new Map<string, boolean>();

  /** @param resumedAt up to there another stream has told, of which it is not known what it told */
  constructor(filter: JobFilter, shown: readonly Job[], resumedAt = -1) {
    this.#filter = filter;
    this.#resumedAt = resumedAt;
    for (const { id } of shown) this.#shown.set(id, true);
  }

  /** Whether the consumer has to learn of that job's latest change; it then does. */
  concerns(history: JobHistory): boolean {
    const { id, labels } = history;
    const status = history.statuses.at(-1)?.status;
    const matches = status !== undefined && isMatch({ labels, status }, this.#filter);
    const shown = this.#shown.get(id) ?? hadMatched(history, this.#resumedAt, this.#filter);
    if (status === undefined) this.#shown.delete(id);
    else if (matches || shown) this.#shown.set(id, matches);
    return matches || shown;
  }
}

function snapshot(jobs: WatchedJobs, filter: JobFilter): Promise<Job[]> {
  // The records now: the jobs go on while they are looked at.
  const taken = jobs.matching(filter).map((job) => ({ job, record: job.record }));
  return inParallel(taken, SNAPSHOT_CONCURRENCY, ({ job, record }) => job.view(record));
}

/** The number of a revision that this list of jobs has given for the same filters. */
function numberAfter(prefix: string, revision: string | undefined): number | undefined {
  if (!revision?.startsWith(prefix)) return undefined;
  const digits = revision.slice(prefix.length);
  return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
}
