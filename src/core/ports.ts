import type {
  Exit,
  JobSpec,
  JobState,
  OnEndResult,
  OutputSizes,
  ProcessUsage,
  Progress,
  SentSignal,
  Started,
  Stream,
  TerminalState,
  Usage,
  WindowSize,
} from "../contract/job.js";
import type {
  AttachEvent,
  AttachOptions,
  CleanupOptions,
  OutputChunk,
  OutputLine,
  OutputStart,
  Procman,
  SearchedOffsets,
  WaitOutcome,
  WrittenBetween,
} from "../contract/procman.js";
import type { EndedJob } from "./ended-jobs.js";
import type { PathWatch } from "../platform/watch-path.js";
import type { JobDir } from "./job-dir.js";
import type { LineFilter, LinePattern } from "./line-pattern.js";
import type { StopKind } from "./transitions.js";

/** The decision to end a job, recorded before any signal is sent. */
export interface StopIntent {
  readonly kind: StopKind;
  readonly requestedTime: Date;
  readonly gracePeriodMs: number;
  /** The job's lease, where nobody has asked for the stop but that has run out. */
  readonly expiredLeaseMs?: number;
}

/**
 * The decision to start a job again, recorded before it is ended for that. It is there
 * until the new job is on disk, so that the next server can carry it on.
 */
export interface RestartIntent {
  /** The id of the job to be started. It is started where there is no job of that id. */
  readonly newId: string;
  /** The new job's; empty when Restart came without one. */
  readonly requestId: string;
  readonly requestedTime: Date;
}

/** What is recorded of the processes that a command has left behind. */
export interface RemainingRecord {
  /** As `RemainingProcesses.mark`. */
  readonly mark?: string;
  /** The decision to end them, recorded before any signal is sent. */
  readonly stop?: Omit<StopIntent, "kind">;
}

/** A job as it is stored on disk. */
export interface JobRecord {
  readonly spec: JobSpec;
  /** One more than the job before: orders jobs whatever the clock does. */
  readonly sequence: number;
  readonly createdTime: Date;
  readonly state: JobState;
  readonly stop?: StopIntent;
  readonly restart?: RestartIntent;
  /** There where the command had left processes behind when the job's end was recorded. */
  readonly remaining?: RemainingRecord;
  /** How long its lease is since it was renewed with another duration than the spec's. */
  readonly renewedLeaseMs?: number;
  /** There once the spec's `onEnd` is over. */
  readonly onEndResult?: OnEndResult;
  /** The last signal that somebody sent it, other than to stop it. */
  readonly lastSignal?: SentSignal;
  /** Of a job that has ended. Absent in records of earlier versions. */
  readonly usage?: Usage;
  /** The manager's default at Start, where the spec has no limit of its own. */
  readonly defaultLogLimitBytes?: number;
  /** Fields that a newer version has written and this one does not know. */
  readonly foreign?: ForeignFields;
}

/** Kept as they were read, so that nothing is lost when the newer version takes over again. */
export interface ForeignFields {
  readonly version: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** The state of a job by its files and processes. */
export type Observation =
  /** No trace of a command was found. */
  | { readonly kind: "not-started" }
  /** It is being started: inspect it again. */
  | { readonly kind: "starting" }
  /** Its command, or the process that records the command's end, is alive. */
  | ({
      readonly kind: "alive";
      /** Whether the process that will record the exit is alive. */
      readonly recorded: boolean;
      /**
       * Whether the command has ended by itself, and only the last of its output is
       * still on its way. Its exit will be reported soon, and nothing can change it.
       */
      readonly isEnding: boolean;
      /** Age of the process, by a clock that never jumps. */
      readonly ageMs: number;
    } & Started)
  | ({
      readonly kind: "exited";
      /** Why the command could not be executed at all; absent where it was. */
      readonly notExecuted?: string;
      /** Absent where no process of it was ended for want of memory. */
      readonly outOfMemory?: OutOfMemory;
      // Absent where the record of its processes is damaged.
    } & Partial<Started> &
      Exit)
  /** It is gone without an exit record. */
  | { readonly kind: "gone"; readonly reason: string; readonly started?: Started };

/** That the kernel has ended processes of a job for want of memory. */
export interface OutOfMemory {
  readonly killedProcesses: number;
  /** Whether the job's own limit was the want; else it was the machine's, or that of what the job is in. */
  readonly isOwnLimit: boolean;
}

/** A part of a job's input, as one SendInput adds it. */
export interface InputPiece {
  /** Names the sender: offsets count per sender. */
  readonly sender: string;
  /** How many bytes this sender has sent before. Absent: it is appended unconditionally. */
  readonly offset?: number;
  readonly data: Uint8Array;
  /** Closes the input after this piece. */
  readonly close: boolean;
}

/** Runs commands and finds them again. */
export interface Engine {
  /**
   * Checks a command, its directory and environment, without creating anything.
   * @throws ProcmanError INVALID_ARGUMENT, COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE, WORK_DIR_NOT_FOUND
   */
  prepare(spec: JobSpec): Promise<PreparedCommand>;
  /** Returns the processes of a job whose start was begun earlier, finished or not. */
  open(dir: JobDir): JobProcess;
}

/** A command that has been checked and can be started. */
export interface PreparedCommand {
  /**
   * Starts the command, independent of this process; resolves when the command's
   * identity is on disk. Where it rejects, nothing runs and nothing will.
   */
  start(dir: JobDir): Promise<StartedProcess>;
}

export interface StartedProcess {
  readonly process: JobProcess;
  readonly started: Started;
}

/** The processes of one job. Holds nothing that could not be read again from the job's files. */
export interface JobProcess {
  /**
   * Prevents a job that has not started from ever starting.
   * @returns false where it has started after all
   */
  abandon(): Promise<boolean>;
  /**
   * Makes sure, for a job whose record cannot be read, that nothing of it runs and that
   * nothing will start any more.
   * @returns false where something runs
   */
  ensureOver(): Promise<boolean>;
  /** Reports the state of the job's files and processes, without side effects. */
  inspect(): Promise<Observation>;
  /**
   * Calls back whenever the job may have ended, also where it has ended before, but never
   * within this call. Returns a function that stops it.
   */
  onEnd(listener: () => void): () => void;
  /**
   * Lets the last output of a command that has ended (`isEnding`) reach its log, and
   * after a timeout kills what still carries it. Further calls change nothing.
   */
  drainOrKill(): void;
  /**
   * Sends a signal to the job's process group.
   * @returns whether there was a process to send it to
   * @throws ProcmanError INVALID_ARGUMENT for an unknown signal
   */
  signal(signal: string): Promise<boolean>;
  /**
   * Ends every process of the job: with SIGTERM, and after the grace period with
   * SIGKILL. Resolves when none is left that can be ended. Concurrent calls share
   * one stop, with the shortest grace period of all.
   */
  stop(gracePeriodMs: number, signal: AbortSignal): Promise<void>;
  /** Ends all of a Start that has failed: nothing of it runs then, nor what was to run at its end. */
  discard(): Promise<void>;
  /**
   * Finds what the command of a job that has ended has left behind.
   * @param mark what was recorded of it, where an earlier process has seen it
   * @returns undefined where there is nothing, or nothing is known of it
   */
  remaining(mark?: string): Promise<RemainingProcesses | undefined>;
  /**
   * Decides, for a job with `onEnd`, between a stop and the end of the command by itself:
   * whichever comes first is what `onEnd` is told.
   * @returns false where the command has ended by itself
   */
  claimStop(kind: StopKind): boolean;
  /** Whether the runner of a job with `onEnd` has told it that its command ended by itself. */
  hasEndedByItself(): boolean;
  /**
   * Reports what became of an ended job's `onEnd`.
   * @returns undefined while it is still to be run, or runs
   */
  onEndResult(): OnEndResult | undefined;
  /** Ends an ended job's `onEnd` that runs. */
  endOnEnd(): void;
  /** Whether this process is carrying out a stop. */
  readonly isStopping: boolean;
  /** Whether a stop was begun, here or in an earlier process, and never finished. */
  hasUnfinishedStop(): boolean;
  /**
   * Adds to the job's input, or closes it. Once this resolves, the piece reaches the
   * command even if this process dies. Retry-safe: a piece whose bytes were accepted
   * before is acknowledged again and not added twice, also after the job's end.
   * @returns the sender's next offset
   * @throws ProcmanError INPUT_NOT_OPEN, INPUT_BACKLOG, INPUT_LIMIT, OFFSET_OUT_OF_RANGE
   */
  sendInput(piece: InputPiece, signal: AbortSignal): Promise<number>;
  /**
   * Changes the size of the job's terminal.
   * @returns whether it has one
   */
  resize(size: WindowSize): Promise<boolean>;
  /**
   * Returns the TCP port (0: the lowest one) that a process of the job listens on
   * now, if one does.
   */
  listeningPort(port: number): Promise<number | undefined>;
  /** Measures what the job's processes use now, and have used, as far as it is known. */
  usage(): Promise<ProcessUsage>;
  /** Returns what the kernel has kept of that for a job that has ended, before `release`. */
  usageAtEnd(): ProcessUsage;
  /** Frees what the kernel and this process hold for an ended job. Its files stay. */
  release(): void;
  /** Resolves when this object has no operation under way any more. The processes go on. */
  close(): Promise<void>;
}

/** The processes that the command of an ended job has left behind. */
export interface RemainingProcesses {
  /** How many there are now. */
  count(): number;
  /** To be recorded: with it, a later process knows them again. Absent where it needs none. */
  readonly mark: string | undefined;
  /** Calls back whenever the last one may have ended. Returns a function that stops it. */
  onChange(listener: () => void): () => void;
  /**
   * Sends a signal to each of them.
   * @returns whether there was any
   */
  signal(signal: NodeJS.Signals): boolean;
  /** Ends all of them, as `JobProcess.stop` ends a job's. Resolves when none is left that can be ended. */
  stop(gracePeriodMs: number, signal: AbortSignal): Promise<void>;
  /** Frees what the kernel holds for them, once none is left. */
  release(): void;
}

/** A record that could not be read. It is left in place. */
export interface UnreadableRecord {
  readonly id: string;
  readonly error: Error;
}

/** The directory of a job to be, which a crash at any moment leaves whole or not at all. */
export interface JobDraft {
  /** Resolves when its content is on disk. Rejects with a ProcmanError. */
  readonly written: Promise<void>;
  /**
   * Makes it the job's directory before it returns. To be called after `written`.
   * @returns resolves when that is on disk
   * @throws ProcmanError, also later; the caller then deletes the job
   */
  publish(): Promise<void>;
  /** Deletes it, unless it was published. */
  discard(): Promise<void>;
}

/** What there is on record. */
export interface LoadedJobs {
  /** Jobs that have ended, and of which nothing can be under way. */
  readonly ended: readonly EndedJob[];
  /** The records of all others. */
  readonly records: readonly JobRecord[];
  readonly unreadable: readonly UnreadableRecord[];
}

export interface WriteOptions {
  /** Whether, on a full disk, it may take the room that is kept for what frees more. Default: false. */
  readonly mayUseReserve?: boolean;
}

/** Stores jobs' records. When a method resolves, its effect is on disk. */
export interface JobStore {
  /** Finds all jobs. Also finishes removals and creations that a crash interrupted. */
  load(): Promise<LoadedJobs>;
  /**
   * Reads one job's record.
   * @throws ProcmanError JOB_NOT_FOUND, RECORD_UNREADABLE, or why it cannot be read now
   */
  read(id: string): JobRecord;
  /** Notes a job whose record will not change any more, so that the next load need not read it. */
  remember(job: EndedJob): void;
  /** Returns what a job's logs take on the disk; 0 where there are none. */
  logBytes(id: string): number;
  /** Writes a new job's directory, where nobody finds it yet. */
  draft(record: JobRecord): JobDraft;
  /**
   * Keeps what the engine has recorded of a job's start.
   * @param record says the same, and is written later
   */
  keepStart(record: JobRecord): Promise<void>;
  /**
   * Writes a job's record.
   * @throws ProcmanError JOB_NOT_FOUND where the job's directory has been deleted
   */
  write(record: JobRecord, options?: WriteOptions): Promise<void>;
  /** Deletes the job's directory, atomically. It is no error where that is gone already. */
  remove(id: string): Promise<void>;
  dirOf(id: string): JobDir;
}

/** The first byte of each of a job's logs that can still be read. */
export type FirstOffsets = Readonly<Record<Stream, number>>;

/** Stores where the logs of jobs with a limit begin. */
export interface FirstOffsetStore {
  /** Returns undefined where it is unknown: its file is missing or damaged. */
  read(dir: JobDir): Promise<FirstOffsets | undefined>;
  /** Resolves when the offsets are on disk. Calls for one job must not overlap. */
  write(dir: JobDir, offsets: FirstOffsets): Promise<void>;
}

/** Bytes of a log, and when they were written: after `fromMs` and before `toMs`. */
export interface OutputSpan {
  readonly stream: Stream;
  /** At `fromMs` the stream ended here. */
  readonly begin: number;
  /** At `toMs` it ended here. The same as `begin` where it had not grown. */
  readonly end: number;
  readonly fromMs: number;
  readonly toMs: number;
}

/** Stores when the output of jobs was written. What is damaged or missing is as if nobody had looked. */
export interface OutputTimesStore {
  /** Returns the spans of each stream in the order in which they were seen. */
  read(dir: JobDir): readonly OutputSpan[];
  append(dir: JobDir, spans: readonly OutputSpan[]): void;
}

/** What is known of when a job's output was written. To be closed. */
export interface OutputTimes {
  /** Returns the first byte that may have been written at that time or later. May be Infinity. */
  beginOf(stream: Stream, since: Date): number;
  /** Returns the end of the last byte that may have been written by that time. May be Infinity. */
  endOf(stream: Stream, until: Date): number;
  /** @param seenTime when the bytes were there, where that is known */
  writtenBetween(stream: Stream, begin: number, end: number, seenTime?: Date): WrittenBetween;
  close(): void;
}

/** What a job's record tells of when its output was written. */
export interface JobTimes {
  readonly createdTime: Date;
  /** Absent while it runs. */
  readonly completedTime?: Date;
}

/** What has become of one log that was truncated by its command. */
export interface Truncation {
  /** The offset of the file's first byte. */
  readonly base: number;
  /** How often it was seen to be truncated. */
  readonly truncations: number;
}

/** Stores how the logs of jobs were truncated. */
export interface TruncationStore {
  /** Returns undefined where no truncation was stored. */
  read(dir: JobDir): Readonly<Record<Stream, Truncation>> | undefined;
  write(dir: JobDir, truncations: Readonly<Record<Stream, Truncation>>): void;
}

/** A chunk of output, or the place where a log was truncated. */
export interface LogChunk extends OutputChunk {
  /** The log was truncated: what it holds now begins at `offset`. The data is empty. */
  readonly isTruncation?: true;
}

/** A line of output, or the place where a log was truncated: there it has no text. */
export interface LogLine extends OutputLine {
  readonly isTruncation?: true;
}

/** How far the output was searched, between two lines that match or at its end. */
export interface LogSearched extends SearchedOffsets {
  readonly isSearched: true;
  /** Whether there is no more to search. */
  readonly isEnd: boolean;
}

/** Positions in a job's logs to read from. An absent stream is not read. */
export type OutputPositions = Partial<Record<Stream, number>>;

/** The outcome of a search; undefined where the job has ended without such a line. */
export type LineSearch = Extract<WaitOutcome, { type: "line" | "searched" }> | undefined;

/** The logs of all jobs. */
export interface Logs {
  /** Returns the logs of one job. Files are opened only when they are read. */
  open(dir: JobDir): JobLogs;
  /** Fails all reads with SHUTTING_DOWN. Resolves when no operation is under way any more. */
  close(): Promise<void>;
}

export interface ReadingOptions {
  /** Read on until this is aborted and the last byte was read. Absent: end at the current end. */
  readonly ended?: AbortSignal;
  /** Without `ended`: end here, where the log's end is later. */
  readonly to?: OutputPositions;
  /** Stops the read at once, which fails with the reason. */
  readonly signal?: AbortSignal;
}

/** Output before and after which nothing is wanted; a stream's may be Infinity. */
export interface OutputBounds {
  readonly begin?: OutputPositions;
  readonly end?: OutputPositions;
}

export interface SearchOptions extends ReadingOptions {
  /** Ends the search with what was found so far. */
  readonly timeout?: AbortSignal;
}

/** The logs of one job. */
export interface JobLogs {
  /**
   * From now on removes the oldest part of each log that grows beyond the limit, and
   * lets reads begin at what is left. A log may exceed the limit by what is written
   * before that is noticed.
   * @param ended aborted once the job has ended; the logs are then trimmed a last time
   * @param onLateTrim called when a log is trimmed although the job has ended
   */
  retain(limitBytes: number, ended: AbortSignal, onLateTrim: () => void): void;
  sizes(): Promise<OutputSizes>;
  /** When a log was last written to; undefined where there is none, or nothing in it. */
  lastWriteTime(): Date | undefined;
  /**
   * Calls back whenever the logs may have been written to, or will not be told of any
   * more. Close the result.
   * @returns undefined where the kernel does not tell
   */
  watch(onChange: () => void): PathWatch | undefined;
  /** Returns the last progress that the logs report. */
  progress(): Promise<Progress | undefined>;
  /**
   * Converts where a caller wants to begin into positions.
   * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE
   */
  resolveStart(start: OutputStart, bounds?: OutputBounds): Promise<OutputPositions>;
  /**
   * Yields the bytes from `from` on, and each truncation meanwhile. Watches the files before it reads them, so no
   * byte is missed.
   */
  chunks(from: OutputPositions, options?: ReadingOptions & ChunkMemory): AsyncIterable<LogChunk>;
  /**
   * Yields the same as lines. An unterminated line comes at the end of the log, or
   * where a limit has removed the rest of it.
   */
  lines(from: OutputPositions, options?: ReadingOptions): AsyncIterable<LogLine>;
  /**
   * Yields those of the lines that a filter wants, and now and then how far it has come:
   * also at the end. Gives the event loop its turn regularly.
   */
  matchingLines(
    from: OutputPositions,
    filter: LineFilter,
    options?: ReadingOptions,
  ): AsyncIterable<LogLine | LogSearched>;
  /** Moves positions back to where the lines begin that they are in. */
  lineStarts(positions: OutputPositions): Promise<OutputPositions>;
  /**
   * Finds the first line that the pattern matches, which may be an unterminated last
   * line. Where `timeout` is aborted first, or the log's current end is reached
   * without `ended`, returns how far the output was searched. Gives the event loop
   * its turn regularly.
   */
  findLine(
    from: OutputPositions,
    pattern: LinePattern,
    options?: SearchOptions,
  ): Promise<LineSearch>;
  /**
   * From now on notes when the logs grow, until the job has ended.
   * @param createdTime of a job that is new; else it is read what was noted last
   */
  recordGrowth(createdTime: Date | undefined, ended: AbortSignal): void;
  /** Returns what is known of when the output was written, as of now and of what follows. */
  openTimes(job: JobTimes): OutputTimes;
  /** Takes the logs for those of a command that was never executed, which has no output. */
  erase(): void;
  /** Stops removing old output. Reads under way can go on to their end. */
  dispose(): void;
}

/** Is told of jobs, as long as this process sees to them. */
export interface JobObserver {
  started(): void;
  /** @param runMs how long it ran, where that is known */
  ended(status: TerminalState["status"], runMs: number | undefined): void;
}

/** What the server serves: a Procman in the server's own process. */
export interface ServedProcman extends Procman {
  attach(id: string, options?: AttachOptions, memory?: ChunkMemory): AsyncIterable<AttachEvent>;
  /** @param maxRemovals ends the call after so many. Default: removes all. */
  cleanup(options?: CleanupOptions, maxRemovals?: number): Promise<readonly string[]>;
}

export interface ChunkMemory {
  /**
   * Allows the memory of a chunk's data to be overwritten once the next event is
   * asked for, which makes much output cheaper to read. For a caller that has
   * passed the data on by then and keeps none. Until then the caller may write in the
   * headroom in front of the data, where it has some (`withHeadroom`), but never in the
   * data itself, which others may read too. Default false.
   */
  readonly transientData?: boolean;
}
