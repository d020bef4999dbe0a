import { NO_OUTPUT, type OutputSizes, type Progress } from "../contract/job.js";
import type { JobLogs } from "./ports.js";

export interface WrittenOutput {
  readonly sizes: OutputSizes;
  readonly progress: Progress | undefined;
}

/** What a job has written, as far as its logs have been read. */
export class JobOutput {
  readonly #logs: () => JobLogs;
  #known: WrittenOutput | undefined;
  #isFrozen = false;
  /** The sizes that `hasGrown` has told of. */
  #toldSizes: OutputSizes = NO_OUTPUT;

  constructor(logs: () => JobLogs) {
    this.#logs = logs;
  }

  /**
   * What there is now. Progress is read from the logs' tails, and again only after
   * they have grown.
   */
  async read(): Promise<WrittenOutput> {
    const before = this.#known;
    if (this.#isFrozen && before) return before;
    const logs = this.#logs();
    // Logs that cannot be read must not keep anybody from seeing this job and all others.
    const sizes = await logs.sizes().catch(() => before?.sizes ?? NO_OUTPUT);
    if (before && bytesOf(before) === bytesOf({ sizes })) return { ...before, sizes };
    const progress = await logs.progress().catch(() => before?.progress);
    const output = { sizes, progress };
    // Logs only grow: where one was larger, its files are being removed, or
    // another call has read them later and was faster.
    const known = this.#known;
    if (known && bytesOf(known) > bytesOf(output)) return known;
    this.#known = output;
    return output;
  }

  /** Keeps what there is now, whatever becomes of the files, until `thaw`. */
  async freeze(): Promise<void> {
    await this.read();
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
  }

  /** Whether something was written, or lost, since this was last asked. */
  async hasGrown(): Promise<boolean> {
    // A log that cannot be looked at now is looked at next time.
    const sizes = await this.#logs()
      .sizes()
      .catch(() => this.#toldSizes);
    const { stdoutBytes, stderrBytes } = this.#toldSizes;
    this.#toldSizes = sizes;
    return sizes.stdoutBytes !== stdoutBytes || sizes.stderrBytes !== stderrBytes;
  }
}

function bytesOf({ sizes }: Pick<WrittenOutput, "sizes">): number {
  return sizes.stdoutBytes + sizes.stderrBytes;
}
