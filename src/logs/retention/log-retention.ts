import type { Log } from "../../contract/log.js";
import type { JobDir } from "../../core/job-dir.js";
import type { FirstOffsetStore } from "../../core/ports.js";
import { type LimiterPace, LogLimiter } from "./log-limiter.js";
import type { LogStarts } from "../reading/log-file.js";
import { LogTrimmer } from "./log-trimmer.js";
import { newPlaces } from "../reading/log-place.js";
import type { PunchHole } from "./punch-hole.js";
import { SerialQueue } from "../../platform/serial-queue.js";
import type { WatchPath } from "../../platform/watch-path.js";

export interface LogRetentionOptions {
  readonly firstOffsets: FirstOffsetStore;
  readonly punch: PunchHole;
  readonly pollIntervalMs: number;
  readonly watch: WatchPath;
  readonly log: Log;
}

/** The logs of one job while they are kept within their limit. */
export interface RetainedLogs {
  /** Returns where they begin, kept up to date. @throws ProcmanError when that cannot be read */
  starts(): Promise<LogStarts>;
  /** Lets them grow from now on. Resolves when nothing is under way any more. */
  close(): Promise<void>;
}

/** No disk takes more, whatever writes to it. */
const MAX_BYTES_PER_MS = 4_000_000;
const MIN_DELAY_MS = 25;
/** However many jobs write, there are no more than two checks in a millisecond. */
const MIN_DELAY_PER_GROWING_MS = 0.5;

/** Keeps the logs of jobs within their limits. */
export class LogRetention {
  readonly #options: LogRetentionOptions;
  readonly #retained = new Set<RetainedLogs>();
  readonly #pace: LimiterPace;
  /** The first checks of jobs that had ended before, one after another: there may be thousands. */
  readonly #endedBefore = new SerialQueue();
  #cannotPunch = false;
  #isClosed = false;

  constructor(options: LogRetentionOptions) {
    this.#options = options;
    this.#pace = {
      growing: 0,
      delayMs(headroomBytes) {
        const minMs = Math.max(MIN_DELAY_MS, this.growing * MIN_DELAY_PER_GROWING_MS);
        const untilFullMs = headroomBytes / MAX_BYTES_PER_MS;
        return Math.min(Math.max(minMs, untilFullMs), options.pollIntervalMs);
      },
    };
  }

  /**
   * Removes the oldest part of a job's logs as they grow beyond the limit, until
   * the result is closed.
   */
  retain(
    dir: JobDir,
    limitBytes: number,
    ended: AbortSignal,
    onLateTrim: () => void,
    places = newPlaces(),
  ): RetainedLogs {
    const { firstOffsets, pollIntervalMs, watch, log } = this.#options;
    const trimmer = new LogTrimmer({ dir, limitBytes, places, firstOffsets, punch: this.#punch });
    const limiter = new LogLimiter({
      dir,
      trimmer,
      limitBytes,
      ended,
      pollIntervalMs,
      watch,
      pace: this.#pace,
      onLateTrim,
      onError: (error) => {
        if (!this.#retained.has(retained)) return;
        const { jobId } = dir;
        log.error({ jobId, err: error }, "a job's logs cannot be kept within their limit now");
      },
    });
    const retained: RetainedLogs = {
      starts: () => trimmer.starts(),
      close: () => {
        this.#retained.delete(retained);
        return limiter.close();
      },
    };
    // A manager that closes has no more to do with how its last jobs' logs grow.
    if (this.#isClosed) return retained;
    this.#retained.add(retained);
    if (ended.aborted) void this.#endedBefore.run(() => limiter.begin());
    else void limiter.begin();
    return retained;
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#retained].map((retained) => retained.close()));
    await this.#endedBefore.idle();
  }

  readonly #punch = async (path: string, length: number): Promise<void> => {
    if (this.#cannotPunch || (await this.#options.punch(path, length))) return;
    // Another one may have found out meanwhile.
    if (this.#cannotPunch) return;
    this.#cannotPunch = true;
    this.#options.log.warn(
      { path },
      "logs have their limits, but the disk space of what is given up cannot be given back here",
    );
  };
}
