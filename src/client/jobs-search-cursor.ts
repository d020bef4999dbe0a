import { isTerminal, type Job } from "../contract/job.js";
import type {
  JobOutputPosition,
  JobsEvent,
  JobsOutputPattern,
  SearchedOffsets,
} from "../contract/procman.js";
import { defined } from "../platform/defined.js";

interface SearchedJob extends SearchedOffsets {
  readonly createdMs: number;
  readonly complete: boolean;
}

/**
 * Keeps how far the output of each job was searched, so that the search can go on over
 * another connection: no line lost, none twice. A server that was restarted tells a
 * snapshot again, and which of its jobs are new is known by when they were created.
 */
export class JobsSearchCursor {
  readonly #asked: JobsOutputPattern;
  readonly #jobs = new Map<string, SearchedJob>();
  /** When the newest job was created that was told of. Undefined before the first snapshot. */
  #newestCreatedMs: number | undefined;

  constructor(asked: JobsOutputPattern) {
    this.#asked = asked;
    const { positions = [], newestCreatedTime } = asked;
    this.#newestCreatedMs = newestCreatedTime?.getTime();
    const createdMs = this.#newestCreatedMs ?? Number.NEGATIVE_INFINITY;
    for (const { id, ...offsets } of positions) {
      this.#jobs.set(id, { ...offsets, createdMs, complete: false });
    }
  }

  /** Returns what to ask a new connection for. */
  get request(): JobsOutputPattern {
    const newestMs = this.#newestCreatedMs;
    if (newestMs === undefined) return this.#asked;
    const positions: JobOutputPosition[] = [];
    for (const [id, { stdoutOffset, stderrOffset, createdMs, complete }] of this.#jobs) {
      // A job that is not named counts as new where it is no older than the newest one.
      if (complete && createdMs < newestMs) this.#jobs.delete(id);
      else positions.push({ id, stdoutOffset, stderrOffset });
    }
    return { ...this.#asked, positions, newestCreatedTime: new Date(newestMs) };
  }

  /** Notes an event that was received. */
  take(event: JobsEvent): void {
    switch (event.type) {
      case "snapshot":
        this.#takeJobs(event.jobs);
        break;
      case "changed":
        this.#takeJobs([event.job]);
        break;
      case "removed":
        this.#jobs.delete(event.id);
        break;
      case "line": {
        const { stream, nextOffset } = event.line;
        this.#advance(event.id, { [`${stream}Offset`]: nextOffset });
        break;
      }
      case "searched": {
        const { id, stdoutOffset, stderrOffset, complete } = event;
        this.#advance(id, { stdoutOffset, stderrOffset, complete });
        break;
      }
      case "resumed":
        break;
    }
  }

  #takeJobs(jobs: readonly Job[]): void {
    const before = this.#newestCreatedMs;
    let newestMs = before ?? Number.NEGATIVE_INFINITY;
    for (const job of jobs) {
      const createdMs = job.createdTime.getTime();
      newestMs = Math.max(newestMs, createdMs);
      if (this.#jobs.has(job.id)) continue;
      const isNew = before !== undefined && createdMs >= before;
      this.#jobs.set(job.id, {
        stdoutOffset: isNew ? 0 : job.stdoutBytes,
        stderrOffset: isNew ? 0 : job.stderrBytes,
        createdMs,
        complete: !isNew && isTerminal(job),
      });
    }
    this.#newestCreatedMs = newestMs;
  }

  #advance(id: string, change: Partial<SearchedJob>): void {
    const job = this.#jobs.get(id);
    if (job) this.#jobs.set(id, { ...job, ...defined(change) });
  }
}
