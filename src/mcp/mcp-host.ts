import type { Job } from "../contract/job.js";
import type { Procman, StartOptions } from "../contract/procman.js";

/** What a job is asked to be, beside what it has of the process that starts it. */
export type JobRequest = Pick<
  StartOptions,
  | "command"
  | "args"
  | "env"
  | "workDir"
  | "labels"
  | "name"
  | "ifRunning"
  | "requestId"
  | "mergeOutput"
  | "timeoutMs"
  | "leaseMs"
  | "stdin"
  | "pty"
>;

/** The process that speaks MCP: who sends it messages, and how it reaches procman. */
export interface McpHost {
  readonly version: string;
  /** Labels that every job gets. */
  readonly labels: Readonly<Record<string, string>>;
  /** Returns a client of a server, which is started where none runs. */
  connect(): Promise<Procman>;
  /** Whether the same call may succeed over a new connection. */
  isConnectionLost(error: unknown): boolean;
  /** Starts a job with the environment, the directory and the limits of this process. */
  start(client: Procman, request: JobRequest): Promise<Job>;
  /** Yields what is received, until its end or until the signal is aborted. */
  input(signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** Resolves when the system has taken the text. */
  send(text: string): Promise<void>;
  /** Tells whoever reads the log. */
  warn(message: string): void;
}
