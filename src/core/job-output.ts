import { NO_OUTPUT, type OutputSizes, type Progress } from "../contract/job.js";
import { type PathWatch, WATCHED_POLL_RATIO } from "../platform/watch-path.js";
import type { JobLogs } from "./ports.js";

let made = 0;

export interface WrittenOutput {
  readonly sizes: OutputSizes;
  readonly progress: Progress | undefined;
}

/** How much a job has written, and the progress that its output reports. */
export class JobOutput {
  readonly #logs: () => JobLogs;
  #known: WrittenOutput | undefined;
  #isFrozen = false;
  /** How often what was known was forgotten. */
  #epoch = 0;
  /** The sizes at the last call of `hasGrown`. */
  #checkedSizes: OutputSizes = NO_OUTPUT;
  #watching: PathWatch | undefined;
  /** Whether the kernel would have told of a change since the last look. */
  #isQuiet = false;
  /** Not all jobs are looked at with the same call. */
  #calls = made++;

  constructor(logs: () => JobLogs) {
    this.#logs = logs;
  }

  /**
   * Reads the sizes, and the progress from the logs' tails where they have grown
   * since the last call. Where nothing has changed it is the same object.
   */
  async read(): Promise<WrittenOutput> {
    const before = this.#known;
    const epoch = this.#epoch;
    if (this.#isFrozen && before) return before;
    const logs = this.#logs();
    // Logs that cannot be read must not make this job, and every list it is in, unreadable.
    let sizes: OutputSizes;
    try {
      sizes = await logs.sizes();
    } catch {
      sizes = before?.sizes ?? NO_OUTPUT;
    }
    if (epoch !== this.#epoch) return this.read();
    const known = this.#known;
    if (known && (areSame(known.sizes, sizes) || isBeyond(known, { sizes }))) return known;
    if (known && bytesOf(known) === bytesOf({ sizes })) return { ...known, sizes };
    const hasOutput = bytesOf({ sizes }) > 0;
    const progress = hasOutput ? await logs.progress().catch(() => before?.progress) : undefined;
    if (epoch !== this.#epoch) return this.read();
    const output = { sizes, progress };
    if (this.#known && isBeyond(this.#known, output)) return this.#known;
    this.#known = output;
    return output;
  }

  /** Reads all of it again: a runner takes back what its shell has written, not the command. */
  forget(): void {
    this.#known = undefined;
    this.#epoch += 1;
  }

  /** Makes `read` return what there is now until `thaw`, whatever happens to the files. */
  async freeze(): Promise<void> {
    await this.read();
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
  }

  /**
   * Whether `hasGrown` is to be asked now: not while the kernel would have told of growth,
   * except now and then.
   */
  mayHaveGrown(): boolean {
    this.#calls += 1;
    return !this.#isQuiet || this.#calls % WATCHED_POLL_RATIO === 0;
  }

  /**
   * Whether the sizes have changed since the last call. While nothing is written, the
   * kernel is asked to tell when something is. To be ended by `stopWatching`.
   */
  async hasGrown(): Promise<boolean> {
    if (await this.#haveSizesChanged()) {
      this.stopWatching();
      return true;
    }
    if (this.#isQuiet) return false;
    this.#watch();
    // What was written before the watch began.
    return this.#isQuiet && (await this.#haveSizesChanged());
  }

  /** Lets the kernel tell nothing more. */
  stopWatching(): void {
    this.#isQuiet = false;
    this.#watching?.close();
    this.#watching = undefined;
  }

  #watch(): void {
    // A log that is written to all the time is looked at again with the next call only.
    const stop = () => this.stopWatching();
    this.#watching = this.#logs().watch(stop);
    this.#isQuiet = this.#watching !== undefined;
  }

  async #haveSizesChanged(): Promise<boolean> {
    // A log that cannot be read now is checked at the next call.
    const sizes = await this.#logs()
      .sizes()
      .catch(() => this.#checkedSizes);
    const { stdoutBytes, stderrBytes } = this.#checkedSizes;
    this.#checkedSizes = sizes;
    return sizes.stdoutBytes !== stdoutBytes || sizes.stderrBytes !== stderrBytes;
  }
}

/** What few logs have, truncations and missing ones, is told anew each time. */
function areSame(one: OutputSizes, other: OutputSizes): boolean {
  return (
    one.stdoutBytes === other.stdoutBytes &&
    one.stderrBytes === other.stderrBytes &&
    one.stdoutFirstOffset === other.stdoutFirstOffset &&
    one.stderrFirstOffset === other.stderrFirstOffset &&
    one.truncations === other.truncations &&
    one.missingLogs === other.missingLogs
  );
}

/**
 * Whether what is known is more than what was read. Logs only grow: the job's files are
 * being removed, or a concurrent call has read them later and returned earlier.
 */
function isBeyond(known: WrittenOutput, read: Pick<WrittenOutput, "sizes">): boolean {
  return bytesOf(known) > bytesOf(read);
}

function bytesOf({ sizes }: Pick<WrittenOutput, "sizes">): number {
  return sizes.stdoutBytes + sizes.stderrBytes;
}
