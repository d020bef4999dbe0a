import { expect } from "vitest";
import { isMatch, type JobFilter, type JobsEvent } from "../../src/contract/procman.js";
import { isTerminal, type Job } from "../../src/contract/job.js";

/**
 * What one who watches jobs makes of the events, as the contract says; and all
 * that the contract promises of them is checked.
 */
export class JobsPicture {
  readonly filter: JobFilter;
  readonly jobs = new Map<string, Job>();
  /** Of the last event. */
  revision = "";
  /** How often the whole of it was told. */
  snapshots = 0;
  /**
   * Whether only jobs that were told of leave: until the connection is lost. The
   * next one tells of all that may have been told, as what arrived is not known.
   */
  exact = true;
  /** Each job as it was told of last. */
  readonly #last = new Map<string, Job>();
  readonly #removed = new Set<string>();

  constructor(filter: JobFilter) {
    this.filter = filter;
  }

  get ids(): string[] {
    return [...this.jobs.keys()].sort();
  }

  apply(event: JobsEvent): void {
    switch (event.type) {
      case "snapshot":
        this.jobs.clear();
        this.snapshots += 1;
        for (const job of event.jobs) {
          expect(isMatch(job, this.filter), "a snapshot holds what matches").toBe(true);
          this.#see(job);
          this.jobs.set(job.id, job);
        }
        break;
      case "resumed":
        expect(event.revision, "resumed at what was given").toBe(this.revision);
        break;
      case "changed":
        this.#see(event.job);
        if (isMatch(event.job, this.filter)) {
          this.jobs.set(event.job.id, event.job);
        } else {
          this.#leave(event.job.id);
        }
        break;
      case "removed":
        this.#leave(event.id);
        this.#removed.add(event.id);
        break;
      case "line":
      case "searched":
        return;
    }
    if (event.type !== "resumed") this.#goOn(event);
  }

  #leave(id: string): void {
    const was = this.jobs.delete(id);
    expect(was || !this.exact, "only what is in the picture leaves it").toBe(true);
  }

  #goOn({ type, revision }: JobsEvent): void {
    // A snapshot may be of another process, which counts anew.
    if (type !== "snapshot") expect(numberOf(revision)).toBeGreaterThan(numberOf(this.revision));
    this.revision = revision;
  }

  /** No state goes back. */
  #see(job: Job): void {
    expect([...this.#removed], "what was removed stays so").not.toContain(job.id);
    const last = this.#last.get(job.id);
    this.#last.set(job.id, job);
    if (!last) return;
    if (isTerminal(last)) expect(job).toEqual(last);
    else expect(job.status).not.toBe("pending");
    expect(job.stdoutBytes).toBeGreaterThanOrEqual(last.stdoutBytes);
  }
}

function numberOf(revision: string): number {
  return Number(revision.split(".").at(-1));
}
