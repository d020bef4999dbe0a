import { basename } from "node:path";
import type { Log } from "../../contract/log.js";
import type { FirstOffsetStore } from "../../core/ports.js";
import { type LimiterPace, LogLimiter } from "./log-limiter.js";
import { BOTH_WHOLE, type LogStarts } from "../reading/log-start.js";
import { LogTrimmer } from "./log-trimmer.js";
import type { PunchHole } from "./punch-hole.js";
import type { WatchPath } from "../../platform/watch-path.js";

export interface BoundedLogsOptions {
  readonly firstOffsets: FirstOffsetStore;
  readonly punch: PunchHole;
  readonly pollIntervalMs: number;
  readonly watch: WatchPath;
  readonly log: Log;
}

interface BoundedJob {
  readonly trimmer: LogTrimmer;
  readonly limiter: LogLimiter;
}

/** A disk takes no more, whatever writes to it. */
const FASTEST_BYTES_PER_MS = 4_000_000;
const LEAST_DELAY_MS = 25;
/** However many jobs write, there are no more than two looks in a millisecond. */
const DELAY_PER_GROWING_MS = 0.5;

/** The jobs whose logs have a limit, by their directories. */
export class BoundedLogs {
  readonly #options: BoundedLogsOptions;
  readonly #jobs = new Map<string, BoundedJob>();
  readonly #pace: LimiterPace;
  /** Of jobs that had ended before, one after another: there may be thousands. */
  #endedBefore: Promise<void> = Promise.resolve();
  #cannotPunch = false;

  constructor(options: BoundedLogsOptions) {
    this.#options = options;
    this.#pace = {
      growing: 0,
      delayMs(headroomBytes) {
        const least = Math.max(LEAST_DELAY_MS, this.growing * DELAY_PER_GROWING_MS);
        const untilFull = headroomBytes / FASTEST_BYTES_PER_MS;
        return Math.min(Math.max(least, untilFull), options.pollIntervalMs);
      },
    };
  }

  add(dir: string, limitBytes: number, ended: AbortSignal, onLateCut: () => void): void {
    const { firstOffsets, pollIntervalMs, watch, log } = this.#options;
    const trimmer = new LogTrimmer({ dir, limitBytes, firstOffsets, punch: this.#punch });
    const limiter = new LogLimiter({
      dir,
      trimmer,
      limitBytes,
      ended,
      pollIntervalMs,
      watch,
      pace: this.#pace,
      onLateCut,
      onError: (error) => {
        if (!this.#jobs.has(dir)) return;
        const jobId = basename(dir);
        log.error({ jobId, err: error }, "a job's logs cannot be kept within their limit now");
      },
    });
    this.#jobs.set(dir, { trimmer, limiter });
    if (ended.aborted) this.#endedBefore = this.#endedBefore.then(() => limiter.begin());
    else void limiter.begin();
  }

  /** Where the logs of a job begin, now and later. @throws ProcmanError when that cannot be read */
  async starts(dir: string): Promise<LogStarts> {
    return this.#jobs.get(dir)?.trimmer.starts() ?? BOTH_WHOLE;
  }

  forget(dir: string): void {
    void this.#jobs.get(dir)?.limiter.close();
    this.#jobs.delete(dir);
  }

  /** Resolves when nothing is under way any more. */
  async close(): Promise<void> {
    await Promise.all([...this.#jobs.values()].map(({ limiter }) => limiter.close()));
    await this.#endedBefore;
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
