import { inParallel } from "../platform/in-parallel.js";
import { Ticker } from "../platform/ticker.js";
import type { ManagedJob } from "./managed-job.js";

/** How many jobs are checked at a time. */
const CONCURRENCY = 16;

export interface OutputGrowthOptions {
  /** Returns all jobs. */
  readonly jobs: () => Iterable<ManagedJob>;
  /** Called when a running job has written something. */
  readonly onGrowth: (job: ManagedJob) => void;
  readonly pollIntervalMs: number;
}

/**
 * Notices that running jobs write: asks each of them once each poll interval, as long as
 * somebody watches.
 */
export class OutputGrowth {
  readonly #options: OutputGrowthOptions;
  readonly #ticker: Ticker;
  #watchers = 0;
  #stopTicking: (() => void) | undefined;
  #checksUnderWay = 0;
  #firstCheck: Promise<unknown> = Promise.resolve();

  constructor(options: OutputGrowthOptions) {
    this.#options = options;
    this.#ticker = new Ticker(options.pollIntervalMs);
  }

  /** Resolves when the growth that happened while nobody watched has been reported. */
  get firstCheck(): Promise<unknown> {
    return this.#firstCheck;
  }

  /** @returns a function that stops watching */
  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) this.#begin();
    let isWatching = true;
    return () => {
      if (isWatching) this.#watchers -= 1;
      isWatching = false;
      if (this.#watchers === 0) this.#end();
    };
  }

  #begin(): void {
    this.#firstCheck = this.#check();
    const checkAgain = () => {
      if (this.#checksUnderWay === 0) void this.#check();
    };
    this.#stopTicking = this.#ticker.add(checkAgain, { keepsAlive: false });
  }

  #end(): void {
    this.#stopTicking?.();
    for (const job of this.#options.jobs()) job.forgetGrowth();
  }

  async #check(): Promise<void> {
    this.#checksUnderWay += 1;
    const asked = [...this.#options.jobs()].filter((job) => job.mayHaveGrown());
    await inParallel(asked, CONCURRENCY, async (job) => {
      if (this.#watchers > 0 && (await job.hasGrown())) this.#options.onGrowth(job);
    });
    this.#checksUnderWay -= 1;
    // The last watcher may have left meanwhile.
    if (this.#watchers === 0) for (const job of asked) job.forgetGrowth();
  }
}
