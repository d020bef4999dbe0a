import type {
  Exit,
  JobSpec,
  JobState,
  OutputSizes,
  Progress,
  Started,
  Stream,
  WindowSize,
} from "../contract/job.js";
import type {
  AttachEvent,
  AttachOptions,
  OutputChunk,
  OutputLine,
  OutputStart,
  Procman,
  WaitOutcome,
} from "../contract/procman.js";
import type { JobDir } from "./job-dir.js";
import type { LinePattern } from "./line-pattern.js";
import type { StopKind } from "./transitions.js";

/** That a job is to be ended, recorded before anything is signalled. */
export interface StopIntent {
  readonly kind: StopKind;
  readonly requestedTime: Date;
  readonly gracePeriodMs: number;
}

/** What is kept of a job on disk. */
export interface JobRecord {
  readonly spec: JobSpec;
  /** Grows by one a job; orders jobs whatever the clock does. */
  readonly sequence: number;
  readonly createdTime: Date;
  readonly state: JobState;
  readonly stop?: StopIntent;
  /** The default at Start, where there was one and the spec left it to that. */
  readonly defaultLogLimitBytes?: number;
  /** What a newer version has written into the record and this one does not know. */
  readonly foreign?: ForeignFields;
}

/** Kept as it was read, so that nothing is lost when a newer version takes over again. */
export interface ForeignFields {
  readonly version: number;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What a job's files and processes say about it now. */
export type Observation =
  /** Nothing was started for it, as far as can be seen. */
  | { readonly kind: "not-started" }
  /** It is being started; look again. */
  | { readonly kind: "starting" }
  /** Its command (or what records the command's end) is alive. */
  | ({
      readonly kind: "alive";
      /** False when nobody will record the exit, so that it must be polled for. */
      readonly recorded: boolean;
      /**
       * Whether the command has ended, by itself, and only the last of its output
       * is on its way: an end that is to be told soon, and that nothing changes.
       */
      readonly isEnding: boolean;
      /** Age of the process by the kernel's clock, which no wall-clock jump moves. */
      readonly ageMs: number;
    } & Started)
  | ({
      readonly kind: "exited";
      /** Why the command could not be executed at all, where that is so. */
      readonly notExecuted?: string;
    } & Started &
      Exit)
  /** It is gone and left no exit record. */
  | { readonly kind: "gone"; readonly reason: string; readonly started?: Started };

/** A piece of a job's input. */
export interface InputPiece {
  /** Who sends it. */
  readonly sender: string;
  /** How much this sender has sent before; absent: whatever that is. */
  readonly offset?: number;
  readonly data: Uint8Array;
  /** Nothing comes after it. */
  readonly close: boolean;
}

/** Runs commands. */
export interface Engine {
  /**
   * Checks command, directory and environment; creates nothing.
   * @throws ProcmanError INVALID_ARGUMENT, COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE, WORK_DIR_NOT_FOUND
   */
  prepare(spec: JobSpec): Promise<PreparedCommand>;
  /** The processes of a job that was started before, or was going to be. */
  open(dir: JobDir): JobProcess;
}

/** A command that was checked and can be started. */
export interface PreparedCommand {
  /**
   * Starts the command detached; resolves when its identity is on disk. When it
   * rejects, nothing runs and nothing will.
   */
  start(dir: JobDir): Promise<StartedProcess>;
}

export interface StartedProcess {
  readonly process: JobProcess;
  readonly started: Started;
}

/** The processes of one job. What it holds of them can be learned again from the job's files. */
export interface JobProcess {
  /**
   * Makes sure that a job that was not started never will be, and says whether
   * that worked; false means that it has started after all.
   */
  abandon(): Promise<boolean>;
  /** Looks at the job's files and processes; changes neither. */
  inspect(): Promise<Observation>;
  /** Calls back whenever the job may have ended. Returns how to stop that. */
  onEnd(listener: () => void): () => void;
  /**
   * Lets the last output of a command that has ended (`isEnding`) come through,
   * and after a while ends what still carries it. Repeated calls do nothing more.
   */
  drainOrKill(): void;
  /**
   * Sends a signal to the job's process group.
   * @returns whether there was a process to send it to.
   * @throws ProcmanError INVALID_ARGUMENT for an unknown signal
   */
  signal(signal: string): Promise<boolean>;
  /**
   * Ends every process of the job: politely, and after the grace period by
   * force. Resolves when none is left that could be ended. Several at once are
   * one, and the shortest grace counts.
   */
  stop(gracePeriodMs: number, signal: AbortSignal): Promise<void>;
  /** Whether a stop is under way in this process. */
  readonly isStopping: boolean;
  /** Whether a stop has begun, here or in a process that died since, and not come to its end. */
  hasUnfinishedStop(): boolean;
  /**
   * Adds to the job's input, and closes it. What it has resolved for reaches the
   * command whatever becomes of this process. Retry-safe: a piece at an offset that
   * was taken before is answered again and not taken twice, also after the job's end.
   * @returns the sender's next offset.
   * @throws ProcmanError INPUT_NOT_OPEN, INPUT_BACKLOG, INPUT_LIMIT, OFFSET_OUT_OF_RANGE
   */
  sendInput(piece: InputPiece, signal: AbortSignal): Promise<number>;
  /**
   * Changes the size of the job's terminal.
   * @returns whether there was one.
   */
  resize(size: WindowSize): Promise<boolean>;
  /**
   * The TCP port (0: the lowest one) that a process of the job listens on now,
   * where one does.
   */
  listeningPort(port: number): Promise<number | undefined>;
  /** Gives up what the operating system and this process keep for an ended job besides its files. */
  release(): void;
  /** Resolves when nothing that this object does is under way any more; the processes go on. */
  close(): Promise<void>;
}

/** A record that could not be read, and was left in place. */
export interface UnreadableRecord {
  readonly id: string;
  readonly error: Error;
}

/** Keeps jobs' records. What a method has resolved for is on disk. */
export interface JobStore {
  /** Every record there is; also finishes what a crash left half done. */
  load(): Promise<{ records: JobRecord[]; unreadable: UnreadableRecord[] }>;
  /** Creates the job's directory with its record, whole or not at all. */
  create(record: JobRecord): Promise<void>;
  /** @throws ProcmanError JOB_NOT_FOUND for a job whose directory was deleted */
  write(record: JobRecord): Promise<void>;
  /** Deletes the job's directory, whole or not at all; one that is gone is no error. */
  remove(id: string): Promise<void>;
  dirOf(id: string): JobDir;
}

/** Where each of a job's logs begins: its first byte that can be read. */
export type FirstOffsets = Readonly<Record<Stream, number>>;

/** Keeps where the logs of jobs with a limit begin. */
export interface FirstOffsetStore {
  /** Undefined where it is not known any more: what says so is missing or damaged. */
  read(dir: JobDir): Promise<FirstOffsets | undefined>;
  /** What it has resolved for is on disk. Calls for one job must not overlap. */
  write(dir: JobDir, offsets: FirstOffsets): Promise<void>;
}

/** Positions in a job's logs to read from; a stream that is absent is not read. */
export type OutputPositions = Partial<Record<Stream, number>>;

export type LineSearch = Extract<WaitOutcome, { type: "line" | "searched" }> | undefined;

/** The logs of all jobs. */
export interface Logs {
  /** The logs of one job; nothing is opened before it is read. */
  open(dir: JobDir): JobLogs;
  /** Readings under way fail with SHUTTING_DOWN. Resolves when nothing is under way any more. */
  close(): Promise<void>;
}

export interface ReadingOptions {
  /** Follow until this is aborted and the last byte was read. Absent: do not follow. */
  readonly ended?: AbortSignal;
  /** Stops at once and fails with its reason. */
  readonly signal?: AbortSignal;
}

export interface SearchOptions extends ReadingOptions {
  /** Aborted when what was found so far has to do. */
  readonly enough?: AbortSignal;
}

/** The logs of one job. */
export interface JobLogs {
  /**
   * From now on removes the oldest part of each log as it grows beyond the limit,
   * which it may exceed by what is written before that is noticed. What is read of
   * the logs begins where they now begin.
   * @param ended aborted once the job has ended; then they are cut to the limit
   * @param onLateTrim called when they begin later although the job has ended
   */
  retain(limitBytes: number, ended: AbortSignal, onLateTrim: () => void): void;
  sizes(): Promise<OutputSizes>;
  /** The last progress that the logs tell of. */
  progress(): Promise<Progress | undefined>;
  /**
   * Where to begin for what a caller asked for.
   * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE
   */
  resolveStart(start: OutputStart): Promise<OutputPositions>;
  /**
   * The bytes from `from` on. With `ended`, follows until that signal is
   * aborted and the last byte was read; without, ends at the last byte there
   * is. Watches before it reads, so no byte is missed.
   */
  chunks(from: OutputPositions, options?: ReadingOptions & ChunkMemory): AsyncIterable<OutputChunk>;
  /**
   * The same as lines; the unterminated last one comes at the end, or where a
   * limit took what followed.
   */
  lines(from: OutputPositions, options?: ReadingOptions): AsyncIterable<OutputLine>;
  /**
   * The first line that the pattern is found in, also where it is the last one
   * and has no terminator yet; else how far the output was searched, once
   * `enough` is aborted or, without `ended`, after the last byte there is;
   * undefined when it has ended without such a line. Others get their turn.
   */
  findLine(
    from: OutputPositions,
    pattern: LinePattern,
    options?: SearchOptions,
  ): Promise<LineSearch>;
  /** Stops retaining. What is being read can be read to its end. */
  dispose(): void;
}

/** What the server serves: a Procman in the server's own process. */
export interface ServedProcman extends Procman {
  attach(id: string, options?: AttachOptions, memory?: ChunkMemory): AsyncIterable<AttachEvent>;
}

export interface ChunkMemory {
  /**
   * Allows the memory of a chunk's data to be overwritten once the next event is
   * asked for, which makes much output cheaper to read. For a caller that has
   * passed the data on by then and keeps none. Default false.
   */
  readonly transientData?: boolean;
}
