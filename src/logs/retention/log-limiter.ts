import type { JobDir } from "../../core/job-dir.js";
import { STREAMS, type Stream } from "../../contract/job.js";
import { startTimer } from "../../platform/timers.js";
import type { LogTrimmer } from "./log-trimmer.js";
import { type PathWatch, WATCHED_POLL_RATIO, type WatchPath } from "../../platform/watch-path.js";

export interface LogLimiterOptions {
  readonly dir: JobDir;
  readonly trimmer: LogTrimmer;
  readonly limitBytes: number;
  /** Aborted once the job has ended. */
  readonly ended: AbortSignal;
  readonly pollIntervalMs: number;
  readonly watch: WatchPath;
  readonly pace: LimiterPace;
  /** Called when the logs were trimmed after the job had ended. */
  readonly onLateTrim: () => void;
  /** Called for the first error of those in a row. */
  readonly onError: (error: unknown) => void;
}

/** Says how soon logs that grow are checked again. All limiters share one. */
export interface LimiterPace {
  /** How many jobs' logs grow now. */
  growing: number;
  delayMs(headroomBytes: number): number;
}

/** A log is trimmed when it is so far beyond its limit: the larger of the two. */
const MIN_SLACK_BYTES = 1024 * 1024;
const SLACK_SHARE = 1 / 8;

/** After so many checks that found nothing new, a log is watched, which costs as much as some checks. */
const QUIET_CHECKS = 8;

/** Processes that an ended job left behind may still write. Its logs are polled less and less often. */
const MAX_ENDED_INTERVAL_MS = 600_000;

/**
 * Decides when the logs of one job are checked, and when they are trimmed.
 *
 * Logs that grow are checked again soon, by a timer: a watch would report each
 * single write. Logs that have not grown for some checks are watched by the kernel
 * instead, until its first notice. So a burst is noticed at once, and a quiet job
 * costs no more than a slow poll.
 */
export class LogLimiter {
  readonly #options: LogLimiterOptions;
  readonly #slackBytes: number;
  readonly #watches = new Map<Stream, PathWatch>();
  #cancelTimer = (): void => {};
  #trimming: Promise<void> | undefined;
  #growing = false;
  /** Checks in a row that found nothing new. */
  #quietChecks = 0;
  #failing = false;
  /** The last interval between two checks of an ended job's logs. Undefined while the job runs. */
  #endedIntervalMs: number | undefined;
  /** Whether the next trim is the one at the job's end, which leaves no slack. */
  #isLastTrim = false;
  #closed = false;

  constructor(options: LogLimiterOptions) {
    this.#options = options;
    this.#slackBytes = Math.max(MIN_SLACK_BYTES, options.limitBytes * SLACK_SHARE);
  }

  /** Begins to check. Resolves after the first check, and the trim that it led to. */
  async begin(): Promise<void> {
    if (this.#closed) return;
    const { trimmer, ended } = this.#options;
    try {
      await trimmer.starts();
    } catch (error) {
      this.#failed(error);
    }
    if (this.#closed) return;
    if (ended.aborted) {
      // It is not likely that more comes.
      this.#quietChecks = QUIET_CHECKS;
      this.#end();
    } else {
      ended.addEventListener("abort", this.#end);
      this.#check();
    }
    await this.#trimming;
  }

  /** Stops checking. Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#options.ended.removeEventListener("abort", this.#end);
    this.#cancelTimer();
    this.#setGrowing(false);
    this.#unwatch();
    await this.#trimming;
  }

  readonly #end = (): void => {
    this.#endedIntervalMs = this.#options.pollIntervalMs;
    this.#isLastTrim = true;
    this.#unwatch();
    this.#check();
  };

  /** Checks the logs, and trims them or arranges for the next check. */
  readonly #check = (): void => {
    // A trim is followed by a check.
    if (this.#closed || this.#trimming !== undefined) return;
    const { trimmer } = this.#options;
    this.#quietChecks = trimmer.measure() ? 0 : this.#quietChecks + 1;
    const slackBytes = this.#isLastTrim ? 0 : this.#slackBytes;
    if (trimmer.excessBytes > slackBytes || trimmer.owesHole) this.#trimming = this.#trim();
    else if (this.#quietChecks < QUIET_CHECKS) this.#checkSoon();
    else this.#checkLater();
  };

  async #trim(): Promise<void> {
    const { trimmer, ended, onLateTrim } = this.#options;
    this.#isLastTrim = false;
    let failed = false;
    try {
      await trimmer.trim();
      this.#failing = false;
      if (ended.aborted && !this.#closed) onLateTrim();
    } catch (error) {
      failed = true;
      this.#failed(error);
    }
    this.#trimming = undefined;
    if (failed) this.#checkIn(this.#options.pollIntervalMs);
    else this.#check();
  }

  #checkSoon(): void {
    const { pace, trimmer } = this.#options;
    this.#setGrowing(true);
    if (this.#endedIntervalMs !== undefined) this.#endedIntervalMs = this.#options.pollIntervalMs;
    this.#checkIn(pace.delayMs(this.#slackBytes - trimmer.excessBytes));
  }

  #checkLater(): void {
    this.#setGrowing(false);
    if (this.#endedIntervalMs !== undefined) {
      this.#endedIntervalMs = Math.min(this.#endedIntervalMs * 2, MAX_ENDED_INTERVAL_MS);
      this.#checkIn(this.#endedIntervalMs);
      return;
    }
    const { trimmer, pollIntervalMs } = this.#options;
    const watchedBefore = this.#watches.size;
    const watched = this.#watchAll();
    // The watch does not report what came before it was there.
    if (this.#watches.size > watchedBefore && trimmer.measure()) this.#noticed();
    else this.#checkIn(watched ? pollIntervalMs * WATCHED_POLL_RATIO : pollIntervalMs);
  }

  #noticed(): void {
    this.#quietChecks = 0;
    this.#check();
  }

  #checkIn(delayMs: number): void {
    this.#cancelTimer();
    if (this.#closed) return;
    // Jobs that have ended must not keep a process alive that uses the library.
    this.#cancelTimer = startTimer(delayMs, this.#check, { keepsAlive: false });
  }

  /** @returns whether each log is watched now. */
  #watchAll(): boolean {
    const { dir, watch } = this.#options;
    for (const stream of STREAMS) {
      if (this.#watches.has(stream)) continue;
      const stop = (): void => {
        this.#watches.get(stream)?.close();
        this.#watches.delete(stream);
      };
      const onChange = (): void => {
        stop();
        this.#noticed();
      };
      const opened = watch(dir.log(stream), onChange, stop);
      if (opened !== undefined) this.#watches.set(stream, opened);
    }
    return this.#watches.size === STREAMS.length;
  }

  #unwatch(): void {
    for (const watch of this.#watches.values()) watch.close();
    this.#watches.clear();
  }

  #setGrowing(growing: boolean): void {
    if (growing === this.#growing) return;
    this.#growing = growing;
    this.#options.pace.growing += growing ? 1 : -1;
  }

  #failed(error: unknown): void {
    if (!this.#failing && !this.#closed) this.#options.onError(error);
    this.#failing = true;
  }
}
