import { argumentError } from "../contract/errors.js";
import type { IfRunning } from "../contract/procman.js";
import type { ManagedJob } from "./managed-job.js";

export interface NameOptions {
  readonly ifRunning: IfRunning;
  /** The job that the new one is started in place of. It may still bear the name. */
  readonly previous?: ManagedJob;
}

/** Has at most one job that has not ended bear a name, also while that is being started. */
export class JobNames {
  readonly #unended: (name: string) => ManagedJob | undefined;
  readonly #starting = new Map<string, Promise<ManagedJob>>();

  /** @param unended returns the job of a name that has not ended */
  constructor(unended: (name: string) => ManagedJob | undefined) {
    this.#unended = unended;
  }

  /**
   * Starts a job of a name, or returns the one that bears it. A start that is under way
   * is waited for: whether it comes to a job is not known before.
   * @param name undefined: the job has none
   * @throws ProcmanError NAME_IN_USE; what `start` fails with
   */
  async once(
    name: string | undefined,
    { ifRunning, previous }: NameOptions,
    start: () => Promise<ManagedJob>,
  ): Promise<ManagedJob> {
    if (name === undefined) return start();
    for (;;) {
      const bearer = this.#unended(name);
      const other = bearer === previous ? undefined : bearer;
      if (other && ifRunning === "fail") throw nameInUse(name, other.id);
      const starting = this.#starting.get(name);
      // One that is being restarted is about to end.
      if (other && !starting) return other;
      if (!starting) break;
      // Whoever began it has its failure.
      await starting.catch(() => {});
    }
    const starting = start();
    this.#starting.set(name, starting);
    try {
      return await starting;
    } finally {
      this.#starting.delete(name);
    }
  }
}

function nameInUse(name: string, jobId: string) {
  const description = `is the name of job ${jobId}, which has not ended`;
  return argumentError("NAME_IN_USE", [{ field: "name", description }], {
    message: `${name} ${description}`,
    jobId,
  });
}
