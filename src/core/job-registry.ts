import { jobNotFound, ProcmanError } from "../contract/errors.js";
import type { Job } from "../contract/job.js";
import { isMatch, type JobFilter } from "../contract/procman.js";
import { Turns } from "../platform/turns.js";
import { type EndedJob, EndedJobs } from "./ended-jobs.js";
import { JobsByName } from "./jobs-by-name.js";
import { type JobContext, ManagedJob, type ViewOptions } from "./managed-job.js";
import { RecentObjects } from "./recent-objects.js";
import type { Eligible } from "./several-jobs.js";
import { UnreadableJobs } from "./unreadable-jobs.js";

/** How many ended jobs that somebody has asked for are kept open, whether still in use or not. */
const MAX_IDLE_OPEN = 1000;

/** A job that was selected by a filter, as it was then. */
export interface SelectedJob {
  readonly sequence: number;
  /** Returns undefined where an ended job was removed since, or its record cannot be read. */
  view(options?: Pick<ViewOptions, "includeUsage">): Promise<Job | undefined>;
}

export interface Selection {
  /** Newest first. */
  readonly jobs: readonly SelectedJob[];
  /** Whether there are more. */
  readonly hasMore: boolean;
  /** How many match in all. */
  readonly total: number;
}

export interface JobRegistryOptions {
  /** Called when an ended job turns out to be gone, or unreadable. */
  readonly onLost: (job: EndedJob) => void;
}

/**
 * All jobs by their ids. Those of which something is under way are open: each is a
 * ManagedJob. Of one that has ended only what List and Cleanup need is in memory; it
 * is opened when somebody asks for it.
 */
export class JobRegistry {
  readonly #context: JobContext;
  readonly #options: JobRegistryOptions;
  readonly #open = new Map<string, ManagedJob>();
  readonly #openByName = new JobsByName<ManagedJob>();
  readonly #ended = new EndedJobs();
  /** Ended jobs that are open: one object each, for as long as anybody uses it. */
  readonly #reopened = new RecentObjects<ManagedJob>(MAX_IDLE_OPEN);
  readonly unreadable: UnreadableJobs;
  readonly #turns = new Turns();

  constructor(context: JobContext, options: JobRegistryOptions) {
    this.#context = context;
    this.#options = options;
    this.unreadable = new UnreadableJobs(context);
  }

  get size(): number {
    return this.#open.size + this.#ended.size;
  }

  /** The jobs of which something is under way. */
  open(): Iterable<ManagedJob> {
    return this.#open.values();
  }

  /** Every job that has ended. */
  *ended(): Generator<EndedJob, void, undefined> {
    for (const { endedJob } of this.#open.values()) if (endedJob) yield endedJob;
    yield* this.#ended.values();
  }

  /** Every ManagedJob that there is. */
  *objects(): Generator<ManagedJob, void, undefined> {
    yield* this.#open.values();
    yield* this.#reopened.values();
  }

  add(job: ManagedJob): void {
    this.#open.set(job.id, job);
    this.#openByName.add(job);
    this.settle(job);
  }

  addEnded(job: EndedJob): void {
    this.#ended.add(job);
  }

  /** Keeps an open job compactly from now on, if nothing of it is under way. */
  settle(job: ManagedJob): void {
    const { id } = job;
    if (this.#open.get(id) !== job || !job.isSettled) return;
    const ended = job.endedJob;
    if (!ended) return;
    this.#open.delete(id);
    this.#openByName.delete(job);
    this.#reopened.add(id, job);
    this.#ended.add(ended);
    this.#context.store.remember(ended);
  }

  /** Whether somebody reads the job's output now. */
  isRead(id: string): boolean {
    return (this.#open.get(id) ?? this.#reopened.peek(id))?.isRead ?? false;
  }

  has(job: ManagedJob): boolean {
    return this.#open.get(job.id) === job;
  }

  /** Whether there is a job of that id, be it one whose record cannot be read. */
  hasId(id: string): boolean {
    return this.#open.has(id) || this.#ended.get(id) !== undefined || this.unreadable.has(id);
  }

  /** @returns whether it was there */
  delete(id: string): boolean {
    this.#reopened.delete(id);
    const open = this.#open.get(id);
    if (!open) return this.#ended.delete(id) !== undefined;
    this.#openByName.delete(open);
    return this.#open.delete(id);
  }

  /**
   * Returns the job of an id, or else the newest one of a name.
   * @throws ProcmanError JOB_NOT_FOUND, RECORD_UNREADABLE
   */
  resolve(idOrName: string): ManagedJob {
    const named = this.hasId(idOrName) ? undefined : this.newestNamed(idOrName);
    return named ?? this.get(idOrName);
  }

  /** Returns the newest job of a name that can be read. */
  newestNamed(name: string): ManagedJob | undefined {
    const open = this.#openByName.named(name).at(-1);
    for (;;) {
      const ended = this.#ended.newestNamed(name);
      if (!ended || (open && open.sequence > ended.sequence)) return open;
      // One that turns out to be gone is not found again.
      const job = this.find(ended.id);
      if (job) return job;
    }
  }

  /** Returns the job of a name that has not ended. There is one at most. */
  unendedNamed(name: string): ManagedJob | undefined {
    return this.#openByName.named(name).findLast(({ ended }) => !ended.aborted);
  }

  /** @throws ProcmanError JOB_NOT_FOUND, RECORD_UNREADABLE */
  get(id: string): ManagedJob {
    const job = this.find(id);
    if (job) return job;
    const cause = this.unreadable.errorOf(id);
    if (!cause) throw jobNotFound(id);
    const message = `the record of job ${id} cannot be read`;
    throw new ProcmanError("RECORD_UNREADABLE", message, { jobId: id, cause });
  }

  /**
   * Returns undefined where there is no such job, or its record cannot be read.
   * @throws ProcmanError where that may be otherwise later, as for want of descriptors
   */
  find(id: string): ManagedJob | undefined {
    const open = this.#open.get(id) ?? this.#reopened.get(id);
    if (open) return open;
    const ended = this.#ended.get(id);
    return ended && this.#reopen(ended);
  }

  /** Selects the newest jobs that match and whose sequence is below `before`. */
  select(filter: JobFilter, { before = Infinity, limit = Infinity } = {}): Selection {
    const open = [...this.#open.values()].filter((job) => isMatch(job, filter));
    const ended = this.#ended.newestFirst(filter, before);
    const rest = open
      .filter(({ sequence }) => sequence < before)
      .sort((a, b) => a.sequence - b.sequence);
    const jobs: SelectedJob[] = [];
    let nextEnded = ended.next().value;
    while (rest.length > 0 || nextEnded) {
      if (jobs.length === limit) break;
      const newestOpen = rest.at(-1);
      if (nextEnded && nextEnded.sequence > (newestOpen?.sequence ?? Number.NEGATIVE_INFINITY)) {
        jobs.push(this.#selectedEnded(nextEnded));
        nextEnded = ended.next().value;
      } else if (newestOpen) {
        jobs.push(selectedOpen(newestOpen));
        rest.pop();
      }
    }
    const hasMore = rest.length > 0 || nextEnded !== undefined;
    return { jobs, hasMore, total: open.length + this.#ended.count(filter) };
  }

  /** Returns the ids of the jobs that match, newest first. */
  idsOf(filter: JobFilter, eligible: Eligible): readonly string[] {
    const open = [...this.#open.values()].filter(
      (job) => isEligible(job, eligible) && isMatch(job, filter),
    );
    const withSettled = eligible === "ended" || eligible === "all";
    const ended = withSettled ? this.#ended.newestFirst(filter, Infinity) : [];
    return [...open, ...ended].sort((a, b) => b.sequence - a.sequence).map(({ id }) => id);
  }

  #selectedEnded({ id, sequence }: EndedJob): SelectedJob {
    // One that is being removed can still be shown as it was.
    const open = this.#reopened.peek(id);
    const view = async () => {
      // Each is read from disk at once, and there may be very many.
      await this.#turns.next();
      return (open ?? this.find(id))?.view();
    };
    return { sequence, view };
  }

  #reopen(ended: EndedJob): ManagedJob | undefined {
    const { id } = ended;
    try {
      const job = ManagedJob.reopen(this.#context, ended);
      this.#reopened.add(id, job);
      return job;
    } catch (error) {
      if (!(error instanceof ProcmanError)) throw error;
      if (error.reason !== "JOB_NOT_FOUND" && error.reason !== "RECORD_UNREADABLE") throw error;
      if (error.reason === "RECORD_UNREADABLE") this.unreadable.add(id, error);
      this.delete(id);
      this.#options.onLost(ended);
      return undefined;
    }
  }
}

function isEligible({ ended, noneRemain }: ManagedJob, eligible: Eligible): boolean {
  switch (eligible) {
    case "ended":
      return ended.aborted;
    case "unended":
      return !ended.aborted;
    case "unended-or-left":
      return !noneRemain.aborted;
    case "all":
      return true;
  }
}

function selectedOpen(job: ManagedJob): SelectedJob {
  const { sequence, record } = job;
  return { sequence, view: (options) => job.view({ ...options, record }) };
}
