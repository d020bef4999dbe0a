import { ProcmanError } from "../contract/errors.js";
import { isTerminal, type Job, type OutputSizes, type Stream, STREAMS } from "../contract/job.js";
import type {
  JobOutputPosition,
  JobsOutputPattern,
  OutputLine,
  SearchedOffsets,
} from "../contract/procman.js";
import { createLinkedAbortController, IS_OVER } from "../platform/abort-signals.js";
import { sleep } from "../platform/timers.js";
import { type LineFilter, LinePattern } from "./line-pattern.js";
import type { ManagedJob } from "./managed-job.js";
import type { LogLine, LogSearched, OutputPositions } from "./ports.js";

/** Output that cannot be read, for want of descriptors say, is tried again less and less often. */
const MAX_BACKOFF_MS = 30_000;

export interface SearchedJobs {
  readonly find: (id: string) => ManagedJob | undefined;
  /** After what time output that could not be read is tried again, at first. */
  readonly retryIntervalMs: number;
}

export type FoundOutput =
  | { readonly type: "line"; readonly id: string; readonly line: OutputLine }
  | ({ readonly type: "searched"; readonly complete: boolean } & JobOutputPosition);

/** What was found, and what to call once it is taken. */
interface Offer {
  readonly found: FoundOutput;
  readonly onTaken: () => void;
}

const BEGINNING: SearchedOffsets = { stdoutOffset: 0, stderrOffset: 0 };

/**
 * Searches the output of many jobs, each from its place to its end. Of each job at most
 * one line that was found waits to be taken: a slow consumer holds up the reading, and
 * loses nothing.
 */
export class JobsSearch {
  readonly #jobs: SearchedJobs;
  readonly #filter: LineFilter;
  readonly #streams: readonly Stream[];
  readonly #positions: ReadonlyMap<string, SearchedOffsets>;
  /** Jobs of an earlier call were created up to this time. */
  readonly #newestCreatedMs: number | undefined;
  readonly #stop: AbortController;
  /** The jobs that were told of, searched or not. */
  readonly #known = new Set<string>();
  #hasSnapshot = false;
  #offers: Offer[] = [];
  /** Called when there is something to be taken. */
  onFound = () => {};

  /** @throws ProcmanError INVALID_ARGUMENT */
  constructor(jobs: SearchedJobs, output: JobsOutputPattern, stop: AbortSignal) {
    const { pattern, invert = false, streams = [], positions = [], newestCreatedTime } = output;
    this.#jobs = jobs;
    this.#filter = { pattern: new LinePattern(pattern, "output_pattern.pattern"), invert };
    this.#streams = streams.length === 0 ? STREAMS : streams;
    this.#positions = new Map(positions.map((position) => [position.id, position]));
    this.#newestCreatedMs = newestCreatedTime?.getTime();
    this.#stop = createLinkedAbortController(stop);
  }

  /** Goes on with the jobs of an earlier call. */
  resume(): void {
    this.#hasSnapshot = true;
    for (const [id, position] of this.#positions) {
      this.#known.add(id);
      void this.#search(id, position);
    }
  }

  /** Searches the jobs of a snapshot. */
  takeSnapshot(jobs: readonly Job[]): void {
    for (const job of jobs) this.#add(job, !this.#hasSnapshot);
    this.#hasSnapshot = true;
  }

  /** Searches a job that was told of, unless it is searched already. */
  add(job: Job): void {
    this.#add(job, false);
  }

  /** Takes out what was found next. */
  take(): FoundOutput | undefined {
    const offer = this.#offers.shift();
    offer?.onTaken();
    return offer?.found;
  }

  close(): void {
    this.#stop.abort(IS_OVER);
    // Those that wait to be taken see then that it is over.
    for (const { onTaken } of this.#offers) onTaken();
    this.#offers = [];
  }

  #add(job: Job, isInFirstSnapshot: boolean): void {
    const { id } = job;
    if (this.#known.has(id)) return;
    this.#known.add(id);
    const position = this.#positions.get(id);
    if (position) void this.#search(id, position);
    else if (!this.#wasThereBefore(job, isInFirstSnapshot)) void this.#search(id, BEGINNING);
    else if (!isTerminal(job)) void this.#searchFromEnd(job);
  }

  #wasThereBefore({ createdTime }: Job, isInFirstSnapshot: boolean): boolean {
    if (this.#newestCreatedMs === undefined) return isInFirstSnapshot;
    return createdTime.getTime() < this.#newestCreatedMs;
  }

  /** Searches from where the line begins that is the last one in a snapshot. */
  async #searchFromEnd(job: Job): Promise<void> {
    const { id } = job;
    const sizes = { stdoutOffset: job.stdoutBytes, stderrOffset: job.stderrBytes };
    const from = await this.#retried(id, async ({ logs }) => {
      const { stdout = 0, stderr = 0 } = await logs.lineStarts(positionsOf(sizes, STREAMS));
      return { stdoutOffset: stdout, stderrOffset: stderr };
    });
    if (!from) return;
    const isMoved =
      from.stdoutOffset !== sizes.stdoutOffset || from.stderrOffset !== sizes.stderrOffset;
    if (isMoved) await this.#offer({ type: "searched", id, complete: false, ...from });
    await this.#search(id, from);
  }

  async #search(id: string, from: SearchedOffsets): Promise<void> {
    const position = { stdoutOffset: from.stdoutOffset, stderrOffset: from.stderrOffset };
    await this.#retried(id, async (job) => {
      const { signal } = this.#stop;
      const { mergeOutput } = job.record.spec;
      const streams = mergeOutput ? this.#streams.filter((s) => s === "stdout") : this.#streams;
      const reading = { ended: job.ended, signal };
      try {
        const asked = positionsOf(position, streams);
        for await (const item of job.logs.matchingLines(asked, this.#filter, reading)) {
          await this.#takeIn(id, item, position);
          signal.throwIfAborted();
        }
      } catch (error) {
        if (!isOutOfRange(error)) throw error;
        // The log was truncated while nobody saw it.
        clamp(position, await job.logs.sizes());
        throw error;
      }
    });
  }

  async #takeIn(
    id: string,
    item: LogLine | LogSearched,
    position: { stdoutOffset: number; stderrOffset: number },
  ): Promise<void> {
    if ("isSearched" in item) {
      const { stdoutOffset, stderrOffset, isEnd } = item;
      Object.assign(position, { stdoutOffset, stderrOffset });
      await this.#offer({ type: "searched", id, complete: isEnd, stdoutOffset, stderrOffset });
      return;
    }
    if (!item.isTruncation) await this.#offer({ type: "line", id, line: item });
    position[`${item.stream}Offset`] = item.nextOffset;
  }

  /** Does something with a job until that has succeeded. @returns undefined where it is over */
  async #retried<T>(id: string, act: (job: ManagedJob) => Promise<T>): Promise<T | undefined> {
    const { signal } = this.#stop;
    let backoffMs = this.#jobs.retryIntervalMs;
    while (!signal.aborted) {
      try {
        const job = this.#jobs.find(id);
        return job && (await act(job));
      } catch {
        await sleep(backoffMs, signal);
        backoffMs = Math.min(backoffMs * 2, MAX_BACKOFF_MS);
      }
    }
    return undefined;
  }

  /** Resolves when it was taken, or all is over. */
  #offer(found: FoundOutput): Promise<void> {
    if (this.#stop.signal.aborted) return Promise.resolve();
    return new Promise((onTaken) => {
      this.#offers.push({ found, onTaken });
      this.onFound();
    });
  }
}

function positionsOf(offsets: SearchedOffsets, streams: readonly Stream[]): OutputPositions {
  return Object.fromEntries(streams.map((stream) => [stream, offsets[`${stream}Offset`]]));
}

function isOutOfRange(error: unknown): boolean {
  return error instanceof ProcmanError && error.reason === "OFFSET_OUT_OF_RANGE";
}

function clamp(position: { stdoutOffset: number; stderrOffset: number }, sizes: OutputSizes): void {
  if (position.stdoutOffset > sizes.stdoutBytes) position.stdoutOffset = sizes.stdoutFirstOffset;
  if (position.stderrOffset > sizes.stderrBytes) position.stderrOffset = sizes.stderrFirstOffset;
}
