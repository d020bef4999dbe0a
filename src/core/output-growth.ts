import { setTimeout as sleep } from "node:timers/promises";
import { inParallel } from "../platform/in-parallel.js";
import { isTerminal, NO_OUTPUT, type OutputSizes } from "../contract/job.js";
import type { JobEntry } from "./job-entry.js";

/** How many jobs are looked at at a time. */
const CONCURRENCY = 16;

export interface OutputGrowthOptions {
  /** The jobs there are. */
  readonly jobs: () => Iterable<JobEntry>;
  readonly sizes: (entry: JobEntry) => Promise<OutputSizes>;
  /** Called when a job that runs has written something. */
  readonly onGrowth: (entry: JobEntry) => void;
  readonly pollIntervalMs: number;
}

/**
 * Notices that running jobs write, while somebody wants to know: looks at the
 * sizes of their logs once each poll interval, and at nothing when nobody does.
 */
export class OutputGrowth {
  readonly #options: OutputGrowthOptions;
  /** The sizes that were told last, through all times of watching. */
  readonly #told = new WeakMap<JobEntry, OutputSizes>();
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
    const running = [...this.#options.jobs()].filter(({ record }) => !isTerminal(record.state));
    await inParallel(running, CONCURRENCY, async (entry) => {
      if (signal.aborted) return;
      // A log that cannot be looked at now is looked at next time.
      const sizes = await this.#options.sizes(entry).catch(() => undefined);
      if (!sizes || isTerminal(entry.record.state)) return;
      const told = this.#told.get(entry) ?? NO_OUTPUT;
      if (sizes.stdoutBytes === told.stdoutBytes && sizes.stderrBytes === told.stderrBytes) return;
      this.#told.set(entry, sizes);
      this.#options.onGrowth(entry);
    });
  }
}
