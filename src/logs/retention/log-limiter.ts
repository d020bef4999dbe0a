import type { JobDir } from "../../core/job-dir.js";
import { STREAMS, type Stream } from "../../contract/job.js";
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
  /** Called when the logs have been cut after the job has ended. */
  readonly onLateCut: () => void;
  /** Called for the first of the errors that follow each other. */
  readonly onError: (error: unknown) => void;
}

/** How soon logs that grow are looked at again. */
export interface LimiterPace {
  /** How many jobs' logs grow now. */
  growing: number;
  delayMs(headroomBytes: number): number;
}

/** So much may come on top of the limit before a log is cut: what makes cuts rare. */
const LEAST_SLACK_BYTES = 1024 * 1024;
const SLACK_SHARE = 1 / 8;

/** So many looks must find nothing new: to watch costs as much as some looks do. */
const QUIET_LOOKS = 8;

/** What an ended job left behind may still write; it is looked at less and less often. */
const LONGEST_REST_MS = 600_000;

/**
 * Decides when the logs of one job are looked at and cut.
 *
 * Logs that grow are looked at again soon, by a timer: a watch would tell of
 * each single write. Those that have not grown for some looks are left to the
 * kernel's watch, whose first word ends it, so that a burst is noticed at once
 * and a quiet job costs nothing but a slow poll.
 */
export class LogLimiter {
  readonly #options: LogLimiterOptions;
  readonly #slackBytes: number;
  readonly #watches = new Map<Stream, PathWatch>();
  #timer: NodeJS.Timeout | undefined;
  #cutting: Promise<void> | undefined;
  #growing = false;
  /** Looks in a row that found nothing new. */
  #quietLooks = 0;
  #failing = false;
  /** How long an ended job's logs were left alone last time. */
  #restMs: number | undefined;
  /** Without any slack, once, since no more is to come. */
  #lastCut = false;
  #closed = false;

  constructor(options: LogLimiterOptions) {
    this.#options = options;
    this.#slackBytes = Math.max(LEAST_SLACK_BYTES, options.limitBytes * SLACK_SHARE);
  }

  /** Resolves after the first look, and what cut it led to. */
  async begin(): Promise<void> {
    if (this.#closed) return;
    const { trimmer, ended } = this.#options;
    try {
      await trimmer.starts();
    } catch (error) {
      this.#failed(error);
    }
    if (ended.aborted) {
      // Nothing is likely to come any more.
      this.#quietLooks = QUIET_LOOKS;
      this.#end();
    } else {
      ended.addEventListener("abort", this.#end);
      this.#look();
    }
    await this.#cutting;
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#options.ended.removeEventListener("abort", this.#end);
    clearTimeout(this.#timer);
    this.#setGrowing(false);
    this.#unwatch();
    await this.#cutting;
  }

  readonly #end = (): void => {
    this.#restMs = this.#options.pollIntervalMs;
    this.#lastCut = true;
    this.#unwatch();
    this.#look();
  };

  /** Cuts the logs where it is time for that; else sees to it that they are looked at again. */
  readonly #look = (): void => {
    // A cut is followed by a look.
    if (this.#closed || this.#cutting !== undefined) return;
    const { trimmer } = this.#options;
    this.#quietLooks = trimmer.look() ? 0 : this.#quietLooks + 1;
    const slackBytes = this.#lastCut ? 0 : this.#slackBytes;
    if (trimmer.excessBytes > slackBytes || trimmer.owesHole) this.#cutting = this.#cut();
    else if (this.#quietLooks < QUIET_LOOKS) this.#lookSoon();
    else this.#lookLater();
  };

  async #cut(): Promise<void> {
    const { trimmer, ended, onLateCut } = this.#options;
    this.#lastCut = false;
    let failed = false;
    try {
      await trimmer.trim();
      this.#failing = false;
      if (ended.aborted && !this.#closed) onLateCut();
    } catch (error) {
      failed = true;
      this.#failed(error);
    }
    this.#cutting = undefined;
    if (failed) this.#lookIn(this.#options.pollIntervalMs);
    else this.#look();
  }

  #lookSoon(): void {
    const { pace, trimmer } = this.#options;
    this.#setGrowing(true);
    if (this.#restMs !== undefined) this.#restMs = this.#options.pollIntervalMs;
    this.#lookIn(pace.delayMs(this.#slackBytes - trimmer.excessBytes));
  }

  #lookLater(): void {
    this.#setGrowing(false);
    if (this.#restMs !== undefined) {
      this.#restMs = Math.min(this.#restMs * 2, LONGEST_REST_MS);
      this.#lookIn(this.#restMs);
      return;
    }
    const { trimmer, pollIntervalMs } = this.#options;
    const watchedBefore = this.#watches.size;
    const watched = this.#watchAll();
    // What came before the watch was there is not told of.
    if (this.#watches.size > watchedBefore && trimmer.look()) this.#noticed();
    else this.#lookIn(watched ? pollIntervalMs * WATCHED_POLL_RATIO : pollIntervalMs);
  }

  #noticed(): void {
    this.#quietLooks = 0;
    this.#look();
  }

  #lookIn(delayMs: number): void {
    clearTimeout(this.#timer);
    if (this.#closed) return;
    this.#timer = setTimeout(this.#look, delayMs);
    // Jobs that have ended must not keep a process alive that uses the library.
    this.#timer.unref();
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
