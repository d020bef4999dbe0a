import type { ProcmanError } from "./errors.js";
import type {
  Job,
  Limits,
  OutputKind,
  Progress,
  SoftLimits,
  Status,
  Stream,
  WindowSize,
} from "./job.js";

/**
 * What can be done with jobs. The manager in this process and the client of a
 * server elsewhere both implement it, so a program can swap one for the other.
 *
 * Everything fails with ProcmanError, or with the reason of the caller's signal.
 * Any call with an id can fail with JOB_NOT_FOUND or RECORD_UNREADABLE, and any
 * call with INVALID_ARGUMENT, STORAGE_UNAVAILABLE, SHUTTING_DOWN, INTERNAL and,
 * from a client, UNREACHABLE or UNAUTHENTICATED. The other reasons are named below.
 *
 * Every call but `remove` and `removeJobs` takes a job's name in place of its id. An id that matches
 * comes first; else the newest job of that name is meant, at the moment of the call.
 */
export interface Procman {
  /**
   * Runs a command as a new job; resolves when the command has started.
   * @throws COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE, WORK_DIR_NOT_FOUND, LIMIT_NOT_SUPPORTED,
   * REQUEST_ID_CONFLICT, NAME_IN_USE, DISK_FULL, TOO_MANY_OPEN_FILES, PROCESS_LIMIT
   */
  start(options: StartOptions): Promise<Job>;
  get(id: string, options?: GetOptions): Promise<Job>;
  /** Returns the jobs that match, newest first, a page at a time. @throws INVALID_PAGE_TOKEN */
  list(options?: ListOptions): Promise<JobPage>;
  /** Streams output as bytes. @throws OFFSET_OUT_OF_RANGE */
  attach(id: string, options?: AttachOptions): AsyncIterable<AttachEvent>;
  /** Returns the output that there is now, or a bounded part of it. @throws OFFSET_OUT_OF_RANGE */
  readOutput(id: string, options?: ReadOutputOptions): Promise<BoundedOutput>;
  /** Streams output as lines, all or those that match. @throws OFFSET_OUT_OF_RANGE */
  watch(id: string, options?: WatchOptions): AsyncIterable<WatchEvent>;
  /**
   * Resolves when `until` has come, the job has ended or the timeout has passed.
   * @throws OFFSET_OUT_OF_RANGE
   */
  wait(id: string, options?: WaitOptions): Promise<WaitedJob>;
  /** Streams the jobs that match, and then every change to them, without end. */
  watchJobs(options?: WatchJobsOptions): AsyncIterable<JobsEvent>;
  /**
   * Sends a signal ("SIGUSR1", "USR1" or "10") to the job's process group or, with
   * `includeRemaining`, to each process that the command of an ended job has left behind.
   * @throws JOB_NOT_RUNNING
   */
  signal(id: string, signal: string, options?: SignalOptions): Promise<Job>;
  /**
   * Ends the job and all its processes; resolves when it has ended. With `includeRemaining`
   * it also ends what the command of an ended job has left behind; the status stays.
   * @throws JOB_NOT_RUNNING
   */
  cancel(id: string, options?: CancelOptions): Promise<Job>;
  /**
   * Ends the job if it has not ended, else what its command has left behind, and starts a
   * new one as it was started, which has its id as `previousId`; resolves when that runs.
   * @throws as `start`; NAME_IN_USE where another job has taken the name meanwhile
   */
  restart(id: string, options?: RestartOptions): Promise<Job>;
  /**
   * Begins the job's lease anew, which ends the job when it runs out; `keepLease` does so
   * again and again.
   * @throws JOB_NOT_RUNNING, NO_LEASE
   */
  renewLease(id: string, options?: RenewLeaseOptions): Promise<Job>;
  /**
   * Adds to the input of a job that was started with `stdin`, or closes it.
   * @throws JOB_NOT_RUNNING, INPUT_NOT_OPEN, OFFSET_OUT_OF_RANGE, INPUT_BACKLOG,
   * INPUT_LIMIT, DISK_FULL
   */
  sendInput(id: string, options: SendInputOptions): Promise<InputPosition>;
  /**
   * Changes the size of the terminal of a job that was started with `pty`.
   * @throws JOB_NOT_RUNNING, NO_TERMINAL
   */
  resizeWindow(id: string, size: WindowSize, options?: CallOptions): Promise<Job>;
  /** Deletes an ended job with its files. @throws JOB_RUNNING, JOB_HAS_PROCESSES */
  remove(id: string, options?: RemoveOptions): Promise<void>;
  /**
   * Cancels several jobs at once: those that have not ended, where they are selected by
   * filters. Resolves when all of them have ended. What a single one fails with is in its
   * result, here and in the next two.
   */
  cancelJobs(selection: JobSelection, options?: CancelOptions): Promise<JobResults>;
  /** Sends a signal to several jobs: those that have not ended, where filters select them. */
  signalJobs(selection: JobSelection, signal: string, options?: SignalOptions): Promise<JobResults>;
  /**
   * Deletes several jobs with their files: those that have ended, where filters select
   * them and `cancel` is not set.
   */
  removeJobs(selection: JobSelection, options?: RemoveJobsOptions): Promise<JobResults>;
  /**
   * Removes old ended jobs; returns their ids. Those whose commands have left processes
   * behind stay, unless `includeRemaining` is set.
   */
  cleanup(options?: CleanupOptions): Promise<readonly string[]>;
  /** Compares every running job with its files and processes; returns those whose status changed. */
  refresh(options?: CallOptions): Promise<readonly Job[]>;
  /** Ends what is under way and frees what is held. Jobs run on. */
  close(): Promise<void>;
}

export interface CallOptions {
  /** Aborts the call: its promise or iterable then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

export const IF_RUNNING = ["fail", "return"] as const;

/**
 * What `start` does where a job that has not ended bears the name: fail with NAME_IN_USE,
 * or return that job, whatever its command is.
 */
export type IfRunning = (typeof IF_RUNNING)[number];

/** The longest duration there can be: that of google.protobuf.Duration, 10,000 years. */
export const MAX_DURATION_MS = 315_576_000_000_000;

export interface StartOptions extends CallOptions {
  /** A name looked up on the job's PATH, or a path (relative to `workDir`). */
  readonly command: string;
  readonly args?: readonly string[];
  /** Added to the manager's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Start from an empty environment. Default false. */
  readonly clearEnv?: boolean;
  /** Absolute. Default: the manager's own working directory. */
  readonly workDir?: string;
  /** To find the job by. Keys must not be empty. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Makes `start` retry-safe: the same id with the same request returns the first job. */
  readonly requestId?: string;
  /**
   * A name to find the job by: 1 to 63 characters of "a-z0-9._-", of which the first is a
   * letter or a digit. It must not be the id of a job.
   */
  readonly name?: string;
  /** Only with `name`. Default "fail". */
  readonly ifRunning?: IfRunning;
  /** Send stderr to the stdout log too, in the order written. Default false. */
  readonly mergeOutput?: boolean;
  /**
   * What stdout and stderr of the command are. "pipe" is for a command that truncates or
   * seeks in what is a file; it costs two processes. Not with `pty`. Default "file".
   */
  readonly output?: OutputKind;
  /**
   * How long the job goes on without `renewLease`; then it is "cancelled". Positive. It
   * runs down while a manager runs; the next one begins it anew. Default: it needs nobody.
   */
  readonly leaseMs?: number;
  /** The job is ended, and "failed", when it has run for longer. Positive. Default: no limit. */
  readonly timeoutMs?: number;
  /**
   * How much of the end of each log to keep: 65536 or more. 0, the default, is
   * the manager's limit. Offsets never shift; the job's `stdoutFirstOffset` is
   * the first byte that can still be read.
   */
  readonly logLimitBytes?: number;
  /** Run it in a terminal of its own, whose output is the stdout log. Default false. */
  readonly pty?: boolean;
  /** The terminal's size; only with `pty`. Default: 24 rows of 80 columns. */
  readonly windowSize?: WindowSize;
  /** Keep standard input open for `sendInput`. Default false: it is /dev/null. */
  readonly stdin?: boolean;
  /** The permissions that files made by the command do not get: 0 to 0o777. Default: the manager's own. */
  readonly umask?: number;
  /** -20, the most favoured, to 19. Default: the manager's own; lower takes a privilege. */
  readonly nice?: number;
  /**
   * For each process of the job by itself. No more than the manager's hard limits, which
   * are the job's too. Default: the manager's own; of "nofile" its hard one.
   */
  readonly softLimits?: SoftLimits;
  /**
   * End what the command leaves behind, once it has ended: SIGTERM, and SIGKILL after 5 s.
   * The job's end is told as soon as the command has ended. Default false.
   */
  readonly endRemaining?: boolean;
  /** For all of the job's processes together. Default: none. */
  readonly limits?: Limits;
  /**
   * A command to run once the job's has ended, however it has: by its runner, in its
   * directory and environment, with PROCMAN_JOB_ID, _NAME, _STATUS, _EXIT_CODE, _SIGNAL
   * and _DIR. It is run once at most, and not for a job that is orphaned.
   */
  readonly onEnd?: RequestedOnEnd;
}

export interface RequestedOnEnd {
  readonly command: string;
  readonly args?: readonly string[];
  /** Positive, at most an hour. Default 60 000. */
  readonly timeoutMs?: number;
}

export interface GetOptions extends CallOptions {
  /** Return the values of the job's environment variables too. Default false: they are empty. */
  readonly includeEnv?: boolean;
}

export interface JobFilter {
  /** The job has one of these. Empty or absent: every status. */
  readonly statuses?: readonly Status[];
  /** The job has all of these, with these values. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The job bears it. Empty or absent: any name, and none. */
  readonly name?: string;
}

/**
 * Which jobs a call is for: either those of these ids, or those that match all filters.
 * One that says nothing is refused.
 */
export interface JobSelection extends JobFilter {
  /** At most 10,000. */
  readonly ids?: readonly string[];
  /** Every job, where there are no filters. Default false. */
  readonly all?: boolean;
}

/** What has become of one of several jobs. */
export type JobResult =
  /** `job` is absent where it was removed, and where the answer of a server has no room. */
  | { readonly type: "done"; readonly id: string; readonly job?: Job }
  /** Where there is no such job, `id` is as it was given. */
  | { readonly type: "failed"; readonly id: string; readonly error: ProcmanError };

export interface JobResults {
  /** In the order of the ids, or newest first. From a server, as many as fit into a message. */
  readonly results: readonly JobResult[];
  /** How many jobs it was done with in all. */
  readonly doneSize: number;
  readonly failedSize: number;
}

/** Whether a filter leaves any job out. */
export function hasFilters({ statuses = [], labels = {}, name = "" }: JobFilter): boolean {
  return statuses.length > 0 || Object.keys(labels).length > 0 || name !== "";
}

/** The fields of a job that a filter tests. */
export interface FilteredFields extends Pick<Job, "labels" | "status"> {
  readonly name?: string | undefined;
}

export function isMatch(
  job: FilteredFields,
  { statuses = [], labels = {}, name = "" }: JobFilter,
): boolean {
  if (name !== "" && job.name !== name) return false;
  if (statuses.length > 0 && !statuses.includes(job.status)) return false;
  return Object.entries(labels).every(
    ([key, value]) => Object.hasOwn(job.labels, key) && job.labels[key] === value,
  );
}

export interface ListOptions extends JobFilter, CallOptions {
  /** 1 to 1000. 0, the default, is 100. */
  readonly pageSize?: number;
  /** The `nextPageToken` of the page before, with the same filters. Default: the first page. */
  readonly pageToken?: string;
  /** Return the usage of jobs that have not ended too, which takes time for each. Default false. */
  readonly includeUsage?: boolean;
}

export interface JobPage {
  /** Newest first. */
  readonly jobs: readonly Job[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
  /** How many jobs match in all. */
  readonly totalSize: number;
  /**
   * Jobs whose records cannot be read, by id: 100 at most. Empty on later pages, and
   * where there are filters, which need a record.
   */
  readonly unreadable: readonly UnreadableJob[];
  /** How many there are in all; 0 where they are not told. */
  readonly unreadableSize: number;
}

/** A job whose record is damaged, or of a newer version. It is left in place until it is removed. */
export interface UnreadableJob {
  readonly id: string;
  /** Why its record cannot be read. */
  readonly error: string;
}

/** Where in a job's output to begin. */
export interface OutputStart {
  /** The streams to read. Empty or absent: both. */
  readonly streams?: readonly Stream[];
  /** Begin at the last so many lines of each stream; 0: only what is new. Default: everything. */
  readonly tailLines?: number;
  /**
   * Begin no earlier than at this byte of stdout, which is at most the stream's
   * size. Where it has been removed, begin at the first byte that is left. Default 0.
   */
  readonly stdoutOffset?: number;
  /** The same for stderr. */
  readonly stderrOffset?: number;
}

/** Which output is meant by when it was written, and whether to tell that. */
export interface OutputPeriod {
  /**
   * Nothing that certainly was written before: what may have been written later is given.
   * A time to come is as now.
   */
  readonly sinceTime?: Date;
  /**
   * Nothing that certainly was written after, and no more than that: where output is
   * followed, until this time. Not before `sinceTime`.
   */
  readonly untilTime?: Date;
  /** Give `writtenBetween`. Default false. */
  readonly writtenTimes?: boolean;
}

/** When output was written, by the wall clock, as far as it is known. */
export interface WrittenBetween {
  /** Not earlier. */
  readonly from: Date;
  /** Not later. */
  readonly to: Date;
  /** The range is wide since nobody looked at the log meanwhile: no server ran, say. */
  readonly unobserved?: true;
}

export interface AttachOptions extends OutputStart, OutputPeriod, CallOptions {
  /** Go on with new output until the job has ended. Default false. */
  readonly follow?: boolean;
}

/**
 * The most that one `readOutput` returns. As text, each byte may become the three of U+FFFD:
 * with them, a message stays below 1 MiB.
 */
export const MAX_OUTPUT_BYTES = 256 * 1024;

export const OUTPUT_ENDS = ["both", "head", "tail"] as const;

/** Returns what is wrong with a bound of `readOutput`; undefined where it is right. */
export function maxBytesFault(maxBytes: number): string | undefined {
  const isRight = Number.isInteger(maxBytes) && maxBytes >= 0 && maxBytes <= MAX_OUTPUT_BYTES;
  return isRight ? undefined : `must be a whole number from 0 to ${MAX_OUTPUT_BYTES}`;
}

/** The same of which ends it is to return. */
export function endsFault(ends: OutputEnds): string | undefined {
  return OUTPUT_ENDS.includes(ends) ? undefined : `must be one of ${OUTPUT_ENDS.join(", ")}`;
}

/** What `readOutput` returns of output that is longer than it may return. */
export type OutputEnds = (typeof OUTPUT_ENDS)[number];

export interface ReadOutputOptions
  extends Omit<OutputStart, "tailLines">,
    OutputPeriod,
    CallOptions {
  /**
   * How many bytes of output to return at most, of both streams together: up to 262144.
   * 0, the default, is 65536. What one stream does not need of its half is the other's.
   */
  readonly maxBytes?: number;
  /** What to return of output that is longer. Default "both": half from each end. */
  readonly ends?: OutputEnds;
}

/** A run of bytes of one stream. */
export interface OutputPart {
  readonly stream: Stream;
  /** Position of the first byte. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** How many bytes of this stream were left out right before this part. */
  readonly omittedBytes: number;
  /** Where it was asked for. */
  readonly writtenBetween?: WrittenBetween;
}

export interface BoundedOutput {
  /** As it was before its output was read: where it has ended, `parts` are of its whole output. */
  readonly job: Job;
  /**
   * Stdout's parts, then stderr's, each in order. Where only a part of a stream is
   * returned, no character of UTF-8 is cut in two.
   */
  readonly parts: readonly OutputPart[];
  /**
   * Where to go on reading stdout: the end of what is returned where `ends` is "head",
   * else the end of what there was.
   */
  readonly stdoutNextOffset: number;
  /** The same for stderr. */
  readonly stderrNextOffset: number;
}

export interface WatchOptions extends OutputStart, OutputPeriod, CallOptions {
  /**
   * Only lines that this is found in: in RE2's syntax, at most 1024 bytes. `tailLines`
   * counts all lines. Empty or absent: every line.
   */
  readonly pattern?: string;
  /** Only lines that `pattern` is not found in. Default false. */
  readonly invert?: boolean;
  /** Go on with new output until the job has ended. Default true. */
  readonly follow?: boolean;
}

export interface OutputChunk {
  readonly stream: Stream;
  /**
   * Position of the first byte in the stream. It is later than the end of the
   * chunk before where a log limit has removed what was between.
   */
  readonly offset: number;
  readonly data: Uint8Array;
  /** When the last of it was seen; absent for what was there before anybody followed. */
  readonly seenTime?: Date;
  /** Where it was asked for. */
  readonly writtenBetween?: WrittenBetween;
}

export const TERMINATORS = ["lf", "crlf", "cr", "none"] as const;

/** What ended a line: "\n", "\r\n", a lone "\r", or nothing. */
export type Terminator = (typeof TERMINATORS)[number];

export interface OutputLine {
  readonly stream: Stream;
  /** Without the terminator; bytes that are not UTF-8 are U+FFFD. */
  readonly text: string;
  /** Position of its first byte. */
  readonly offset: number;
  /** Position after it and its terminator: where to go on from. */
  readonly nextOffset: number;
  readonly terminator: Terminator;
  /** What the line says about the command's progress, if it does. */
  readonly progress?: Progress;
  /** As for a chunk. */
  readonly seenTime?: Date;
  readonly writtenBetween?: WrittenBetween;
}

/**
 * Says that the command has truncated one of its logs, by opening /dev/stdout anew, say.
 * What was there and had not been read is lost. What is written then comes as output
 * from this offset on. It is no earlier than what was read before, unless the log was
 * truncated while no server ran.
 */
export interface OutputTruncation {
  readonly stream: Stream;
  readonly offset: number;
}

/**
 * How far output was searched: no line before these bytes matches that was not given. To
 * go on from them misses nothing.
 */
export type SearchedOffsets = Required<Pick<OutputStart, "stdoutOffset" | "stderrOffset">>;

/** `opened` comes first and `ended` last. */
export type AttachEvent =
  | { readonly type: "opened"; readonly job: Job }
  | ({ readonly type: "chunk" } & OutputChunk)
  | ({ readonly type: "truncated" } & OutputTruncation)
  | { readonly type: "ended"; readonly job: Job };

/** `opened` comes first and `ended` last. */
export type WatchEvent =
  | { readonly type: "opened"; readonly job: Job }
  | ({ readonly type: "line" } & OutputLine)
  | ({ readonly type: "truncated" } & OutputTruncation)
  /** With a pattern: at least once in each MiB of output, and before `ended`. */
  | ({ readonly type: "searched" } & SearchedOffsets)
  | { readonly type: "ended"; readonly job: Job };

/**
 * What `watchJobs` reports. `snapshot` comes first, or `resumed` where
 * `sinceRevision` was given and what has changed since is known. A later
 * `snapshot` replaces everything before it: a job that is not in it was removed,
 * or no longer matches. It comes when it cannot be known what was missed, such
 * as after a restart of the server.
 *
 * `changed` is about a job that is new, has changed, or has changed so that it no
 * longer matches. A job's states come in order; some may be skipped, but never
 * the last one, nor the removal of a job that matched. After `resumed`, both may
 * be about jobs that the caller never had, and can then be ignored.
 *
 * With `output`, `line` is a line that matches, of a job that was told of before. Lines
 * of one stream come in order, and none is left out.
 *
 * `revision` is opaque: the event's place in the order of all changes; of a line, that
 * of the last change. It is empty where the server cannot go on from it.
 */
export type JobsEvent = { readonly revision: string } & (
  | { readonly type: "snapshot"; readonly jobs: readonly Job[] }
  | { readonly type: "resumed" }
  | { readonly type: "changed"; readonly job: Job }
  | { readonly type: "removed"; readonly id: string }
  | { readonly type: "line"; readonly id: string; readonly line: OutputLine }
  /** How far the output of a job was searched. Complete: it has ended, and there is no more. */
  | ({ readonly type: "searched"; readonly complete: boolean } & JobOutputPosition)
);

export interface JobOutputPosition extends SearchedOffsets {
  readonly id: string;
}

export interface WatchJobsOptions extends JobFilter, CallOptions {
  /**
   * The revision of the last event that the caller has seen, with the same
   * filters: only later changes follow, if they are known. Default: a snapshot.
   */
  readonly sinceRevision?: string;
  /** Give also lines of output, of the jobs that match. */
  readonly output?: JobsOutputPattern;
  /**
   * Report the usage of jobs that have not ended too: when it has changed, but no more
   * than once in each poll interval. Default false.
   */
  readonly includeUsage?: boolean;
}

/**
 * Which lines of jobs' output to look for. Of a job in the snapshot, those that end after
 * it was taken; of one that comes later, all.
 */
export interface JobsOutputPattern extends Pick<OutputStart, "streams"> {
  /** In RE2's syntax, found anywhere in the line. At most 1024 bytes. */
  readonly pattern: string;
  /** Only lines that the pattern is not found in. Default false. */
  readonly invert?: boolean;
  /**
   * To go on after an earlier call: how far the output of each job was searched, by the
   * last `line` or `searched`, or else by the snapshot's sizes. Without jobs that are
   * complete.
   */
  readonly positions?: readonly JobOutputPosition[];
  /** With `positions`: when the newest job that the caller was told of was created. */
  readonly newestCreatedTime?: Date;
}

export interface WaitOptions extends CallOptions {
  /** How long to wait; 0 looks once. Default: until the job has ended. */
  readonly timeoutMs?: number;
  /** What to wait for. The job's end ends the wait too, but for "no-remaining". Default: only that. */
  readonly until?: WaitUntil;
}

export type WaitUntil =
  /** The first line of output that matches. */
  | ({ readonly type: "output" } & OutputPattern)
  /** A TCP port, 1 to 65535, that a process of the job listens on; 0: any. */
  | { readonly type: "port"; readonly port: number }
  /** That the job has ended and its command has left no process behind, or none is left. */
  | { readonly type: "no-remaining" };

/** Which line to look for, and where to begin. */
export interface OutputPattern extends Omit<OutputStart, "tailLines"> {
  /** In RE2's syntax, found anywhere in the line. At most 1024 bytes. */
  readonly pattern: string;
}

export type WaitOutcome =
  /** The line that matched. Where its terminator is "none" it may not be complete. */
  | { readonly type: "line"; readonly line: OutputLine }
  /** The port that the job listens on. */
  | { readonly type: "port"; readonly port: number }
  /** The timeout passed. */
  | ({ readonly type: "searched" } & SearchedOffsets);

/**
 * The job after a wait, and what became of `until`. Without an outcome the job
 * has ended, or the timeout passed first; its status says which, and for "no-remaining"
 * its `remainingProcesses`.
 */
export type WaitedJob = Job & { readonly outcome?: WaitOutcome };

/** What is done with the processes that the commands of ended jobs have left behind. */
export interface RemainingOption {
  /** Do it with them too; when removing jobs, end them first. Default false. */
  readonly includeRemaining?: boolean;
}

export interface SignalOptions extends CallOptions, RemainingOption {}

export interface CancelOptions extends CallOptions, RemainingOption {
  /** Time between SIGTERM and SIGKILL; 0 sends only SIGKILL. Default 5000. */
  readonly gracePeriodMs?: number;
}

export interface RestartOptions extends CallOptions {
  /** Time between SIGTERM and SIGKILL where the job has not ended. Default 5000. */
  readonly gracePeriodMs?: number;
  /**
   * Makes `restart` retry-safe: the same id returns the job that the first call started,
   * and joins a call that is under way.
   */
  readonly requestId?: string;
}

export interface RenewLeaseOptions extends CallOptions {
  /** How long the lease is from now on. Positive. Default: as before. */
  readonly leaseMs?: number;
}

export interface SendInputOptions extends CallOptions {
  /**
   * A name that the caller picks for itself, at random where others send too. At
   * most 64 letters, digits and characters of "-_.:". Default "". A job remembers
   * the offsets of its 64 latest senders.
   */
  readonly sender?: string;
  /**
   * How many bytes this sender has sent before. It makes the call retry-safe: what
   * was taken before is not taken twice. Default: all of the data is new.
   */
  readonly offset?: number;
  /** At most 1 MiB. Default: none, which only returns the sender's position. */
  readonly data?: Uint8Array;
  /** Nothing comes after this: the command then reads end of file. Default false. */
  readonly close?: boolean;
}

export interface InputPosition {
  /** The sender's next offset: everything before it reaches the command. */
  readonly nextOffset: number;
}

export interface RemoveOptions extends CallOptions, RemainingOption {
  /**
   * Remove the job also where its record cannot be read. Whether it runs is then taken
   * from its other files and the machine's processes. Default false.
   */
  readonly unreadable?: boolean;
}

export interface RemoveJobsOptions extends CallOptions, RemainingOption {
  /** Cancel those that have not ended, and then remove them. Default false. */
  readonly cancel?: boolean;
  /** Time between SIGTERM and SIGKILL for those, and for what remains. Default 5000. */
  readonly gracePeriodMs?: number;
}

export interface CleanupOptions extends CallOptions, RemainingOption {
  /** Remove jobs that ended longer ago than this. Default: the manager's cleanup age. */
  readonly olderThanMs?: number;
}
