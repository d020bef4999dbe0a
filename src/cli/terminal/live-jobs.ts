import type { JobFilter, JobsEvent } from "../../contract/procman.js";
import { isTerminal, type Job } from "../../contract/job.js";
import { isMatch } from "../../core/job-filter.js";

/** The jobs that match, kept up to date by the events of WatchJobs. */
export class LiveJobs {
  readonly #filter: JobFilter;
  readonly #jobs = new Map<string, Job>();

  constructor(filter: JobFilter) {
    this.#filter = filter;
  }

  apply(event: JobsEvent): void {
    switch (event.type) {
      case "snapshot":
        this.#jobs.clear();
        for (const job of event.jobs) this.#jobs.set(job.id, job);
        break;
      case "changed":
        if (isMatch(event.job, this.#filter)) this.#jobs.set(event.job.id, event.job);
        else this.#jobs.delete(event.job.id);
        break;
      case "removed":
        this.#jobs.delete(event.id);
        break;
      case "resumed":
        break;
    }
  }

  /** Those that have not ended first, and of each kind the newest first. */
  get all(): readonly Job[] {
    return [...this.#jobs.values()].sort(
      (a, b) =>
        Number(isTerminal(a)) - Number(isTerminal(b)) ||
        b.createdTime.getTime() - a.createdTime.getTime(),
    );
  }
}
