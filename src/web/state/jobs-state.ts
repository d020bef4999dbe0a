import { computed, type ReadonlySignal, signal } from "@preact/signals-core";
import type { ProcmanError } from "../../contract/errors.js";
import type { Job, Usage } from "../../contract/job.js";
import type { JobPage, JobsEvent, Procman } from "../../contract/procman.js";
import { cpuShare } from "./usage.js";
import { sleep } from "../../platform/timers.js";
import { countStatuses, isFiltered, type JobQuery, selectJobs } from "./job-query.js";

/** How many of the newest jobs are shown before all of them have arrived. */
const FIRST_PAGE_SIZE = 100;
/** Changes that come together are shown together. */
const FLUSH_INTERVAL_MS = 100;
/** With so many jobs, sorting them takes a while: it is done less often. */
const MANY_JOBS = 2000;
const MANY_JOBS_FLUSH_INTERVAL_MS = 500;

export interface JobsStateOptions {
  readonly procman: Procman;
  readonly query: ReadonlySignal<JobQuery>;
  /** The time, told every second or so. */
  readonly nowMs: ReadonlySignal<number>;
}

/** All jobs, as they change. */
export class JobsState {
  readonly #procman: Procman;
  readonly #jobs = new Map<string, Job>();
  /** What each job that runs uses. */
  readonly #usage = new Map<string, { readonly usage: Usage; readonly cpuShare?: number }>();
  /** Grows with each change to the jobs that is to be shown. */
  readonly #version = signal(0);
  #isFlushDue = false;
  /** Where to go on after a pause. */
  #revision = "";

  /** Whether the list is there; before, there may be some of it. */
  readonly loaded = signal(false);
  readonly error = signal<ProcmanError | undefined>(undefined);
  /** Jobs whose records cannot be read, of which the stream does not tell. */
  readonly unreadable = signal<Pick<JobPage, "unreadable" | "unreadableSize">>({
    unreadable: [],
    unreadableSize: 0,
  });
  /** What is to be shown, in its order. */
  readonly rows: ReadonlySignal<readonly Job[]>;
  readonly counts: ReadonlySignal<ReturnType<typeof countStatuses>>;
  readonly total: ReadonlySignal<number>;
  readonly isFiltered: ReadonlySignal<boolean>;

  constructor({ procman, query, nowMs }: JobsStateOptions) {
    this.#procman = procman;
    this.rows = computed(() => {
      void this.#version.value;
      // Only these orders change with time.
      const now = query.value.sort === "time" ? nowMs.value : nowMs.peek();
      return selectJobs(this.#jobs.values(), query.value, {
        nowMs: now,
        cpuShare: (job) => this.cpuShare(job.id),
      });
    });
    this.counts = computed(() => {
      void this.#version.value;
      return countStatuses(this.#jobs.values(), query.value);
    });
    this.total = computed(() => {
      void this.#version.value;
      return this.#jobs.size;
    });
    this.isFiltered = computed(() => isFiltered(query.value));
  }

  get(id: string): Job | undefined {
    void this.#version.value;
    return this.#jobs.get(id);
  }

  /** How much of a processor a job uses; undefined where that is not known. */
  cpuShare(id: string): number | undefined {
    return this.#usage.get(id)?.cpuShare;
  }

  /** Returns a job as it is known now, to nobody who waits for changes. */
  peek(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  /** Follows the jobs until the signal is aborted. The next time it goes on where this one ended. */
  async follow(signal: AbortSignal): Promise<void> {
    try {
      this.error.value = undefined;
      if (!this.loaded.value) void this.#loadFirstPage(signal);
      const since = this.#revision;
      for await (const event of this.#procman.watchJobs({
        sinceRevision: since,
        includeUsage: true,
        signal,
      })) {
        this.#apply(event);
      }
    } catch (error) {
      if (!signal.aborted) this.error.value = error as ProcmanError;
    }
  }

  /** Takes in what a call has told of a job, which the stream will tell of later. */
  tell(job: Job): void {
    this.#jobs.set(job.id, job);
    this.#flushNow();
  }

  forget(ids: readonly string[]): void {
    for (const id of ids) this.#jobs.delete(id);
    this.#flushNow();
  }

  /** Asks again for what the stream does not tell of. */
  async reloadUnreadable(): Promise<void> {
    this.unreadable.value = await this.#procman.list({ pageSize: 1 });
  }

  /** The stream's first answer is as long as there are jobs. A page of them is there before. */
  async #loadFirstPage(signal: AbortSignal): Promise<void> {
    try {
      const { jobs, ...page } = await this.#procman.list({ pageSize: FIRST_PAGE_SIZE, signal });
      this.unreadable.value = page;
      if (this.loaded.value) return;
      for (const job of jobs) this.#jobs.set(job.id, job);
      this.#flushNow();
    } catch {
      // What keeps it from that, the stream will tell.
    }
  }

  #apply(event: JobsEvent): void {
    this.#revision = event.revision;
    switch (event.type) {
      case "snapshot":
        this.#jobs.clear();
        for (const job of event.jobs) this.#keep(job);
        this.#dropUsage();
        this.loaded.value = true;
        return this.#flushNow();
      case "resumed":
        return;
      case "changed":
        this.#keep(event.job);
        return this.#flushSoon();
      case "removed":
        this.#jobs.delete(event.id);
        this.#usage.delete(event.id);
        return this.#flushSoon();
      case "line":
      case "searched":
        // Nobody asked for lines.
        return;
    }
  }

  #keep(job: Job): void {
    this.#jobs.set(job.id, job);
    if (job.status !== "running") {
      this.#usage.delete(job.id);
      return;
    }
    if (!job.usage) return;
    const known = this.#usage.get(job.id);
    const share = cpuShare(known?.usage, job.usage);
    // Of one that has not changed, nothing is told: what it used last counts until then.
    const cpu = share ?? known?.cpuShare;
    this.#usage.set(job.id, { usage: job.usage, ...(cpu !== undefined && { cpuShare: cpu }) });
  }

  #dropUsage(): void {
    for (const id of this.#usage.keys()) if (!this.#jobs.has(id)) this.#usage.delete(id);
  }

  #flushSoon(): void {
    const delayMs = this.#jobs.size > MANY_JOBS ? MANY_JOBS_FLUSH_INTERVAL_MS : FLUSH_INTERVAL_MS;
    if (this.#isFlushDue) return;
    this.#isFlushDue = true;
    void sleep(delayMs).then(() => {
      if (this.#isFlushDue) this.#flushNow();
    });
  }

  #flushNow(): void {
    this.#isFlushDue = false;
    this.#version.value += 1;
  }
}
