import { isTerminal, type Job, type Usage } from "../contract/job.js";
import {
  isMatch,
  type JobFilter,
  type JobsEvent,
  type WatchJobsOptions,
} from "../contract/procman.js";
import { abortable, createLinkedAbortController, IS_OVER } from "../platform/abort-signals.js";
import { inParallel } from "../platform/in-parallel.js";
import { hadMatched, type JobChanges, type JobHistory } from "./job-changes.js";
import type { ManagedJob } from "./managed-job.js";
import { hasUsageChanged } from "./job-usage.js";
import type { SelectedJob } from "./job-registry.js";
import { JobsSearch } from "./jobs-search.js";
import type { OutputGrowth } from "./output-growth.js";
import { filterDigest } from "./page-token.js";

/** How many jobs of a snapshot are read at a time: each may need an open log. */
const SNAPSHOT_CONCURRENCY = 32;

/** What a stream of changes needs of the job manager. */
export interface WatchedJobs {
  readonly changes: JobChanges;
  readonly growth: OutputGrowth;
  /** Newest first. */
  readonly matching: (filter: JobFilter) => readonly SelectedJob[];
  readonly find: (id: string) => ManagedJob | undefined;
  /** After what time output that could not be read is tried again, at first. */
  readonly retryIntervalMs: number;
  /** The jobs of which something is under way. */
  readonly open: () => Iterable<ManagedJob>;
  /** How often the usage of running jobs is looked at. */
  readonly usageIntervalMs: number;
}

/**
 * Yields a snapshot, or `resumed`, and then every change until `stop` is aborted.
 *
 * An event's job and revision are taken at the same moment, so the event holds what
 * was true as of that revision. A change up to there that was skipped is superseded
 * by one that is still to come.
 */
export async function* watchJobs(
  jobs: WatchedJobs,
  { sinceRevision, output, includeUsage = false, ...filter }: WatchJobsOptions,
  stop: AbortSignal,
): AsyncGenerator<JobsEvent, never, undefined> {
  stop.throwIfAborted();
  const { changes } = jobs;
  const search = output && new JobsSearch(jobs, output, stop);
  const prefix = `${changes.epoch}.${filterDigest(filter)}.`;
  const release = jobs.growth.watch();
  const usage = new UsageUpdates(jobs, filter, includeUsage);
  try {
    // Output written while nobody watched is a change that a returning consumer must see.
    await abortable(jobs.growth.firstCheck, stop);
    const resumedAt = issuedNumber(prefix, sinceRevision);
    let shown = new ShownJobs(filter, [], resumedAt);
    let reported = resumedAt;
    if (reported !== undefined && changes.covers(reported)) {
      search?.resume();
      yield { type: "resumed", revision: prefix + reported };
    }
    for (;;) {
      stop.throwIfAborted();
      if (reported === undefined || !changes.covers(reported)) {
        reported = changes.revision;
        const taken = await snapshot(jobs, filter, includeUsage);
        // Once these jobs are released, their files may be another process's.
        stop.throwIfAborted();
        shown = new ShownJobs(filter, taken);
        search?.takeSnapshot(taken);
        yield { type: "snapshot", jobs: taken, revision: prefix + reported };
        continue;
      }
      if (usage.isDue) {
        const revision = prefix + reported;
        for await (const job of usage.changed()) yield { type: "changed", job, revision };
        continue;
      }
      const change = changes.firstAfter(reported);
      if (!change) {
        // Changes come first: a job is told of before its output.
        const found = search?.take();
        if (found) yield { ...found, revision: prefix + reported };
        else await untilMore(changes, reported, { search, timeoutMs: usage.dueInMs }, stop);
        continue;
      }
      reported = change.revision;
      if (!shown.concerns(change.history)) continue;
      const { id } = change.history;
      const job = await jobs.find(id)?.view({ includeUsage });
      stop.throwIfAborted();
      const revision = prefix + reported;
      if (job && isMatch(job, filter)) search?.add(job);
      yield job ? { type: "changed", job, revision } : { type: "removed", id, revision };
    }
  } finally {
    search?.close();
    release();
  }
}

/** Resolves when there is a change or a line to be told of, or in time. @throws the signal's reason */
async function untilMore(
  changes: JobChanges,
  reported: number,
  { search, timeoutMs }: { readonly search: JobsSearch | undefined; readonly timeoutMs: number },
  stop: AbortSignal,
): Promise<void> {
  if (!search) return changes.waitForChange(reported, stop, timeoutMs);
  const wait = createLinkedAbortController(stop);
  search.onFound = () => wait.abort(IS_OVER);
  try {
    await changes.waitForChange(reported, wait.signal, timeoutMs);
  } catch (error) {
    if (error !== IS_OVER) throw error;
  } finally {
    search.onFound = () => {};
    wait.abort(IS_OVER);
  }
}

/** The jobs that a consumer may believe to match. */
class ShownJobs {
  readonly #filter: JobFilter;
  readonly #resumedAt: number;
  /** By id; false once the consumer was told that the job no longer matches. */
  readonly #shown = new Map<string, boolean>();

  /** @param resumedAt up to this revision an earlier stream reported, nobody knows which jobs */
  constructor(filter: JobFilter, shown: readonly Job[], resumedAt = -1) {
    this.#filter = filter;
    this.#resumedAt = resumedAt;
    for (const { id } of shown) this.#shown.set(id, true);
  }

  /** Whether the consumer must be told of that job's latest change, which counts as told then. */
  concerns(history: JobHistory): boolean {
    const { id, name, labels } = history;
    const status = history.statuses.at(-1)?.status;
    const matches = status !== undefined && isMatch({ name, labels, status }, this.#filter);
    const shown = this.#shown.get(id) ?? hadMatched(history, this.#resumedAt, this.#filter);
    if (status === undefined) this.#shown.delete(id);
    else if (matches || shown) this.#shown.set(id, matches);
    return matches || shown;
  }
}

/**
 * Finds out whose usage has changed, again and again. That is no change of the jobs', and
 * has no revision: who comes back later is told of it anew.
 */
class UsageUpdates {
  readonly #jobs: WatchedJobs;
  readonly #filter: JobFilter;
  readonly #told = new WeakMap<ManagedJob, Usage>();
  #dueMs: number;

  constructor(jobs: WatchedJobs, filter: JobFilter, isWanted: boolean) {
    this.#jobs = jobs;
    this.#filter = filter;
    this.#dueMs = isWanted ? performance.now() + jobs.usageIntervalMs : Number.POSITIVE_INFINITY;
  }

  get dueInMs(): number {
    return Math.max(0, this.#dueMs - performance.now());
  }

  get isDue(): boolean {
    return this.dueInMs === 0;
  }

  /** Yields the jobs that match, run, and have used something since the last call. */
  async *changed(): AsyncGenerator<Job, void, undefined> {
    for (const job of this.#jobs.open()) {
      if (job.ended.aborted || !isMatch(job, this.#filter)) continue;
      const view = await job.view({ includeUsage: true });
      // Of its end, and whatever else changed meanwhile, the changes tell.
      if (isTerminal(view) || !isMatch(view, this.#filter)) continue;
      const { usage } = view;
      if (!usage || !hasUsageChanged(this.#told.get(job), usage)) continue;
      this.#told.set(job, usage);
      yield view;
    }
    this.#dueMs = performance.now() + this.#jobs.usageIntervalMs;
  }
}

async function snapshot(
  jobs: WatchedJobs,
  filter: JobFilter,
  includeUsage: boolean,
): Promise<Job[]> {
  // Taken as they are at this moment: the jobs change while their output is read.
  const selected = jobs.matching(filter);
  const taken = await inParallel(selected, SNAPSHOT_CONCURRENCY, (job) =>
    job.view({ includeUsage }),
  );
  // One that is gone by now is no loss: its removal comes after the snapshot.
  return taken.filter((job) => job !== undefined);
}

/** Returns the number in a revision that this process issued for the same filters. */
function issuedNumber(prefix: string, revision: string | undefined): number | undefined {
  if (!revision?.startsWith(prefix)) return undefined;
  const digits = revision.slice(prefix.length);
  return /^\d{1,15}$/.test(digits) ? Number(digits) : undefined;
}
