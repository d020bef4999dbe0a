import { accessSync, closeSync, constants, openSync, readSync, statSync } from "node:fs";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { argumentError, fromSystemError } from "../../../contract/errors.js";
import type { JobSpec } from "../../../contract/job.js";
import { defined } from "../../../platform/defined.js";
import { codeOf, hasCode } from "../../../platform/errno.js";
import { quoted } from "../../../platform/shell-word.js";
import { addedNice, checkAttributes, limitsScript } from "./process-attributes.js";
import {
  checkExecLength,
  checkWordLengths,
  mayBeTooLong,
  type SplitEnvironment,
  splitEnvironment,
  type SplitOptions,
} from "./split-environment.js";

/*
 * What is looked at here is looked at by synchronous calls: a path search is some ten of
 * them, each takes microseconds, and another thread would take a hundred for each. A
 * file system that does not answer would hold up the start of the process as well.
 */

/** Where execvp(3) searches when there is no PATH. */
const DEFAULT_PATH = "/usr/local/bin:/bin:/usr/bin";

const DEFAULT_TERM = "xterm-256color";

/** Variables that describe the server's own terminal, so not a job's. */
const TERMINAL_VARIABLES = new Set(
  "COLUMNS LINES TERMCAP TMUX TMUX_PANE STY WINDOW WINDOWID SSH_TTY GPG_TTY".split(" "),
);

/** script(1) runs its words with SHELL, and some versions set SCRIPT to their output file. */
const SCRIPT_VARIABLES = { SHELL: "/bin/sh", SCRIPT: "" };

/** A checked command, with what its runner needs to execute it. */
export interface LocalCommand {
  readonly spec: JobSpec;
  /** The file to execute: a path, from the command's directory on. */
  readonly file: string;
  /** The argument vector to execute. */
  readonly argv: readonly string[];
  /** Its whole environment, as "NAME=value". */
  readonly envWords: readonly string[];
  /** Whether its PWD, which names the directory that it runs in, is not what the job asks for. */
  readonly inheritsPwd: boolean;
  /** The runner's environment: the part of the command's that a shell passes on unchanged. */
  readonly runnerEnv: Readonly<Record<string, string>>;
  /** Shell commands that have the rest of the environment, and the niceness, added; or "". */
  readonly envScript: string;
  /** Shell commands that set the soft limits, or "". */
  readonly limitsScript: string;
  /**
   * Whether the kernel may refuse so many arguments and variables. It can do so before
   * anything runs only where they are the runner's own.
   */
  readonly isLong: boolean;
  /** The path of script(1), which makes the job's terminal; absent without one. */
  readonly script?: string;
}

/**
 * Checks that the command can be executed where and as the job asks, and works
 * out its argument vector and environment.
 * @throws ProcmanError COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE, WORK_DIR_NOT_FOUND
 */
export function prepareCommand(spec: JobSpec): LocalCommand {
  checkAttributes(spec);
  const { env, words, runnerEnv, envScript } = jobEnvironment(spec);
  checkWorkDir(spec.workDir);
  const file = findCommand(spec.command, spec.workDir, env["PATH"]);
  // Without a PATH, each program has a default of its own.
  const command = env["PATH"] === undefined ? file : spec.command;
  const argv = [command, ...spec.args];
  // They go through the runner's script, so the kernel does not check them at the spawn.
  checkWordLengths("args", argv);
  checkWordLengths("env", words);
  if (spec.pty) checkExecLength("args", [...argv, ...words]);
  const isLong = !spec.pty && mayBeTooLong(argv, words);
  const added = addedNice(spec);
  // env(1) would take a command with "=" in its name for a variable.
  const isWrapped = added !== 0 || (envScript !== "" && command.includes("="));
  const script = spec.pty ? findScript() : undefined;
  return {
    spec,
    file: command.includes("/") ? command : file,
    argv,
    envWords: words,
    inheritsPwd: !spec.clearEnv && !Object.hasOwn(spec.env, "PWD"),
    runnerEnv,
    envScript: (isWrapped ? niceScript(added) : "") + envScript,
    limitsScript: limitsScript(spec),
    isLong,
    ...defined({ script }),
  };
}

/** Puts nice(1) before the command, which executes it: no more process. */
function niceScript(added: number): string {
  return `set -- ${quoted(findCommand("nice", "/", DEFAULT_PATH))} -n ${added} "$@"\n`;
}

function findScript(): string {
  try {
    return findCommand("script", "/", DEFAULT_PATH);
  } catch (cause) {
    const description = "this machine has no script(1), which makes terminals";
    throw argumentError("COMMAND_NOT_FOUND", [{ field: "pty", description }], { cause });
  }
}

/** A command's environment, and how its runner gives it that. */
interface JobEnvironment extends SplitEnvironment {
  readonly env: Readonly<Record<string, string>>;
  /** The same as "NAME=value". */
  readonly words: readonly string[];
}

/** The environment of the runner of a job that adds nothing to this process's own. */
export function inheritedEnv(): Readonly<Record<string, string>> {
  return inherited().runnerEnv;
}

function jobEnvironment(spec: JobSpec): JobEnvironment {
  const { pty, clearEnv, env: own } = spec;
  if (!pty && !clearEnv && Object.keys(own).length === 0) return inherited();
  const options = {
    clearEnv,
    isInherited: (name: string) => !clearEnv && !Object.hasOwn(own, name),
    runnerOverrides: pty ? SCRIPT_VARIABLES : {},
  };
  const before = clearEnv ? {} : (process.env as Record<string, string>);
  if (!pty) return withWords({ ...before, ...own }, options);
  const others = Object.entries(before).filter(([name]) => !TERMINAL_VARIABLES.has(name));
  return withWords({ ...Object.fromEntries(others), TERM: DEFAULT_TERM, ...own }, options);
}

let lastInherited: JobEnvironment | undefined;

/** This process's own, which is split once: hardly anybody changes it. */
function inherited(): JobEnvironment {
  const env = process.env as Readonly<Record<string, string>>;
  if (!lastInherited || !isSame(env, lastInherited.env)) {
    const options = { clearEnv: false, isInherited: () => true, runnerOverrides: {} };
    lastInherited = withWords({ ...env }, options);
  }
  return lastInherited;
}

function isSame(a: Readonly<Record<string, string>>, b: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}

function withWords(env: Readonly<Record<string, string>>, options: SplitOptions): JobEnvironment {
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const findEnv = () => findCommand("env", "/", DEFAULT_PATH);
  return { env, words, ...splitEnvironment(env, options, findEnv) };
}

function checkWorkDir(workDir: string): void {
  const refuse = (description: string, cause?: unknown): never => {
    throw argumentError("WORK_DIR_NOT_FOUND", [{ field: "work_dir", description }], {
      message: `work_dir ${workDir}: ${description}`,
      cause,
    });
  };
  let isDirectory = false;
  try {
    isDirectory = statSync(workDir).isDirectory();
  } catch (error) {
    refuse("no such directory", error);
  }
  if (!isDirectory) refuse("not a directory");
  try {
    accessSync(workDir, constants.X_OK);
  } catch (error) {
    refuse("may not be entered", error);
  }
}

/** Returns the file that a shell's `exec` would execute. */
function findCommand(command: string, workDir: string, path: string | undefined): string {
  const candidates = command.includes("/")
    ? [resolve(workDir, command)]
    : searchPath(path).map((dir) => join(isAbsolute(dir) ? dir : resolve(workDir, dir), command));
  let refused: string | undefined;
  for (const candidate of candidates) {
    const verdict = executability(candidate);
    if (verdict === "executable") return candidate;
    if (verdict !== "missing") refused ??= `${candidate}: ${verdict}`;
  }
  const blame = (description: string) => [{ field: "command", description }];
  if (refused !== undefined) {
    const message = `command ${refused}`;
    throw argumentError("COMMAND_NOT_EXECUTABLE", blame(refused), { message });
  }
  const where = command.includes("/") ? "no such file" : `not on the job's PATH`;
  const message = `command ${JSON.stringify(command)}: ${where}`;
  throw argumentError("COMMAND_NOT_FOUND", blame(where), { message });
}

function searchPath(path: string | undefined): string[] {
  // An empty entry is the current directory, by POSIX.
  return (path ?? DEFAULT_PATH).split(delimiter).map((dir) => (dir === "" ? "." : dir));
}

/** Returns "executable", "missing", or why the file cannot be executed. */
function executability(file: string): string {
  try {
    // No error is made where it is missing, as it is in most directories of a PATH.
    const info = statSync(file, { throwIfNoEntry: false });
    if (!info) return "missing";
    if (info.isDirectory()) return "is a directory";
    if (!info.isFile()) return "not a regular file";
    // To root, access(2) grants execution only where some execute bit is set.
    accessSync(file, constants.X_OK);
    const interpreter = interpreterOf(file);
    if (interpreter === undefined || isExecutable(interpreter)) return "executable";
    return `its interpreter ${interpreter} cannot be executed`;
  } catch (error) {
    switch (codeOf(error)) {
      case "EACCES":
        return "permission denied";
      case "ENOENT":
      case "ENOTDIR":
      case "ELOOP":
      case "ENAMETOOLONG":
        return "missing";
      // Whether it exists cannot be known now.
      default:
        throw fromSystemError(error, `access ${file}`);
    }
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Returns the interpreter that a script's first line names by an absolute path (execve(2)). */
function interpreterOf(file: string): string | undefined {
  let fd: number;
  try {
    fd = openSync(file, "r");
  } catch (error) {
    // A program need not be readable to be executed.
    if (hasCode(error, "EACCES", "ETXTBSY")) return undefined;
    throw error;
  }
  try {
    const head = Buffer.alloc(256);
    const line = head.toString("latin1", 0, readSync(fd, head)).split("\n")[0] ?? "";
    return /^#![ \t]*(\/[^ \t]*)/.exec(line)?.[1];
  } finally {
    closeSync(fd);
  }
}
