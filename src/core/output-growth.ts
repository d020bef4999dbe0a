import { setTimeout as sleep } from "node:timers/promises";
import { inParallel } from "../platform/in-parallel.js";
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
  #watchers = 0;
  #watching = new AbortController();
  #seen: Promise<unknown> = Promise.resolve();

  constructor(options: OutputGrowthOptions) {
    this.#options = options;
  }

  /** Resolves when what grew while nobody watched has been told. */
  get seen(): Promise<unknown> {
    return this.#seen;
  }

  /** @returns how to stop */
  watch(): () => void {
    this.#watchers += 1;
    if (this.#watchers === 1) this.#begin();
    const released = new AbortController();
    return () => {
      if (released.signal.aborted) return;
      released.abort();
      this.#watchers -= 1;
      if (this.#watchers === 0) this.#watching.abort();
    };
  }

  #begin(): void {
    this.#watching = new AbortController();
    const { signal } = this.#watching;
    this.#seen = this.#look(signal);
    void this.#goOn(signal);
  }

  async #goOn(signal: AbortSignal): Promise<void> {
    await this.#seen;
    while (!signal.aborted) {
      // Nobody's program is kept alive for it.
      const pause = { signal, ref: false };
      await sleep(this.#options.pollIntervalMs, undefined, pause).catch(() => {});
      await this.#look(signal);
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const running = [...this.#options.jobs()].filter(({ ended }) => !ended.aborted);
    await inParallel(running, CONCURRENCY, async (job) => {
      if (!signal.aborted && (await job.hasGrown())) this.#options.onGrowth(job);
    });
  }
}
