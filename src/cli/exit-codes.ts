import { ProcmanError } from "../contract/errors.js";
import { hasTimedOut, isTerminal, type Job } from "../contract/job.js";

/** The exit codes of the procman command, where it does not pass on a job's. */
export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  /** `status`: no server runs (as systemctl has it). */
  noServer: 3,
  /** `serve`: another server has the state directory. */
  alreadyServed: 3,
  /** `serve`: a fault of procman's own (EX_SOFTWARE of sysexits.h). */
  fault: 70,
  /** `run`, `wait`: how the job ended is not known. */
  orphaned: 123,
  /** `run`: the job's time limit; `wait`, `run --for`: the time passed first (as timeout(1) does). */
  timeout: 124,
  /** `run`, `wait`: procman itself failed, and no exit code is the job's (as docker and env do). */
  procmanFailed: 125,
  notExecutable: 126,
  notFound: 127,
  /** Left with Ctrl-C: 128 + SIGINT. */
  interrupted: 130,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    it worked
  1    it failed; one line on stderr says why
  2    the command line is wrong
  3    status: no server runs; serve: another server has the state directory
  130  left with Ctrl-C; the job goes on

Exit codes of run and wait, which pass on the job's:
  the job's own; 1 where the job was cancelled or timed out and yet exited with 0
  123  how the job ended is not known (it is orphaned)
  124  run: --timeout ended the job, or --for passed first and the job goes on;
       wait: --timeout passed first, the job goes on
  125  procman itself failed, or the command line is wrong
  126  run: the command is not executable
  127  run: the command was not found
  130  left with Ctrl-C; the job goes on`;

/** Returns the exit code that `wait` has for a job. */
export function jobExitCode(job: Job): number {
  if (!isTerminal(job)) return EXIT.timeout;
  switch (job.status) {
    case "orphaned":
      return EXIT.orphaned;
    case "completed":
      return job.exitCode;
    case "failed":
    case "cancelled":
      // A command that was stopped may say 0; `procman run x && y` must not go on.
      return job.exitCode || EXIT.error;
  }
}

/**
 * Returns the exit code that `run` has for a job. `wait` does not say 124 for the job's
 * time limit, since that is how it says that the job goes on.
 */
export function runExitCode(job: Job): number {
  return hasTimedOut(job) ? EXIT.timeout : jobExitCode(job);
}

/** The commands that pass on a job's exit code, so that their own failures need others. */
const PASS_ON_EXIT_CODE: readonly string[] = ["run", "wait"];

/** Returns the exit code of a command that has failed. */
export function failureExitCode(failure: unknown, commandName: string | undefined): number {
  if (commandName === undefined || !PASS_ON_EXIT_CODE.includes(commandName)) {
    return isCliError(failure) ? failure.exitCode : EXIT.error;
  }
  if (!(failure instanceof ProcmanError)) return EXIT.procmanFailed;
  // What makes a job's terminal is no command of the caller's.
  if (failure.violations.some(({ field }) => field === "pty")) return EXIT.procmanFailed;
  switch (failure.reason) {
    case "COMMAND_NOT_FOUND":
      return EXIT.notFound;
    case "COMMAND_NOT_EXECUTABLE":
      return EXIT.notExecutable;
    default:
      return EXIT.procmanFailed;
  }
}

/** Returns the exit code for a command line that is wrong. */
export function usageExitCode(commandName: string | undefined): number {
  return failureExitCode(new CliError("", { exitCode: EXIT.usage }), commandName);
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
