/** The statuses of a job's life, in the order they can come. */
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

/** What a job was asked to be. Never changes after Start. */
export interface JobSpec {
  readonly id: string;
  /** Empty when Start came without one. */
  readonly requestId: string;
  /** As it was asked for, not resolved. */
  readonly command: string;
  readonly args: readonly string[];
  /**
   * Added to the server's environment, or all of it where `clearEnv`. Values may
   * be secrets: clients see them empty unless they ask for them.
   */
  readonly env: Readonly<Record<string, string>>;
  readonly clearEnv: boolean;
  /** Absolute. */
  readonly workDir: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly mergeOutput: boolean;
  readonly timeoutMs?: number;
  /** How much of the end of each log to keep; absent where that was left to the default. */
  readonly logLimitBytes?: number;
  /** In a terminal of its own; `mergeOutput` then is true. */
  readonly pty: boolean;
  /** The terminal's size at the start; there with `pty` only. */
  readonly windowSize?: WindowSize;
  /** Standard input is what `sendInput` sends, until that closes it. */
  readonly stdin: boolean;
}

/** The most that one call may add to a job's input. */
export const MAX_INPUT_PIECE_BYTES = 1024 * 1024;

/** The size of a terminal in characters. */
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

/** How a command ended, as its exit record tells. */
export interface Exit {
  /** 128+n for death by signal n (the shell's convention). */
  readonly exitCode: number;
  /** Name of that signal, such as "SIGKILL". */
  readonly signal?: string;
  /** User and system time of the command and the children it waited for. */
  readonly cpuTimeMs?: number;
  readonly completedTime: Date;
}

/** Where a job is, with what is true there and nothing else. */
export type JobState =
  | { readonly status: "pending" }
  | ({ readonly status: "running" } & Started)
  | ({ readonly status: "completed" } & Started & Exit)
  | ({ readonly status: "failed"; readonly error?: string } & Started & Exit)
  | ({ readonly status: "cancelled" } & Started & Exit)
  | ({
      readonly status: "orphaned";
      /** Why it cannot be known how the command ended. */
      readonly error: string;
      /** When that was noticed. */
      readonly completedTime: Date;
    } & Partial<Started>);

export type TerminalState = Exclude<JobState, { status: "pending" | "running" }>;

export function isTerminal(state: JobState): state is TerminalState {
  return state.status !== "pending" && state.status !== "running";
}

/** How far a command is, as one line of its output tells. */
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
  readonly etaMs?: number;
  /** The line the values come from, at most 256 bytes. */
  readonly text: string;
}

/** Where a job's logs begin and end. */
export interface OutputSizes {
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  /** The first byte that can still be read: 0, unless a limit took what came before. */
  readonly stdoutFirstOffset: number;
  readonly stderrFirstOffset: number;
}

export const NO_OUTPUT: OutputSizes = {
  stdoutBytes: 0,
  stderrBytes: 0,
  stdoutFirstOffset: 0,
  stderrFirstOffset: 0,
};

/** A job as clients see it. Its `logLimitBytes` is the one in force, whoever chose it. */
export type Job = JobSpec &
  JobState &
  OutputSizes & {
    readonly createdTime: Date;
    readonly progress?: Progress;
  };
