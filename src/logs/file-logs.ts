import { setMaxListeners } from "node:events";
import type { OutputStart } from "../contract/procman.js";
import { ProcmanError } from "../contract/errors.js";
import { type OutputSizes, type Progress, STREAMS } from "../contract/job.js";
import type { LineFilter, LinePattern } from "../core/line-pattern.js";
import { type Log, silentLog } from "../contract/log.js";
import type { JobDir } from "../core/job-dir.js";
import type {
  ChunkMemory,
  FirstOffsetStore,
  JobLogs,
  JobTimes,
  LineSearch,
  LogLine,
  Logs,
  LogSearched,
  OutputBounds,
  OutputPositions,
  OutputSpan,
  OutputTimes,
  OutputTimesStore,
  ReadingOptions,
  SearchOptions,
  TruncationStore,
} from "../core/ports.js";
import { defined } from "../platform/defined.js";
import { LogRetention, type RetainedLogs } from "./retention/log-retention.js";
import { findLine } from "./lines/find-line.js";
import { lastProgress } from "./progress/last-progress.js";
import { linesOfChunks } from "./lines/lines-of-chunks.js";
import { matchingLines } from "./lines/matching-lines.js";
import { FollowCursor, type LogCursor, SnapshotCursor } from "./reading/log-cursor.js";
import { LogFeeds } from "./following/log-feeds.js";
import { lineStarts } from "./reading/line-starts.js";
import { type LogStarts, statLog } from "./reading/log-file.js";
import { LogPlace, type LogPlaces } from "./reading/log-place.js";
import { LogReading } from "./reading/log-reading.js";
import { type PunchHole, punchHole } from "./retention/punch-hole.js";
import { resolveStart } from "./reading/resolve-start.js";
import { GrowthRecorder } from "./times/growth-recorder.js";
import { JobGrowth } from "./times/job-growth.js";
import { openSpanTimes } from "./times/output-times.js";
import { type PathWatch, type WatchPath, watchPath } from "../platform/watch-path.js";

export interface FileLogsOptions {
  /** How often a followed log is polled where the kernel reports no changes. Default 1000. */
  readonly pollIntervalMs?: number;
  /** How to learn of changes. Default: from the kernel. */
  readonly watch?: WatchPath;
  /** Keeps where the logs of jobs with a limit begin. Default: nothing is kept. */
  readonly firstOffsets?: FirstOffsetStore;
  /** Keeps how logs were truncated. Default: nothing is kept. */
  readonly truncations?: TruncationStore;
  /** Keeps when output was written. Default: nothing is kept. */
  readonly outputTimes?: OutputTimesStore;
  /** How to give disk space back. Default: as the platform can. */
  readonly punch?: PunchHole;
  readonly log?: Log;
}

/** What the logs of all jobs share. */
interface SharedLogs {
  readonly truncations: TruncationStore;
  readonly log: Log;
  readonly feeds: LogFeeds;
  readonly retention: LogRetention;
  readonly watch: WatchPath;
  readonly outputTimes: OutputTimesStore;
  readonly growth: GrowthRecorder;
  /** Stops every reading. */
  readonly closing: AbortSignal;
}

/** Jobs' logs, each a file in the job's directory. */
export class FileLogs implements Logs {
  readonly #shared: SharedLogs;
  readonly #closing = new AbortController();

  constructor(options: FileLogsOptions = {}) {
    const { pollIntervalMs = 1000, watch = watchPath } = options;
    const { firstOffsets = NOT_KEPT, punch = punchHole, log = silentLog } = options;
    const { truncations = TRUNCATIONS_NOT_KEPT, outputTimes = TIMES_NOT_KEPT } = options;
    this.#shared = {
      truncations,
      log,
      feeds: new LogFeeds({ pollIntervalMs, watch }),
      retention: new LogRetention({ firstOffsets, punch, pollIntervalMs, watch, log }),
      watch,
      outputTimes,
      growth: new GrowthRecorder({ store: outputTimes, watch, log }),
      closing: this.#closing.signal,
    };
    allowManyListeners(this.#closing.signal);
  }

  open(dir: JobDir): FileJobLogs {
    return new FileJobLogs(dir, this.#shared);
  }

  /** Readings under way fail with SHUTTING_DOWN. */
  async close(): Promise<void> {
    this.#closing.abort(new ProcmanError("SHUTTING_DOWN", "procman is shutting down"));
    await this.#shared.retention.close();
  }
}

export class FileJobLogs implements JobLogs {
  readonly #dir: JobDir;
  readonly #shared: SharedLogs;
  #retained: RetainedLogs | undefined;
  #knownPlaces: LogPlaces | undefined;
  #knownWholeStarts: LogStarts | undefined;
  #growth: JobGrowth | undefined;

  constructor(dir: JobDir, shared: SharedLogs) {
    this.#dir = dir;
    this.#shared = shared;
  }

  retain(limitBytes: number, ended: AbortSignal, onLateTrim = () => {}): void {
    this.#retained = this.#shared.retention.retain(
      this.#dir,
      limitBytes,
      ended,
      onLateTrim,
      this.#places,
    );
  }

  async sizes(): Promise<OutputSizes> {
    const starts = this.#retained ? await this.#retained.starts() : this.#wholeStarts;
    const stdout = statLog(this.#dir.log("stdout"), starts.stdout);
    const stderr = statLog(this.#dir.log("stderr"), starts.stderr);
    return {
      ...damageOf(this.#places),
      stdoutBytes: stdout.size,
      stderrBytes: stderr.size,
      // They may have moved on since the sizes were read.
      stdoutFirstOffset: Math.min(starts.stdout.firstOffset, stdout.size),
      stderrFirstOffset: Math.min(starts.stderr.firstOffset, stderr.size),
    };
  }

  lastWriteTime(): Date | undefined {
    const found = STREAMS.map((stream) => statLog(this.#dir.log(stream)));
    const modifiedMs = found.map((log) => (log.size > 0 ? log.modifiedMs : 0));
    const lastMs = Math.max(...modifiedMs);
    return lastMs > 0 ? new Date(lastMs) : undefined;
  }

  watch(onChange: () => void): PathWatch | undefined {
    // One watch for both logs. The other files of a job rarely change.
    return this.#shared.watch(this.#dir.path, onChange, onChange);
  }

  async progress(): Promise<Progress | undefined> {
    return lastProgress(this.#dir, await this.#starts());
  }

  async resolveStart(start: OutputStart, bounds?: OutputBounds): Promise<OutputPositions> {
    return resolveStart(this.#dir, start, await this.#starts(), bounds);
  }

  /**
   * Reads the streams that `from` names without the bytes that a limit has removed, or
   * removes before they are read: at most CHUNK_BYTES at a time, or TRANSIENT_CHUNK_BYTES
   * where the data is transient and is taken quickly. The data may be shared with other
   * followers: keep it, unless it is transient, but do not write to it.
   * @throws ProcmanError OFFSET_OUT_OF_RANGE; SHUTTING_DOWN after close; the signal's
   * reason
   */
  chunks(
    from: OutputPositions,
    { ended, to, signal, transientData = false }: ReadingOptions & ChunkMemory = {},
  ): LogReading {
    allowManyListeners(ended, signal);
    return new LogReading({
      openCursors: async () => {
        const starts = await this.#starts();
        return this.#cursors(starts, from, { transientData, ...defined({ ended, to }) });
      },
      ended,
      signals: [signal, this.#shared.closing],
    });
  }

  /** Reads the same bytes as lines. @throws as chunks */
  lines(
    from: OutputPositions,
    options: ReadingOptions = {},
  ): AsyncGenerator<LogLine, void, undefined> {
    return linesOfChunks(this.chunks(from, options), options.signal);
  }

  /** Reads those of them that the filter wants. @throws as chunks */
  matchingLines(
    from: OutputPositions,
    filter: LineFilter,
    options: ReadingOptions = {},
  ): AsyncGenerator<LogLine | LogSearched, void, undefined> {
    return matchingLines(this.chunks(from, options), from, filter, options.signal);
  }

  async lineStarts(positions: OutputPositions): Promise<OutputPositions> {
    return lineStarts(this.#dir, positions, await this.#starts());
  }

  /** @throws as chunks */
  findLine(
    from: OutputPositions,
    pattern: LinePattern,
    { ended, timeout, signal }: SearchOptions = {},
  ): Promise<LineSearch> {
    const read = (signal: AbortSignal) => this.chunks(from, { ...defined({ ended }), signal });
    return findLine(read, from, pattern, { toTheEnd: ended !== undefined, timeout, signal });
  }

  recordGrowth(createdTime: Date | undefined, ended: AbortSignal): void {
    if (ended.aborted) return;
    const beganMs = createdTime?.getTime();
    const places = () => this.#places;
    const growth = new JobGrowth(this.#shared.growth, { dir: this.#dir, places, beganMs });
    this.#growth = growth;
    ended.addEventListener("abort", () => growth.end(), { once: true });
  }

  openTimes({ createdTime, completedTime }: JobTimes): OutputTimes {
    const growth = this.#growth;
    growth?.look();
    return openSpanTimes({
      dir: this.#dir,
      spans: [...this.#notedSpans(), ...(growth?.unwritten ?? [])],
      growth,
      createdTime,
      ...defined({ completedTime }),
    });
  }

  /** Output whose times cannot be read has been written at any time that it can have been. */
  #notedSpans(): readonly OutputSpan[] {
    const { outputTimes, log } = this.#shared;
    try {
      return outputTimes.read(this.#dir);
    } catch (error) {
      const { jobId } = this.#dir;
      log.warn({ jobId, err: error }, "it cannot be read when a job's output was written");
      return [];
    }
  }

  erase(): void {
    for (const stream of STREAMS) this.#places[stream].erase();
  }

  dispose(): void {
    void this.#retained?.close();
    this.#retained = undefined;
    this.#growth?.leave();
    this.#growth = undefined;
  }

  async #starts(): Promise<LogStarts> {
    return this.#retained?.starts() ?? this.#wholeStarts;
  }

  get #places(): LogPlaces {
    this.#knownPlaces ??= this.#openPlaces();
    return this.#knownPlaces;
  }

  /** Where the logs begin without a limit. */
  get #wholeStarts(): LogStarts {
    this.#knownWholeStarts ??= startsOf(this.#places);
    return this.#knownWholeStarts;
  }

  #openPlaces(): LogPlaces {
    const { truncations, log } = this.#shared;
    const { jobId } = this.#dir;
    let known: ReturnType<TruncationStore["read"]>;
    try {
      known = truncations.read(this.#dir);
    } catch (error) {
      log.error({ jobId, err: error }, "it is not known how a job's logs were truncated");
    }
    const save = () => {
      try {
        truncations.write(this.#dir, places);
      } catch (error) {
        log.error({ jobId, err: error }, "that a job's log was truncated could not be saved");
      }
    };
    const places = {
      stdout: new LogPlace(known?.stdout ?? NOT_TRUNCATED, save),
      stderr: new LogPlace(known?.stderr ?? NOT_TRUNCATED, save),
    };
    return places;
  }

  #cursors(
    starts: LogStarts,
    from: OutputPositions,
    { ended, to, transientData = false }: ReadingOptions & ChunkMemory,
  ): LogCursor[] {
    return STREAMS.flatMap((stream) => {
      const position = from[stream];
      if (position === undefined) return [];
      const end = to?.[stream];
      const options = { stream, start: starts[stream], position, end, transientData };
      return ended
        ? new FollowCursor(this.#shared.feeds, this.#dir, options)
        : new SnapshotCursor(this.#dir, options);
    });
  }
}

const NOT_TRUNCATED = { base: 0, truncations: 0 };

/** Without a log limit, a log begins where its file does. */
function startsOf({ stdout, stderr }: LogPlaces): LogStarts {
  const startOf = (place: LogPlace) => ({
    place,
    get firstOffset() {
      return place.base;
    },
  });
  return { stdout: startOf(stdout), stderr: startOf(stderr) };
}

/** What was done to the logs, where something was. */
function damageOf(places: LogPlaces): Pick<OutputSizes, "truncations" | "missingLogs"> {
  if (isUndamaged(places.stdout) && isUndamaged(places.stderr)) return UNDAMAGED;
  const truncated = STREAMS.filter((stream) => places[stream].truncations > 0);
  const missing = STREAMS.filter((stream) => places[stream].isMissing);
  const truncations = Object.fromEntries(
    truncated.map((stream) => [stream, places[stream].truncations]),
  );
  return {
    ...(truncated.length > 0 && { truncations }),
    ...(missing.length > 0 && { missingLogs: missing }),
  };
}

const UNDAMAGED = {};

function isUndamaged({ truncations, isMissing }: LogPlace): boolean {
  return truncations === 0 && !isMissing;
}

/** Keeps nothing, for those who have no use for it. */
const TRUNCATIONS_NOT_KEPT: TruncationStore = { read: () => undefined, write: () => {} };

/** Keeps nothing, for those who do not ask. */
const TIMES_NOT_KEPT: OutputTimesStore = { read: () => [], append: () => {} };

/** Keeps nothing, for those who set no limits. */
const NOT_KEPT: FirstOffsetStore = {
  async read() {
    return { stdout: 0, stderr: 0 };
  },
  async write() {},
};

/** Many readings listen to the same signals, and Node would warn of a leak at 11. */
function allowManyListeners(...signals: readonly (AbortSignal | undefined)[]): void {
  for (const signal of signals) if (signal !== undefined) setMaxListeners(0, signal);
}
