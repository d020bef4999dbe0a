import { resolve } from "node:path";
import { nanoid } from "nanoid";
import type { Limits } from "../../contract/job.js";
import type { IfRunning, StartOptions } from "../../contract/procman.js";
import { defined } from "../../platform/defined.js";
import type { Cli } from "../cli.js";
import { checkVariables, checkWorkDir } from "../command-line-bytes.js";
import { readEnvFile } from "../env-file.js";
import { CliError, EXIT } from "../exit-codes.js";
import { printable } from "../format/printable.js";
import type { KeyValues, Variables } from "./options.js";

/** The options of `run` that say what the job is to be. */
export interface StartRequestOptions {
  readonly env?: Variables;
  readonly envFile?: readonly string[];
  readonly clearEnv?: boolean;
  readonly serverEnv?: boolean;
  readonly workDir?: string;
  readonly label?: KeyValues;
  readonly name?: string;
  readonly ifRunning?: IfRunning;
  readonly requestId?: string;
  readonly mergeOutput?: boolean;
  readonly pipe?: boolean;
  readonly timeout?: number;
  readonly lease?: number;
  readonly logLimit?: number;
  readonly stdin?: boolean;
  readonly tty?: boolean;
  /** Whether the job is to run on another machine, where this shell's directory means nothing. */
  readonly isRemote?: boolean;
  readonly endRemaining?: boolean;
  readonly memory?: number;
  readonly cpus?: number;
  readonly pids?: number;
  readonly openFiles?: number;
  readonly onEnd?: string;
}

/**
 * Returns the request of a `run`: of its words, its options, and this process's environment
 * and directory.
 * @throws CliError
 */
export function startRequest(
  words: readonly string[],
  options: StartRequestOptions,
  cli: Cli,
): StartOptions {
  const [command = "", ...args] = words;
  const { requestId, mergeOutput = false, pipe, label = {}, tty, stdin } = options;
  const { name, ifRunning } = options;
  const workDir = workDirOf(options, cli);
  const given = environment(options, workDir, cli);
  checkVariables(given.env, cli.env, cli.raw);
  return {
    command,
    args,
    ...given,
    labels: label,
    mergeOutput,
    ...defined({
      workDir,
      name,
      ifRunning,
      // It tells a job that was found from one that was started.
      requestId: requestId ?? (ifRunning === "return" ? nanoid() : undefined),
      output: pipe ? ("pipe" as const) : undefined,
      timeoutMs: options.timeout,
      leaseMs: options.lease,
      logLimitBytes: options.logLimit,
      limits: limitsOf(options),
      pty: tty,
      windowSize: tty ? cli.stdout.windowSize : undefined,
      stdin,
      endRemaining: options.endRemaining,
      onEnd: options.onEnd === undefined ? undefined : shellCommand(options.onEnd),
    }),
  };
}

/** @returns undefined for the server's own */
function workDirOf({ workDir, isRemote }: StartRequestOptions, cli: Cli): string | undefined {
  if (workDir?.startsWith("/")) return workDir;
  if (!isRemote) return resolve(currentDir(cli), workDir ?? "");
  if (workDir === undefined) return undefined;
  const message = "--work-dir: give an absolute path, since the job runs on another machine";
  throw new CliError(message, { exitCode: EXIT.usage });
}

function limitsOf({ memory, cpus, pids, openFiles }: StartRequestOptions): Limits | undefined {
  const limits = defined({
    memoryMaxBytes: memory,
    cpus,
    pidsMax: pids,
    openFilesMax: openFiles,
  });
  return Object.keys(limits).length === 0 ? undefined : limits;
}

function environment(
  { env: given = {}, envFile = [], clearEnv, serverEnv, isRemote, tty }: StartRequestOptions,
  workDir: string | undefined,
  cli: Cli,
): Required<Pick<StartOptions, "env" | "clearEnv">> {
  const fromFiles = envFile.flatMap((path) => Object.entries(readEnvFile(path, cli.env)));
  const env = Object.fromEntries([...fromFiles, ...Object.entries(withValues(given, cli))]);
  if (isRemote) {
    // What draws in this terminal has to know which one it is.
    const terminal = tty && !clearEnv ? defined({ TERM: cli.env["TERM"] }) : {};
    return { env: { ...terminal, ...env }, clearEnv: clearEnv ?? false };
  }
  if (serverEnv) return { env, clearEnv: false };
  if (clearEnv) return { env, clearEnv: true };
  // Not by assignment, to which the name __proto__ would mean something else.
  const own: Record<string, string> = Object.fromEntries(
    Object.entries(cli.env).flatMap(([name, value]) =>
      value === undefined || SHELL_BOOKKEEPING.has(name) ? [] : [[name, value]],
    ),
  );
  if (own["PWD"] !== undefined && workDir !== undefined) own["PWD"] = workDir;
  return { env: { ...own, ...env }, clearEnv: true };
}

/** @throws CliError for a variable without a value that is not set here */
function withValues(given: Variables, cli: Cli): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).map(([name, value = cli.env[name]]) => {
      if (value !== undefined) return [name, value];
      const message = `--env ${printable(name)}: there is no such variable here; give NAME=VALUE`;
      throw new CliError(message, { exitCode: EXIT.usage });
    }),
  );
}

/** A command line, as a shell takes it. */
function shellCommand(line: string) {
  return { command: "/bin/sh", args: ["-c", line] };
}

/** What each shell sets anew: with it, the same request would differ from shell to shell. */
const SHELL_BOOKKEEPING = new Set(["_", "SHLVL", "OLDPWD"]);

function currentDir(cli: Cli): string {
  let workDir: string;
  try {
    workDir = cli.workDir();
  } catch (cause) {
    throw new CliError("the current directory is gone; give --work-dir", { cause });
  }
  checkWorkDir(workDir, cli.raw);
  return workDir;
}
