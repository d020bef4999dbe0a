import { isTerminal, type Job } from "../../contract/job.js";
import type { JobResults, Procman, RemainingOption, StartOptions } from "../../contract/procman.js";
import type { JobsState } from "./jobs-state.js";
import type { Notices } from "./notices.js";
import { visible } from "./words.js";

export interface ActionsOptions {
  readonly procman: Procman;
  readonly jobs: JobsState;
  readonly notices: Notices;
  /** Asks whether jobs are to be removed with the processes that they have left behind. */
  readonly askToRemove: (jobs: readonly Job[]) => void;
}

/** What can be done with jobs. What fails is said in a notice; nothing throws. */
export class Actions {
  readonly #procman: Procman;
  readonly #jobs: JobsState;
  readonly #notices: Notices;
  readonly #askToRemove: (jobs: readonly Job[]) => void;

  constructor({ procman, jobs, notices, askToRemove }: ActionsOptions) {
    this.#procman = procman;
    this.#jobs = jobs;
    this.#notices = notices;
    this.#askToRemove = askToRemove;
  }

  /** Ends jobs; of those that have ended, what they have left behind. */
  cancel(jobs: readonly Job[], gracePeriodMs: number): Promise<void> {
    const ids = jobs.map(({ id }) => id);
    const [verb, done] =
      running(jobs).length > 0
        ? ["cancel", "cancelled"]
        : ["end what was left by", "ended what was left by"];
    return this.#several(verb, done, ids, () =>
      this.#procman.cancelJobs({ ids }, { gracePeriodMs, includeRemaining: true }),
    );
  }

  /** Sends a signal to jobs; of those that have ended, to what they have left behind. */
  signal(ids: readonly string[], name: string): Promise<void> {
    return this.#several(`send ${name} to`, `sent ${name} to`, ids, () =>
      this.#procman.signalJobs({ ids }, name, { includeRemaining: true }),
    );
  }

  /**
   * Removes jobs with their output; those that have not ended are cancelled first. A job that
   * has left processes behind is removed only with `includeRemaining`, which ends them; else
   * the notice offers that.
   */
  async remove(ids: readonly string[], options: RemainingOption = {}): Promise<void> {
    await this.#several("remove", "removed", ids, async () => {
      const results = await this.#procman.removeJobs({ ids }, { cancel: true, ...options });
      const removed = results.results.flatMap(({ type, id }) => (type === "done" ? [id] : []));
      this.#jobs.forget(removed);
      return results;
    });
  }

  /** Removes a job whose record cannot be read, with all of its files. */
  async removeUnreadable(id: string): Promise<void> {
    try {
      await this.#procman.remove(id, { unreadable: true });
      await this.#jobs.reloadUnreadable();
      this.#notices.done("Removed the job.");
    } catch (error) {
      this.#notices.error("remove the job", error);
    }
  }

  /** Removes all jobs that ended so long ago. */
  async cleanUp(olderThanMs: number, options: RemainingOption = {}): Promise<void> {
    try {
      const ids = await this.#procman.cleanup({ olderThanMs, ...options });
      this.#jobs.forget(ids);
      this.#notices.done(ids.length === 0 ? "No job is that old." : `Removed ${jobCount(ids)}.`);
    } catch (error) {
      this.#notices.error("clean up", error);
    }
  }

  /** Returns the new job; undefined where it failed. */
  async restart(id: string): Promise<Job | undefined> {
    try {
      const job = await this.#procman.restart(id);
      this.#jobs.tell(job);
      this.#notices.done("Started it again.");
      return job;
    } catch (error) {
      this.#notices.error("restart the job", error);
      return undefined;
    }
  }

  /** Begins a job's lease anew. Returns the job; undefined where it failed. */
  async renewLease(id: string): Promise<Job | undefined> {
    try {
      const job = await this.#procman.renewLease(id);
      this.#jobs.tell(job);
      return job;
    } catch (error) {
      this.#notices.error("renew the lease", error);
      return undefined;
    }
  }

  /** @throws what Start fails with, which the form shows at its fields */
  async start(options: StartOptions): Promise<Job> {
    const job = await this.#procman.start(options);
    this.#jobs.tell(job);
    return job;
  }

  /** Asks with the jobs as they are now: the list may not have told yet of what they left. */
  async #askAgain(ids: readonly string[]): Promise<void> {
    try {
      const jobs = await Promise.all(ids.map((id) => this.#procman.get(id)));
      for (const job of jobs) this.#jobs.tell(job);
      this.#askToRemove(jobs);
    } catch (error) {
      this.#notices.error("look at the jobs", error);
    }
  }

  async #several(
    verb: string,
    done: string,
    ids: readonly string[],
    act: () => Promise<JobResults>,
  ): Promise<void> {
    const what = ids.length === 1 ? "the job" : jobCount(ids);
    try {
      const { results, doneSize, failedSize } = await act();
      for (const result of results) {
        if (result.type === "done" && result.job) this.#jobs.tell(result.job);
      }
      if (failedSize === 0) {
        this.#notices.done(`${capital(done)} ${what}.`);
        return;
      }
      const failures = results.filter((result) => result.type === "failed");
      const details = failures.map(({ error }) => visible(error.message));
      const others = doneSize === 0 ? "" : `; ${doneSize} done`;
      const heldBack = failures.flatMap(({ id, error }) =>
        error.reason === "JOB_HAS_PROCESSES" ? [id] : [],
      );
      this.#notices.failed(
        `Could not ${verb} ${failedSize} of ${ids.length}${others}`,
        details,
        heldBack.length === 0
          ? undefined
          : {
              label: "End these processes and remove…",
              take: () => void this.#askAgain(heldBack),
            },
      );
    } catch (error) {
      this.#notices.error(`${verb} ${what}`, error);
    }
  }
}

/** Returns the jobs that have not ended. */
export function running(jobs: readonly Job[]): readonly Job[] {
  return jobs.filter((job) => !isTerminal(job));
}

/** Returns the jobs that have processes: those that run, and those that have left some behind. */
export function withProcesses(jobs: readonly Job[]): readonly Job[] {
  return jobs.filter((job) => !isTerminal(job) || remainingCount([job]) > 0);
}

/** Returns how many processes jobs that have ended have left behind in all. */
export function remainingCount(jobs: readonly Job[]): number {
  return jobs.reduce((count, { remainingProcesses = 0 }) => count + remainingProcesses, 0);
}

function jobCount({ length }: readonly unknown[]): string {
  return length === 1 ? "1 job" : `${length.toLocaleString("en")} jobs`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
