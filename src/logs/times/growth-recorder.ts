import type { Log } from "../../contract/log.js";
import type { OutputTimesStore } from "../../core/ports.js";
import { Ticker } from "../../platform/ticker.js";
import type { WatchPath } from "../../platform/watch-path.js";
import type { JobGrowth } from "./job-growth.js";

export interface GrowthRecorderOptions {
  readonly store: OutputTimesStore;
  readonly watch: WatchPath;
  readonly log: Log;
  /** How often logs that grow are looked at. Default 1000. */
  readonly intervalMs?: number;
}

/** A quiet log is looked at all the same, each so many ticks: the kernel may have dropped a notice. */
const TICKS_A_ROUND = 60;

/**
 * What the recorders of all jobs share. At each tick it looks at the jobs that write, and
 * at few of those that the kernel watches, so that quiet ones cost nothing.
 */
export class GrowthRecorder {
  readonly store: OutputTimesStore;
  readonly watch: WatchPath;
  readonly log: Log;
  readonly #ticker: Ticker;
  readonly #growing = new Set<JobGrowth>();
  readonly #quiet = new Set<JobGrowth>();
  #stopTicks: (() => void) | undefined;
  #servedMs = Number.NEGATIVE_INFINITY;

  constructor({ store, watch, log, intervalMs = 1000 }: GrowthRecorderOptions) {
    this.store = store;
    this.watch = watch;
    this.log = log;
    this.#ticker = new Ticker(intervalMs);
  }

  /** All that the kernel had to tell by then has been told. */
  get servedMs(): number {
    return this.#servedMs;
  }

  /** Has a job looked at with each tick, or only when the kernel tells. */
  set(job: JobGrowth, state: "growing" | "quiet" | "over"): void {
    this.#growing.delete(job);
    this.#quiet.delete(job);
    if (state === "growing") this.#growing.add(job);
    if (state === "quiet") this.#quiet.add(job);
    const isIdle = this.#growing.size + this.#quiet.size === 0;
    if (isIdle) {
      this.#stopTicks?.();
      this.#stopTicks = undefined;
    } else this.#stopTicks ??= this.#ticker.add(() => this.#tick(), { keepsAlive: false });
  }

  #tick(): void {
    const nowMs = Date.now();
    // Timers come before the notices that were there already.
    setImmediate(() => {
      this.#servedMs = nowMs;
    });
    for (const job of this.#growing) job.onTick();
    const share = Math.ceil(this.#quiet.size / TICKS_A_ROUND);
    let looked = 0;
    for (const job of this.#quiet) {
      if (looked === share) break;
      looked += 1;
      job.onTick();
      // To the end of the line, unless it is no longer quiet.
      if (this.#quiet.delete(job)) this.#quiet.add(job);
    }
  }
}
