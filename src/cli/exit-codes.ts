import { isTerminal, type Job } from "../contract/job.js";

/** The exit codes of the procman command, where it does not pass on a job's. */
export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  /** `serve`: another server has the state directory. */
  alreadyServed: 3,
  /** `serve`: a fault of procman's own (EX_SOFTWARE of sysexits.h). */
  fault: 70,
  /** `wait`: the timeout passed first (as timeout(1) does). */
  waitTimeout: 124,
  /** `run`, `wait`: how the job ended is not known. */
  noExitCode: 125,
  /** Left with Ctrl-C: 128 + SIGINT. */
  interrupted: 130,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    it worked
  1    it did not; one line on stderr says why
  2    the command line is wrong
  run and wait exit as the job did (and with 1 for a job that was cancelled or
  timed out, and yet ended with 0; also where it ended without what wait was told
  to wait for), or with
  124  wait: the timeout passed first
  125  the job ended, and its exit code is not known (orphaned)
  130  run, attach, watch, ls --watch: left with Ctrl-C; the job goes on`;

/** Returns the exit code that `run` and `wait` have for a job. */
export function jobExitCode(job: Job): number {
  if (!isTerminal(job)) return EXIT.waitTimeout;
  switch (job.status) {
    case "orphaned":
      return EXIT.noExitCode;
    case "completed":
      return job.exitCode;
    case "failed":
    case "cancelled":
      // A command that was stopped may say 0; `procman run x && y` must not go on.
      return job.exitCode || EXIT.error;
  }
}

/** An error that ends the command: its message is the one line on stderr. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: number;

  constructor(message: string, options: { exitCode?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.exitCode = options.exitCode ?? EXIT.error;
  }
}

/** By its name: the bundle of the server has a class of its own. */
export function isCliError(error: unknown): error is CliError {
  return error instanceof Error && error.name === "CliError";
}
