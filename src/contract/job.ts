import type { Resource } from "../platform/resource-limits.js";

/** The statuses of a job, in the order they can come; the last four are terminal. */
export const STATUSES = [
  "pending",
  "running",
  "completed",
  "failed",
  "cancelled",
  "orphaned",
] as const;

export type Status = (typeof STATUSES)[number];

export const STREAMS = ["stdout", "stderr"] as const;

/** One of a job's two outputs. */
export type Stream = (typeof STREAMS)[number];

export const OUTPUT_KINDS = ["file", "pipe"] as const;

/**
 * What a command has as its standard output and standard error: its logs themselves, or
 * pipes, as under a shell's `|`, which processes of the job's copy to the logs.
 */
export type OutputKind = (typeof OUTPUT_KINDS)[number];

/** What a job was asked to be. Never changes after Start. */
export interface JobSpec {
  readonly id: string;
  /** Empty when Start came without one. */
  readonly requestId: string;
  /** Borne by at most one job that has not ended. Absent when Start came without one. */
  readonly name?: string;
  /** The job that this one was started in place of, by `restart`. */
  readonly previousId?: string;
  /** As it was asked for: a name is not replaced by the path that it was found at. */
  readonly command: string;
  readonly args: readonly string[];
  /**
   * Variables added to the server's environment or, with `clearEnv`, all there
   * are. Values may be secrets: they are empty unless they were asked for.
   */
  readonly env: Readonly<Record<string, string>>;
  readonly clearEnv: boolean;
  /** Absolute. */
  readonly workDir: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Stderr is in the stdout log. */
  readonly mergeOutput: boolean;
  /** "file" with `pty`, whose output is a terminal. */
  readonly output: OutputKind;
  /** Absent where there is no time limit. */
  readonly timeoutMs?: number;
  /** How long it goes on without `renewLease`. Absent where it needs nobody. */
  readonly leaseMs?: number;
  /** How much of the end of each log to keep; absent where the manager's default was asked for. */
  readonly logLimitBytes?: number;
  /** The command runs in a terminal of its own; `mergeOutput` is then true too. */
  readonly pty: boolean;
  /** The terminal's size at the start; absent without `pty`. */
  readonly windowSize?: WindowSize;
  /** Standard input is what `sendInput` sends, and /dev/null otherwise. */
  readonly stdin: boolean;
  /** Absent where the manager's own was asked for, as with the next two. */
  readonly umask?: number;
  readonly nice?: number;
  readonly softLimits?: SoftLimits;
  /** What the command leaves behind is ended with it. */
  readonly endRemaining?: boolean;
  readonly limits?: Limits;
  /** Run once the command has ended. */
  readonly onEnd?: OnEnd;
}

/** What all of a job's processes may use together, but for open files. The kernel enforces it. */
export interface Limits {
  /** Page cache included, and no swap space beside it. At least 1 MiB. */
  readonly memoryMaxBytes?: number;
  /** How many processors' worth of time: 1.5, at least 0.01. */
  readonly cpus?: number;
  /** How many processes and threads at a time. */
  readonly pidsMax?: number;
  /** Of each process by itself, both the soft and the hard limit. At least 8. */
  readonly openFilesMax?: number;
}

/** A command that a job's runner runs once the job's own has ended. */
export interface OnEnd {
  /** A name looked up on the job's PATH when it is run, or a path (relative to `workDir`). */
  readonly command: string;
  readonly args: readonly string[];
  /** It is ended when it has run for longer. */
  readonly timeoutMs: number;
}

/** What became of a job's `onEnd`. */
export interface OnEndResult {
  /** Absent where it was not run. */
  readonly startedTime?: Date;
  /** Absent where it was not run, or is not known to have ended, as the next one is. */
  readonly completedTime?: Date;
  /** 128+n for death by signal n. */
  readonly exitCode?: number;
  /** Why it was ended or not run, or what is not known of it. Absent where it ended by itself. */
  readonly error?: string;
  /** The end of its output, as text. */
  readonly output: string;
}

export type { Resource, RESOURCES } from "../platform/resource-limits.js";

/**
 * Soft limits of setrlimit(2), in its units: bytes, seconds of "cpu", how many of "nofile"
 * and "nproc"; -1 is no limit.
 */
export type SoftLimits = Readonly<Partial<Record<Resource, number>>>;

export const NO_LIMIT = -1;

export const MAX_UMASK = 0o777;

/** What a name is made of, for messages. */
export const JOB_NAME_RULE = '1 to 63 characters of "a-z0-9._-", the first one a letter or a digit';

/** Whether a job can have this name. Its first character is none that an option could begin with. */
export function isJobName(name: string): boolean {
  return /^[a-z0-9][a-z0-9._-]{0,62}$/.test(name);
}

/** The most that one `sendInput` may add to a job's input. */
export const MAX_INPUT_PIECE_BYTES = 1024 * 1024;

/** The size of a terminal in characters, each side 1 to 65535. */
export interface WindowSize {
  readonly rows: number;
  readonly columns: number;
}

export const CONTAINMENTS = ["session", "cgroup"] as const;

/**
 * What holds a job's processes together, so that Cancel reaches them all: a
 * "session" loses a process that calls setsid, a "cgroup" loses none.
 */
export type Containment = (typeof CONTAINMENTS)[number];

/** The command's process, once there is one. */
export interface Started {
  readonly pid: number;
  readonly startedTime: Date;
  readonly containment: Containment;
}

/** How a command ended, by its exit record. */
export interface Exit {
  /** 128+n for death by signal n (the shell's convention). */
  readonly exitCode: number;
  /** The name of the signal that ended it, such as "SIGKILL"; absent where none did. */
  readonly signal?: string;
  /** User and system time of the command and the children it waited for. */
  readonly cpuTimeMs?: number;
  readonly completedTime: Date;
}

/** A job's status, with the facts that are known in that status. */
export type JobState =
  | { readonly status: "pending" }
  | ({ readonly status: "running" } & Started)
  | ({ readonly status: "completed" } & Started & Exit)
  /** `error` says why where the command did not fail by itself, as for a timeout. */
  | ({
      readonly status: "failed";
      readonly error?: string;
      readonly reason?: FailureReason;
    } & Started &
      Exit)
  /** `error` says why where nobody has cancelled it: its lease ran out. */
  | ({ readonly status: "cancelled"; readonly error?: string } & Started & Exit)
  | ({
      readonly status: "orphaned";
      /** Why it cannot be known how the command ended. */
      readonly error: string;
      /** When that was noticed. */
      readonly completedTime: Date;
    } & Partial<Started>);

export const FAILURE_REASONS = ["OUT_OF_MEMORY"] as const;

/** Why a job failed, for programs: the kernel has ended processes of it for want of memory. */
export type FailureReason = (typeof FAILURE_REASONS)[number];

const TIMED_OUT = "timed out after ";

/** Returns the `error` of a job that its time limit has ended. Records hold it: it stays as it is. */
export function timeoutError(timeoutMs: number | undefined): string {
  return `${TIMED_OUT}${timeoutMs} ms`;
}

/** Returns the `error` of a job that nobody has renewed the lease of. */
export function leaseError(leaseMs: number): string {
  return `its lease of ${leaseMs} ms was not renewed`;
}

/** Whether its time limit has ended a job. */
export function hasTimedOut(state: JobState): boolean {
  return state.status === "failed" && state.error?.startsWith(TIMED_OUT) === true;
}

export type TerminalState = Exclude<JobState, { status: "pending" | "running" }>;

export function isTerminal(state: JobState): state is TerminalState {
  return isTerminalStatus(state.status);
}

export function isTerminalStatus(status: Status): status is TerminalState["status"] {
  switch (status) {
    case "pending":
    case "running":
      return false;
    case "completed":
    case "failed":
    case "cancelled":
    case "orphaned":
      return true;
    default:
      // What a newer version has written.
      return false;
  }
}

/** How far a command is, by one line of its output. Fields are absent that it does not say. */
export interface Progress {
  /** 0 to 100. */
  readonly percent?: number;
  /** Units done. */
  readonly current?: number;
  /** Units in all. */
  readonly total?: number;
  /** What is counted: "B" for bytes, else as the output names it, or "". */
  readonly unit: string;
  /** Units a second. */
  readonly rate?: number;
  /** Time left, as the output estimates it. */
  readonly etaMs?: number;
  /** The line the values come from, at most 256 bytes. */
  readonly text: string;
}

/** Where a job's logs begin and end, in bytes written since its start. */
export interface OutputSizes {
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /**
   * The first byte that can still be read: 0, unless a limit removed the oldest part of
   * the log, or the command truncated it.
   */
  readonly stdoutFirstOffset: number;
  readonly stderrFirstOffset: number;
  /** How often each log was seen to be truncated by the command. Absent where none was. */
  readonly truncations?: Partial<Readonly<Record<Stream, number>>>;
  /** The streams whose log somebody has deleted. Absent where both are there. */
  readonly missingLogs?: readonly Stream[];
}

export const NO_OUTPUT: OutputSizes = {
  stdoutBytes: 0,
  stderrBytes: 0,
  stdoutFirstOffset: 0,
  stderrFirstOffset: 0,
};

/**
 * What a job's processes have used, as far as it is known: what is not is absent. All that
 * have been in its cgroup count; without one, those of its session that live, and the
 * children that they have waited for.
 */
export interface ProcessUsage {
  /** User and system time. */
  readonly cpuTimeMs?: number;
  /** Of a cgroup what it is charged for, else the sum of what is resident. */
  readonly memoryBytes?: number;
  /** The most that the cgroup was ever charged for, where the kernel keeps it. */
  readonly memoryPeakBytes?: number;
  /** How many there are. */
  readonly processes?: number;
  /** From disks, not from the page cache. */
  readonly readBytes?: number;
  readonly writtenBytes?: number;
}

/** Once the job has ended, it is what was known at the end, without memory and processes. */
export interface Usage extends ProcessUsage {
  /** When the command last wrote to its output; absent where it has written nothing. */
  readonly lastOutputTime?: Date;
  readonly measuredTime: Date;
}

/** A job as clients see it. Its `logLimitBytes` is the limit in force, the manager's default too. */
export type Job = JobSpec &
  JobState &
  OutputSizes & {
    /** When `start` accepted the job. */
    readonly createdTime: Date;
    /** When it ends unless its lease is renewed. Absent without a lease, and once it has ended. */
    readonly leaseExpireTime?: Date;
    readonly progress?: Progress;
    /** The last signal that was sent by `signal`; absent where none was. */
    readonly lastSignal?: SentSignal;
    /**
     * How many processes are there that the command has left behind. Absent until it has
     * ended, and where there are none, or none are known.
     */
    readonly remainingProcesses?: number;
    /** What became of `onEnd`; absent until it is over. */
    readonly onEndResult?: OnEndResult;
    /** Of a job that has not ended only where it was asked for, as `get` always does. */
    readonly usage?: Usage;
    /** The fields that are too long to be whole here; `get` has them whole. Absent where all are. */
    readonly truncatedFields?: readonly TruncatedField[];
  };

/** A signal that somebody sent to a job. */
export interface SentSignal {
  /** "SIGINT". */
  readonly name: string;
  readonly sentTime: Date;
}

export const TRUNCATED_FIELDS = ["args", "env", "labels"] as const;

/** A field that is cut where a job is not asked for by `get`. */
export type TruncatedField = (typeof TRUNCATED_FIELDS)[number];
