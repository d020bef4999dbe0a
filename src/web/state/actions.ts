import { isTerminal, type Job } from "../../contract/job.js";
import type { JobResults, Procman, StartOptions } from "../../contract/procman.js";
import type { JobsState } from "./jobs-state.js";
import type { Notices } from "./notices.js";
import { visible } from "./words.js";

export interface ActionsOptions {
  readonly procman: Procman;
  readonly jobs: JobsState;
  readonly notices: Notices;
}

/** What can be done with jobs. What fails is said in a notice; nothing throws. */
export class Actions {
  readonly #procman: Procman;
  readonly #jobs: JobsState;
  readonly #notices: Notices;

  constructor({ procman, jobs, notices }: ActionsOptions) {
    this.#procman = procman;
    this.#jobs = jobs;
    this.#notices = notices;
  }

  cancel(ids: readonly string[], gracePeriodMs: number): Promise<void> {
    return this.#several("cancel", "cancelled", ids, () =>
      this.#procman.cancelJobs({ ids }, { gracePeriodMs }),
    );
  }

  signal(ids: readonly string[], name: string): Promise<void> {
    return this.#several(`send ${name} to`, `sent ${name} to`, ids, () =>
      this.#procman.signalJobs({ ids }, name),
    );
  }

  /** Removes jobs with their output; those that have not ended are cancelled first. */
  async remove(ids: readonly string[]): Promise<void> {
    await this.#several("remove", "removed", ids, async () => {
      const results = await this.#procman.removeJobs({ ids }, { cancel: true });
      const removed = results.results.flatMap(({ type, id }) => (type === "done" ? [id] : []));
      this.#jobs.forget(removed);
      return results;
    });
  }

  /** Removes all jobs that ended so long ago. */
  async cleanUp(olderThanMs: number): Promise<void> {
    try {
      const ids = await this.#procman.cleanup({ olderThanMs });
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

  /** @throws what Start fails with, which the form shows at its fields */
  async start(options: StartOptions): Promise<Job> {
    const job = await this.#procman.start(options);
    this.#jobs.tell(job);
    return job;
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
      const failures = results.flatMap((result) =>
        result.type === "failed" ? [visible(result.error.message)] : [],
      );
      const others = doneSize === 0 ? "" : `; ${doneSize} done`;
      this.#notices.failed(`Could not ${verb} ${failedSize} of ${ids.length}${others}`, failures);
    } catch (error) {
      this.#notices.error(`${verb} ${what}`, error);
    }
  }
}

/** Returns those of the jobs for which something can be done now. */
export function running(jobs: readonly Job[]): readonly Job[] {
  return jobs.filter((job) => !isTerminal(job));
}

function jobCount({ length }: readonly unknown[]): string {
  return length === 1 ? "1 job" : `${length.toLocaleString("en")} jobs`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
