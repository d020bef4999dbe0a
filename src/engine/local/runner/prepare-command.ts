import { constants } from "node:fs";
import { access, open, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { argumentError, fromSystemError } from "../../../contract/errors.js";
import type { JobSpec } from "../../../contract/job.js";
import { defined } from "../../../platform/defined.js";
import { codeOf, hasCode } from "../../../platform/errno.js";
import { quoted } from "../../../platform/shell-word.js";
import { checkExecLength, splitEnvironment } from "./split-environment.js";

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
  /** The argument vector to execute. */
  readonly argv: readonly string[];
  /** The runner's environment: the part of the command's that a shell passes on unchanged. */
  readonly runnerEnv: Readonly<Record<string, string>>;
  /** Shell commands that add the rest of the environment, or "". */
  readonly envScript: string;
  /** The path of script(1), which makes the job's terminal; absent without one. */
  readonly script?: string;
}

/**
 * Checks that the command can be executed where and as the job asks, and works
 * out its argument vector and environment.
 * @throws ProcmanError COMMAND_NOT_FOUND, COMMAND_NOT_EXECUTABLE, WORK_DIR_NOT_FOUND
 */
export async function prepareCommand(spec: JobSpec): Promise<LocalCommand> {
  const env = jobEnvironment(spec);
  await checkWorkDir(spec.workDir);
  const file = await findCommand(spec.command, spec.workDir, env["PATH"]);
  // Without a PATH, each program has a default of its own.
  const command = env["PATH"] === undefined ? file : spec.command;
  const argv = [command, ...spec.args];
  // They go through the runner's script, so the kernel does not check them at the spawn.
  if (spec.pty) checkExecLength("args", argv);
  const { runnerEnv, envScript } = await splitEnvironment(
    env,
    {
      clearEnv: spec.clearEnv,
      isInherited: (name) => !spec.clearEnv && !Object.hasOwn(spec.env, name),
      runnerOverrides: spec.pty ? SCRIPT_VARIABLES : {},
    },
    () => findCommand("env", "/", DEFAULT_PATH),
  );
  // env(1) would take a command with "=" in its name for a variable.
  const wrapper = envScript !== "" && command.includes("=") ? await wrapperScript() : "";
  const script = spec.pty ? await findScript() : undefined;
  return { spec, argv, runnerEnv, envScript: wrapper + envScript, ...defined({ script }) };
}

/** Puts a program before the command that does nothing but execute it: nice(1). */
async function wrapperScript(): Promise<string> {
  return `set -- ${quoted(await findCommand("nice", "/", DEFAULT_PATH))} -n 0 "$@"\n`;
}

async function findScript(): Promise<string> {
  return findCommand("script", "/", DEFAULT_PATH).catch((cause: unknown) => {
    const description = "this machine has no script(1), which makes terminals";
    throw argumentError("COMMAND_NOT_FOUND", [{ field: "pty", description }], { cause });
  });
}

function jobEnvironment(spec: JobSpec): Record<string, string> {
  const inherited = spec.clearEnv ? {} : (process.env as Record<string, string>);
  if (!spec.pty) return { ...inherited, ...spec.env };
  const others = Object.entries(inherited).filter(([name]) => !TERMINAL_VARIABLES.has(name));
  return { ...Object.fromEntries(others), TERM: DEFAULT_TERM, ...spec.env };
}

async function checkWorkDir(workDir: string): Promise<void> {
  const describe = (description: string, cause?: unknown) =>
    argumentError("WORK_DIR_NOT_FOUND", [{ field: "work_dir", description }], {
      message: `work_dir ${workDir}: ${description}`,
      cause,
    });
  const info = await stat(workDir).catch((error: unknown) => {
    throw describe("no such directory", error);
  });
  if (!info.isDirectory()) throw describe("not a directory");
  await access(workDir, constants.X_OK).catch((error: unknown) => {
    throw describe("may not be entered", error);
  });
}

/** Returns the file that a shell's `exec` would execute. */
async function findCommand(
  command: string,
  workDir: string,
  path: string | undefined,
): Promise<string> {
  const candidates = command.includes("/")
    ? [resolve(workDir, command)]
    : searchPath(path).map((dir) => join(isAbsolute(dir) ? dir : resolve(workDir, dir), command));
  let refused: string | undefined;
  for (const candidate of candidates) {
    const verdict = await executability(candidate);
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
async function executability(file: string): Promise<string> {
  try {
    const info = await stat(file);
    if (info.isDirectory()) return "is a directory";
    if (!info.isFile()) return "not a regular file";
    // To root, access(2) grants execution only where some execute bit is set.
    await access(file, constants.X_OK);
    const interpreter = await interpreterOf(file);
    if (interpreter === undefined) return "executable";
    return access(interpreter, constants.X_OK).then(
      () => "executable",
      () => `its interpreter ${interpreter} cannot be executed`,
    );
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

/** Returns the interpreter that a script's first line names by an absolute path (execve(2)). */
async function interpreterOf(file: string): Promise<string | undefined> {
  const handle = await open(file, "r").catch((error: unknown) => {
    // A program need not be readable to be executed.
    if (hasCode(error, "EACCES", "ETXTBSY")) return undefined;
    throw error;
  });
  if (!handle) return undefined;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0);
    const line = buffer.toString("latin1", 0, bytesRead).split("\n")[0] ?? "";
    return /^#![ \t]*(\/[^ \t]*)/.exec(line)?.[1];
  } finally {
    await handle.close();
  }
}
