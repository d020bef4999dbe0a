import { NO_OUTPUT, type OutputSizes, type Progress } from "../contract/job.js";
import type { JobLogs } from "./ports.js";

export interface WrittenOutput {
  readonly sizes: OutputSizes;
  readonly progress: Progress | undefined;
}

/** How much a job has written, and the progress that its output reports. */
export class JobOutput {
  readonly #logs: () => JobLogs;
  #known: WrittenOutput | undefined;
  #isFrozen = false;
  /** The sizes at the last call of `hasGrown`. */
  #checkedSizes: OutputSizes = NO_OUTPUT;

  constructor(logs: () => JobLogs) {
    this.#logs = logs;
  }

  /**
   * Reads the sizes, and the progress from the logs' tails where they have grown
   * since the last call.
   */
  async read(): Promise<WrittenOutput> {
    const before = this.#known;
    if (this.#isFrozen && before) return before;
    const logs = this.#logs();
    // Logs that cannot be read must not make this job, and every list it is in, unreadable.
    const sizes = await logs.sizes().catch(() => before?.sizes ?? NO_OUTPUT);
    if (before && bytesOf(before) === bytesOf({ sizes })) return { ...before, sizes };
    const progress = await logs.progress().catch(() => before?.progress);
    const output = { sizes, progress };
    // Logs only grow. Where more is known already, the job's files are being removed,
    // or a concurrent call has read them later and returned earlier.
    const known = this.#known;
    if (known && bytesOf(known) > bytesOf(output)) return known;
    this.#known = output;
    return output;
  }

  /** Makes `read` return what there is now until `thaw`, whatever happens to the files. */
  async freeze(): Promise<void> {
    await this.read();
    this.#isFrozen = true;
  }

  thaw(): void {
    this.#isFrozen = false;
  }

  /** Whether the sizes have changed since the last call. */
  async hasGrown(): Promise<boolean> {
    // A log that cannot be read now is checked at the next call.
    const sizes = await this.#logs()
      .sizes()
      .catch(() => this.#checkedSizes);
    const { stdoutBytes, stderrBytes } = this.#checkedSizes;
    this.#checkedSizes = sizes;
    return sizes.stdoutBytes !== stdoutBytes || sizes.stderrBytes !== stderrBytes;
  }
}

function bytesOf({ sizes }: Pick<WrittenOutput, "sizes">): number {
  return sizes.stdoutBytes + sizes.stderrBytes;
}
