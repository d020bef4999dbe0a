import { constants } from "node:fs";
import { access, open, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join, resolve } from "node:path";
import { argumentError, fromSystemError } from "../../../contract/errors.js";
import type { JobSpec } from "../../../contract/job.js";
import { codeOf, hasCode } from "../../../platform/errno.js";
import { quoted } from "../../../platform/shell-word.js";
import { checkExecLength, splitEnvironment } from "./split-environment.js";

/** Where execvp looks when there is no PATH. */
const DEFAULT_PATH = "/usr/local/bin:/bin:/usr/bin";

const DEFAULT_TERM = "xterm-256color";

/** What may be said of the server's own terminal, and is not so of the job's. */
const OF_A_TERMINAL = new Set(
  "COLUMNS LINES TERMCAP TMUX TMUX_PANE STY WINDOW WINDOWID SSH_TTY GPG_TTY".split(" "),
);

/** script(1) runs what it is given by this one, and some versions say where they write in SCRIPT. */
const SCRIPT_VARIABLES = { SHELL: "/bin/sh", SCRIPT: "" };

/** A command that was checked, and what its runner needs to execute it. */
export interface LocalCommand {
  readonly spec: JobSpec;
  /** The argument vector to execute. */
  readonly argv: readonly string[];
  /** The environment, as far as a shell hands it on as it is. */
  readonly env: Readonly<Record<string, string>>;
  /** Shell commands that add the rest of the environment; empty for none. */
  readonly envScript: string;
  /** The script(1) that makes the job's terminal, where it has one. */
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
  // Without a PATH, everybody looks somewhere else.
  const command = env["PATH"] === undefined ? file : spec.command;
  const argv = [command, ...spec.args];
  // They come by way of env's script, past the kernel's own look at them.
  if (spec.pty) checkExecLength("args", argv);
  const { own, script } = splitEnvironment(
    env,
    {
      clearEnv: spec.clearEnv,
      isInherited: (name) => !spec.clearEnv && !Object.hasOwn(spec.env, name),
      changed: spec.pty ? SCRIPT_VARIABLES : {},
    },
    () => findCommand("env", "/", DEFAULT_PATH),
  );
  const envScript = await script;
  // env(1) would take such a command for a variable.
  const between = envScript !== "" && command.includes("=") ? await nice() : "";
  return { spec, argv, env: own, envScript: between + envScript, ...(await terminal(spec)) };
}

/** Puts a program before the command that does nothing but execute it. */
async function nice(): Promise<string> {
  return `set -- ${quoted(await findCommand("nice", "/", DEFAULT_PATH))} -n 0 "$@"\n`;
}

/** What makes the job's terminal, where it has one. */
async function terminal({ pty }: JobSpec): Promise<Pick<LocalCommand, "script">> {
  if (!pty) return {};
  const script = await findCommand("script", "/", DEFAULT_PATH).catch((cause: unknown) => {
    const description = "this machine has no script(1), which makes terminals";
    throw argumentError("COMMAND_NOT_FOUND", [{ field: "pty", description }], { cause });
  });
  return { script };
}

function jobEnvironment(spec: JobSpec): Record<string, string> {
  const inherited = spec.clearEnv ? {} : (process.env as Record<string, string>);
  if (!spec.pty) return { ...inherited, ...spec.env };
  const others = Object.entries(inherited).filter(([name]) => !OF_A_TERMINAL.has(name));
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

/** The file that will be executed, as the shell's `exec` finds it. */
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

/** "executable", "missing", or why not. */
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
      // Whether it is there cannot be told now.
      default:
        throw fromSystemError(error, `look at ${file}`);
    }
  }
}

/** Where a script's first line names one, by an absolute path: execve(2). */
async function interpreterOf(file: string): Promise<string | undefined> {
  const handle = await open(file, "r").catch((error: unknown) => {
    // To execute it, it need not be readable.
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
