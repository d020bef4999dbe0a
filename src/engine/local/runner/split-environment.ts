import { invalidArgument } from "../../../contract/errors.js";
import { quoted } from "../../../platform/shell-word.js";

/*
 * The runner is a shell, and shells do not pass on every variable unchanged. They drop
 * names that they cannot assign ("a.b"), set some variables themselves, and use some
 * names that a job may use too. Other variables would change the runner (LD_PRELOAD,
 * BASH_ENV). All of these are withheld from the runner, and env(1) sets them right
 * before the command: one more exec, but no more process.
 */

/** Linux's limit for one argument or variable, MAX_ARG_STRLEN. */
const MAX_WORD_BYTES = 128 * 1024;
/** Half of the about 2 MiB that arguments and environment may have together. */
const MAX_TOTAL_BYTES = 1024 * 1024;
/** Each word also takes a pointer. */
const POINTER_BYTES = 8;

/** The names of runner.sh's own variables. */
const RUNNER_NAME = /^procman_/;

/** Names that some sh (dash, bash, busybox) reads or sets. */
const SHELL_NAME = new RegExp(
  String.raw`^(?:IFS|OPTIND|OPTARG|OPTERR|PPID|PWD|OLDPWD|SHLVL|_|ENV|PS1|PS2|PS4|LINENO|RANDOM|SECONDS|` +
    String.raw`HOSTNAME|HOSTTYPE|MACHTYPE|OSTYPE|UID|EUID|GROUPS|SHELLOPTS|FUNCNAME|DIRSTACK|POSIXLY_CORRECT)$`,
);
/** Names that would change how the runner executes. */
const UNSAFE_PREFIX = /^(?:BASH|LD_|DYLD_)/;
/** Names that a shell can assign. */
const ASSIGNABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Variables that shells set where they are unset, and pass on. */
const SET_BY_SHELLS = ["PWD", "OLDPWD", "SHLVL", "_", "PATH"];

export interface SplitEnvironment {
  /** The runner's environment, which the command inherits. */
  readonly runnerEnv: Record<string, string>;
  /**
   * Puts env(1) with the other variables before the command; empty where there are
   * none. The runner sources it right before it executes the command. As an argument
   * of the runner's, every user could see it for as long as the job runs.
   */
  readonly envScript: string;
}

export interface SplitOptions {
  readonly clearEnv: boolean;
  /** Whether a variable comes from the server's environment. Shells may change those as usual. */
  readonly isInherited: (name: string) => boolean;
  /** Values that the runner needs, in place of the command's own. */
  readonly runnerOverrides: Readonly<Record<string, string>>;
}

/**
 * Splits a command's environment into what its runner can pass on and what env(1) sets.
 * @param findEnv finds env(1), where it is needed
 */
export async function splitEnvironment(
  env: Readonly<Record<string, string>>,
  { clearEnv, isInherited, runnerOverrides }: SplitOptions,
  findEnv: () => Promise<string>,
): Promise<SplitEnvironment> {
  const isWithheld = (name: string) =>
    !ASSIGNABLE_NAME.test(name) ||
    RUNNER_NAME.test(name) ||
    Object.hasOwn(runnerOverrides, name) ||
    (!isInherited(name) && (SHELL_NAME.test(name) || UNSAFE_PREFIX.test(name)));
  const variables = Object.entries(env);
  const passedOn = variables.filter(([name]) => !isWithheld(name));
  const withheld = variables.filter(([name]) => isWithheld(name));
  const runnerEnv = { ...Object.fromEntries(passedOn), ...runnerOverrides };
  const added = [...(clearEnv ? SET_BY_SHELLS : []), ...Object.keys(runnerOverrides)];
  const unset = added.filter((name) => !(name in env));
  if (withheld.length + unset.length === 0) return { runnerEnv, envScript: "" };
  checkExecLength(
    "env",
    variables.map(([name, value]) => `${name}=${value}`),
  );
  const words = [
    ...unset.flatMap((name) => ["-u", name]),
    ...withheld.map(([name, value]) => `${name}=${value}`),
  ];
  const quotedWords = [await findEnv(), ...words].map(quoted);
  return { runnerEnv, envScript: `set -- ${quotedWords.join(" ")} "$@"\n` };
}

/**
 * Refuses words that are too long for the kernel. Words in the runner's script are
 * passed to the kernel only when the command is executed, too late to fail a Start.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function checkExecLength(field: "args" | "env", words: readonly string[]): void {
  const lengths = words.map((word) => Buffer.byteLength(word) + "\0".length);
  const total = lengths.reduce((sum, length) => sum + length + POINTER_BYTES, 0);
  if (total <= MAX_TOTAL_BYTES && lengths.every((length) => length <= MAX_WORD_BYTES)) return;
  throw invalidArgument(field, "arguments and environment are too long for the kernel");
}
