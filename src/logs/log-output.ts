import { setMaxListeners } from "node:events";
import type { OutputChunk, OutputLine, OutputStart } from "../contract/procman.js";
import { ProcmanError } from "../contract/errors.js";
import { type OutputSizes, type Progress, STREAMS } from "../contract/job.js";
import type { LinePattern } from "../core/line-pattern.js";
import { type Log, silentLog } from "../contract/log.js";
import type { FirstOffsetStore, LineSearch, OutputPositions, OutputReader } from "../core/ports.js";
import { BoundedLogs } from "./retention/bounded-logs.js";
import { findLine } from "./lines/find-line.js";
import { Interrupt } from "./reading/interrupt.js";
import { lastProgress } from "./progress/last-progress.js";
import { linesOfChunks } from "./lines/lines-of-chunks.js";
import { FollowCursor, type LogCursor, SnapshotCursor } from "./reading/log-cursor.js";
import { LogFeeds } from "./following/log-feeds.js";
import { logPath, statLog } from "./reading/log-file.js";
import type { LogStarts } from "./reading/log-start.js";
import { mergeLogs } from "./reading/merge-logs.js";
import { type PunchHole, punchHole } from "./retention/punch-hole.js";
import { resolveStart } from "./reading/resolve-start.js";
import { type WatchPath, watchPath } from "../platform/watch-path.js";

export interface LogOutputOptions {
  /** How often a followed log is looked at when the kernel tells of no changes. Default 1000. */
  readonly pollIntervalMs?: number;
  /** How to be told of changes. Default: by the kernel. */
  readonly watch?: WatchPath;
  /** Where it is kept where logs with a limit begin. Default: nowhere. */
  readonly firstOffsets?: FirstOffsetStore;
  /** How to give disk space back. Default: as the platform can. */
  readonly punch?: PunchHole;
  readonly log?: Log;
}

/** What a reading ends by. */
export interface ReadingOptions {
  /** Follow until this is aborted and the last byte was read. Absent: do not follow. */
  readonly ended?: AbortSignal;
  /** Stops at once and fails with its reason. */
  readonly signal?: AbortSignal;
  /** As in AttachOptions. */
  readonly transientData?: boolean;
}

/** Reads the logs `stdout.log` and `stderr.log` of a job's directory. */
export class LogOutput implements OutputReader {
  readonly #feeds: LogFeeds;
  readonly #bounded: BoundedLogs;
  readonly #readings = new Set<Interrupt>();
  #closed = false;

  constructor(options: LogOutputOptions = {}) {
    const { pollIntervalMs = 1000, watch = watchPath } = options;
    const { firstOffsets = NOT_KEPT, punch = punchHole, log = silentLog } = options;
    this.#feeds = new LogFeeds({ pollIntervalMs, watch });
    this.#bounded = new BoundedLogs({ firstOffsets, punch, pollIntervalMs, watch, log });
  }

  limit(dir: string, limitBytes: number, ended: AbortSignal, onLateCut = () => {}): void {
    this.#bounded.add(dir, limitBytes, ended, onLateCut);
  }

  forget(dir: string): void {
    this.#bounded.forget(dir);
  }

  async sizes(dir: string): Promise<OutputSizes> {
    const [starts, stdout, stderr] = await Promise.all([
      this.#bounded.starts(dir),
      statLog(logPath(dir, "stdout")),
      statLog(logPath(dir, "stderr")),
    ]);
    return {
      stdoutBytes: stdout.size,
      stderrBytes: stderr.size,
      // They may have moved on since the sizes were read.
      stdoutFirstOffset: Math.min(starts.stdout.firstOffset, stdout.size),
      stderrFirstOffset: Math.min(starts.stderr.firstOffset, stderr.size),
    };
  }

  async progress(dir: string): Promise<Progress | undefined> {
    return lastProgress(dir, await this.#bounded.starts(dir));
  }

  async resolveStart(dir: string, start: OutputStart): Promise<OutputPositions> {
    return resolveStart(dir, start, await this.#bounded.starts(dir));
  }

  /**
   * The bytes of the streams that `from` names, at most CHUNK_BYTES at a time,
   * without those that a limit has taken, or takes before they are read.
   * The data may be shared with other followers: keep it, unless it is
   * transient, but do not write to it.
   * @throws ProcmanError OFFSET_OUT_OF_RANGE, also when a log was cut short
   * meanwhile; SHUTTING_DOWN after close; the signal's reason
   */
  async *chunks(
    dir: string,
    from: OutputPositions,
    { ended, signal, transientData = false }: ReadingOptions = {},
  ): AsyncGenerator<OutputChunk, void, undefined> {
    const starts = await this.#bounded.starts(dir);
    signal?.throwIfAborted();
    if (this.#closed) throw shuttingDown();
    allowManyListeners(ended, signal);

    const cursors = this.#cursors(dir, starts, from, { ended, transientData });
    // On the signal's event and not only in `finally`: a consumer that went away
    // may never call `return`.
    const interrupt = new Interrupt(() => {
      signal?.removeEventListener("abort", abort);
      this.#readings.delete(interrupt);
      for (const cursor of cursors) cursor.close();
    });
    const abort = (): void => interrupt.stop(signal?.reason);
    signal?.addEventListener("abort", abort);
    this.#readings.add(interrupt);
    try {
      yield* mergeLogs(cursors, interrupt, ended);
    } finally {
      interrupt.done();
    }
  }

  /** The same bytes as lines. @throws as chunks */
  lines(
    dir: string,
    from: OutputPositions,
    options: ReadingOptions = {},
  ): AsyncGenerator<OutputLine, void, undefined> {
    return linesOfChunks(this.chunks(dir, from, options), options.signal);
  }

  /** @throws as chunks */
  findLine(
    dir: string,
    from: OutputPositions,
    pattern: LinePattern,
    { ended, enough, signal }: ReadingOptions & { readonly enough?: AbortSignal } = {},
  ): Promise<LineSearch> {
    const follow = ended ? { ended } : {};
    const read = (signal: AbortSignal) => this.chunks(dir, from, { ...follow, signal });
    return findLine(read, from, pattern, { toTheEnd: ended !== undefined, enough, signal });
  }

  /** Readings under way fail with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const reading of this.#readings) reading.stop(shuttingDown());
    await this.#bounded.close();
  }

  #cursors(
    dir: string,
    starts: LogStarts,
    from: OutputPositions,
    { ended, transientData }: { ended: AbortSignal | undefined; transientData: boolean },
  ): LogCursor[] {
    const cursors: LogCursor[] = [];
    for (const stream of STREAMS) {
      const position = from[stream];
      if (position === undefined) continue;
      const options = { stream, start: starts[stream], position, transientData };
      cursors.push(
        ended ? new FollowCursor(this.#feeds, dir, options) : new SnapshotCursor(dir, options),
      );
    }
    return cursors;
  }
}

/** In memory alone: for those who set no limits. */
const NOT_KEPT: FirstOffsetStore = {
  async read() {
    return { stdout: 0, stderr: 0 };
  },
  async write() {},
};

function shuttingDown(): ProcmanError {
  return new ProcmanError("SHUTTING_DOWN", "the output reader is closed");
}

/** Every follower of a job listens to the same signals; Node would warn of a leak at 11. */
function allowManyListeners(...signals: readonly (AbortSignal | undefined)[]): void {
  for (const signal of signals) if (signal !== undefined) setMaxListeners(0, signal);
}
