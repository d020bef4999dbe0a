import type { Job, Progress, Status, Stream, WindowSize } from "./job.js";

/** Lets the caller give up; the promise or iterable then rejects with the signal's reason. */
export interface CallOptions {
  readonly signal?: AbortSignal;
}

/** The longest duration that a call or a job can have: google.protobuf.Duration's, 10,000 years. */
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
  readonly labels?: Readonly<Record<string, string>>;
  /** The same id with the same request returns the first job. */
  readonly requestId?: string;
  /** Send stderr to the stdout log. Default false. */
  readonly mergeOutput?: boolean;
  /** Positive. Default: no limit. */
  readonly timeoutMs?: number;
  /**
   * How much of the end of each log to keep: 65536 or more. Default (also for
   * 0): the manager's. Offsets stay what they are; the job's `stdoutFirstOffset`
   * says where its output now begins.
   */
  readonly logLimitBytes?: number;
  /** Run it in a terminal of its own, whose output is the stdout log. Default false. */
  readonly pty?: boolean;
  /** Of that terminal. Default: 24 rows of 80 columns. */
  readonly windowSize?: WindowSize;
  /** Keep standard input open for `sendInput`. Default false: it is /dev/null. */
  readonly stdin?: boolean;
}

export interface GetOptions extends CallOptions {
  /** Tell the values of the job's environment variables too. Default false: empty. */
  readonly includeEnv?: boolean;
}

export interface JobFilter {
  /** Empty or absent: every status. */
  readonly statuses?: readonly Status[];
  /** All must match. */
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ListOptions extends JobFilter, CallOptions {
  /** 1 to 1000. Default (also for 0) 100. */
  readonly pageSize?: number;
  readonly pageToken?: string;
}

export interface JobPage {
  /** Newest first. */
  readonly jobs: readonly Job[];
  /** Empty on the last page. */
  readonly nextPageToken: string;
  /** Jobs that match in all. */
  readonly totalSize: number;
}

/** Where in a job's output to begin. */
export interface OutputStart {
  /** Empty or absent: both. */
  readonly streams?: readonly Stream[];
  /** Begin at the last so many lines; 0: only what is new. Default: everything. */
  readonly tailLines?: number;
  /** Nothing before this byte, nor before the first there is. Default 0. */
  readonly stdoutOffset?: number;
  /** The same of stderr. */
  readonly stderrOffset?: number;
}

export interface AttachOptions extends OutputStart, CallOptions {
  /** Go on until the job has ended. Default false. */
  readonly follow?: boolean;
}

export interface WatchOptions extends OutputStart, CallOptions {}

export interface OutputChunk {
  readonly stream: Stream;
  /** Position of the first byte in the stream: later than expected where a limit took some. */
  readonly offset: number;
  readonly data: Uint8Array;
  /** When all of it had been seen; absent for what was there before anybody looked. */
  readonly seenTime?: Date;
}

export const TERMINATORS = ["lf", "crlf", "cr", "none"] as const;

/** What ended a line: "\n", "\r\n", a lone "\r", or nothing. */
export type Terminator = (typeof TERMINATORS)[number];

export interface OutputLine {
  readonly stream: Stream;
  /** Without the terminator; bytes that are not UTF-8 are U+FFFD. */
  readonly text: string;
  readonly offset: number;
  /** Where to go on from. */
  readonly nextOffset: number;
  readonly terminator: Terminator;
  readonly progress?: Progress;
  /** As of a chunk. */
  readonly seenTime?: Date;
}

/** `opened` comes first and `ended` last. */
export type AttachEvent =
  | { readonly type: "opened"; readonly job: Job }
  | ({ readonly type: "chunk" } & OutputChunk)
  | { readonly type: "ended"; readonly job: Job };

/** `opened` comes first and `ended` last. */
export type WatchEvent =
  | { readonly type: "opened"; readonly job: Job }
  | ({ readonly type: "line" } & OutputLine)
  | { readonly type: "ended"; readonly job: Job };

/**
 * `snapshot` comes first, or `resumed` where `sinceRevision` was given and what
 * changed since is known. A later `snapshot` replaces all that was told before:
 * a job that is not in it is not there any more, or matches no more. It comes
 * when it cannot be known what was missed, as after a restart of the server.
 *
 * `changed` tells of a job that came, changed, or changed so that it no longer
 * matches. States of one job never go back, some may be skipped, the last one
 * always comes. So does a removal, of a job that matched. After `resumed` these
 * may also be of jobs that were never told of, and which then change nothing.
 *
 * `revision` is opaque: where the event is in the order of all changes. It is
 * empty where the server cannot go on from it.
 */
export type JobsEvent = { readonly revision: string } & (
  | { readonly type: "snapshot"; readonly jobs: readonly Job[] }
  | { readonly type: "resumed" }
  | { readonly type: "changed"; readonly job: Job }
  | { readonly type: "removed"; readonly id: string }
);

export interface WatchJobsOptions extends JobFilter, CallOptions {
  /**
   * The revision of the last event that the caller has seen, with the same
   * filters: only what changed since is told, if that is known.
   */
  readonly sinceRevision?: string;
}

export interface WaitOptions extends CallOptions {
  /** 0 looks once. Default: until the job has ended. */
  readonly timeoutMs?: number;
  /** What to wait for besides the job's end, which always ends the wait. */
  readonly until?: WaitUntil;
}

export type WaitUntil =
  /** A line of output that matches. */
  | ({ readonly type: "output" } & OutputPattern)
  /** A TCP port, 1 to 65535, that a process of the job listens on; 0: any. */
  | { readonly type: "port"; readonly port: number };

/** Which lines to look for, and where to begin. */
export interface OutputPattern extends Omit<OutputStart, "tailLines"> {
  /** In RE2's syntax, found anywhere in the line. At most 1024 bytes. */
  readonly pattern: string;
}

export type WaitOutcome =
  /** The line that matched; a last line without a terminator may go on. */
  | { readonly type: "line"; readonly line: OutputLine }
  /** The port that is listened on. */
  | { readonly type: "port"; readonly port: number }
  /** The timeout passed, and no line before these bytes matches. */
  | ({ readonly type: "searched" } & Required<Pick<OutputStart, "stdoutOffset" | "stderrOffset">>);

/**
 * The job after a wait. Without an outcome it has ended, or is not terminal and
 * the timeout passed first.
 */
export type WaitedJob = Job & { readonly outcome?: WaitOutcome };

export interface CancelOptions extends CallOptions {
  /** Between SIGTERM and SIGKILL; 0 sends only SIGKILL. Default 5000. */
  readonly gracePeriodMs?: number;
}

export interface SendInputOptions extends CallOptions {
  /**
   * Who sends: a name picked by the caller, at random where others send too. At
   * most 64 letters, digits and characters of "-_.:". Default "". The 64 last
   * heard of are remembered.
   */
  readonly sender?: string;
  /**
   * How many bytes this sender has sent before. Makes the call safe to repeat:
   * what was taken before is not taken twice. Default: whatever that is.
   */
  readonly offset?: number;
  /** At most 1 MiB. Default: none, which only tells how far the sender has come. */
  readonly data?: Uint8Array;
  /** The command reads to the end of this, and then the end of file. Default false. */
  readonly close?: boolean;
}

/** How far a sender of input has come. */
export interface InputPosition {
  /** Its next offset. */
  readonly nextOffset: number;
}

export interface CleanupOptions extends CallOptions {
  /** Jobs that ended longer ago than this. Default: the manager's cleanup age. */
  readonly olderThanMs?: number;
}

/**
 * What can be done with jobs. The manager in this process and the client of a
 * server elsewhere both are one, so a program can swap one for the other.
 * Everything fails with ProcmanError.
 */
export interface Procman {
  /** Runs a command as a new job; resolves when it runs. */
  start(options: StartOptions): Promise<Job>;
  get(id: string, options?: GetOptions): Promise<Job>;
  list(options?: ListOptions): Promise<JobPage>;
  /** Output as bytes. */
  attach(id: string, options?: AttachOptions): AsyncIterable<AttachEvent>;
  /** Output as lines, followed until the job has ended. */
  watch(id: string, options?: WatchOptions): AsyncIterable<WatchEvent>;
  /** Resolves when what was waited for has come, the job has ended or the timeout passed. */
  wait(id: string, options?: WaitOptions): Promise<WaitedJob>;
  /** The jobs that match, and then every change to them, without end. */
  watchJobs(options?: WatchJobsOptions): AsyncIterable<JobsEvent>;
  /** Sends a signal ("SIGUSR1" or "USR1") to the job's process group. */
  signal(id: string, signal: string, options?: CallOptions): Promise<Job>;
  /** Ends the job and everything in its session; resolves when it has ended. */
  cancel(id: string, options?: CancelOptions): Promise<Job>;
  /** Adds to the input of a job that was started with `stdin`, or closes it. */
  sendInput(id: string, options: SendInputOptions): Promise<InputPosition>;
  /** Changes the size of the terminal of a job that was started with `pty`. */
  resizeWindow(id: string, size: WindowSize, options?: CallOptions): Promise<Job>;
  remove(id: string, options?: CallOptions): Promise<void>;
  /** Removes old ended jobs; returns their ids. */
  cleanup(options?: CleanupOptions): Promise<readonly string[]>;
  /** Returns the jobs whose status changed by looking. */
  refresh(options?: CallOptions): Promise<readonly Job[]>;
  /** Lets go of everything; jobs go on. */
  close(): Promise<void>;
}
