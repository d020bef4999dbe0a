export interface NamedJob {
  readonly id: string;
  readonly sequence: number;
  readonly name?: string | undefined;
}

/** Jobs by their names, for those that have one. The others cost nothing. */
export class JobsByName<Job extends NamedJob> {
  /** In the order of their sequence: jobs of one name mostly come in it. */
  readonly #jobs = new Map<string, Job[]>();

  add(job: Job): void {
    if (job.name === undefined) return;
    const others = this.#jobs.get(job.name);
    if (!others) this.#jobs.set(job.name, [job]);
    else others.splice(others.findLastIndex(({ sequence }) => sequence < job.sequence) + 1, 0, job);
  }

  delete(job: Job): void {
    if (job.name === undefined) return;
    const same = this.#jobs.get(job.name) ?? [];
    const index = same.findLastIndex(({ id }) => id === job.id);
    if (index !== -1) same.splice(index, 1);
    if (same.length === 0) this.#jobs.delete(job.name);
  }

  /** Returns those of a name, oldest first. Not to be used once one was added or deleted. */
  named(name: string): readonly Job[] {
    return this.#jobs.get(name) ?? [];
  }
}
