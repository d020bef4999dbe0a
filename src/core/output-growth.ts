import { inParallel } from "../platform/in-parallel.js";
import { Ticker } from "../platform/ticker.js";
import type { ManagedJob } from "./managed-job.js";

/** How many jobs are looked at at a time. */
const CONCURRENCY = 16;

export interface OutputGrowthOptions {
  /** The jobs there are. */
  readonly jobs: () => Iterable<ManagedJob>;
  /** Called when a job that runs has written something. */
  readonly onGrowth: (job: ManagedJob) => void;
  readonly pollIntervalMs: number;
}

/**
 * Notices that running jobs write, while somebody wants to know: looks at the
 * sizes of their logs once each poll interval, and at nothing when nobody does.
 */
export class OutputGrowth {
  readonly #options: OutputGrowthOptions;
  readonly #ticker: Ticker;
  #watchers = 0;
  #stopTicking: (() => void) | undefined;
  #looksUnderWay = 0;
  #seen: Promise<unknown> = Promise.resolve();

  constructor(options: OutputGrowthOptions) {
    this.#options = options;
    this.#ticker = new Ticker(options.pollIntervalMs);
  }

  /** Resolves when what grew while nobody watched has been told. */
  get seen(): Promise<unknown> {
    return this.#seen;
  }

  /** @returns how to stop */
  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) this.#begin();
    let isWatching = true;
    return () => {
      if (isWatching) this.#watchers -= 1;
      isWatching = false;
      if (this.#watchers === 0) this.#stopTicking?.();
    };
  }

  #begin(): void {
    this.#seen = this.#look();
    const lookAgain = () => {
      if (this.#looksUnderWay === 0) void this.#look();
    };
    // Nobody's program is kept alive for it.
    this.#stopTicking = this.#ticker.add(lookAgain, { keepsAlive: false });
  }

  async #look(): Promise<void> {
    this.#looksUnderWay += 1;
    const running = [...this.#options.jobs()].filter(({ ended }) => !ended.aborted);
    await inParallel(running, CONCURRENCY, async (job) => {
      if (this.#watchers > 0 && (await job.hasGrown())) this.#options.onGrowth(job);
    });
    this.#looksUnderWay -= 1;
  }
}
