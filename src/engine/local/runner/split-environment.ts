import { invalidArgument, type ProcmanError } from "../../../contract/errors.js";
import { MAX_EXEC_WORD_BYTES, maxExecBytes } from "../../../platform/exec-limits.js";
import { quoted } from "../../../platform/shell-word.js";

/*
 * The runner is a shell, and shells do not pass on every variable unchanged. They drop
 * names that they cannot assign ("a.b"), set some variables themselves, and use some
 * names that a job may use too. Other variables would change the runner (LD_PRELOAD,
 * BASH_ENV). All of these are withheld from the runner, and env(1) sets them right
 * before the command: one more exec, but no more process.
 */

const MAX_WORD_BYTES = MAX_EXEC_WORD_BYTES;
/** What env(1) and an interpreter may add to a command's words. */
const ADDED_BYTES = 8 * 1024;
const MAX_TOTAL_BYTES = maxExecBytes() - ADDED_BYTES;
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
export function splitEnvironment(
  env: Readonly<Record<string, string>>,
  { clearEnv, isInherited, runnerOverrides }: SplitOptions,
  findEnv: () => string,
): SplitEnvironment {
  const isWithheld = (name: string) =>
    !ASSIGNABLE_NAME.test(name) ||
    RUNNER_NAME.test(name) ||
    Object.hasOwn(runnerOverrides, name) ||
    (!isInherited(name) && isShellName(name));
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
  const quotedWords = [findEnv(), ...words].map(quoted);
  return { runnerEnv, envScript: `set -- ${quotedWords.join(" ")} "$@"\n` };
}

/** Whether a shell reads or sets a variable, or is changed by it. */
export function isShellName(name: string): boolean {
  return SHELL_NAME.test(name) || UNSAFE_PREFIX.test(name);
}

/**
 * Refuses words that are too long for the kernel. Words in the runner's script are
 * passed to the kernel only when the command is executed, too late to fail a Start.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function checkExecLength(field: "args" | "env", words: readonly string[]): void {
  checkWordLengths(field, words);
  if (totalLength(words) > MAX_TOTAL_BYTES) throw tooLong(field);
}

/** Refuses single words that are too long for the kernel. @throws ProcmanError INVALID_ARGUMENT */
export function checkWordLengths(field: "args" | "env", words: readonly string[]): void {
  // A character has at most 3 bytes in UTF-8, or 4 for two.
  const isTooLong = (word: string) =>
    word.length * 3 >= MAX_WORD_BYTES && Buffer.byteLength(word) >= MAX_WORD_BYTES;
  if (words.some(isTooLong)) throw tooLong(field);
}

/** Whether all words of a command may be too many for the kernel, which alone can say so. */
export function mayBeTooLong(...words: readonly (readonly string[])[]): boolean {
  const total = words.map(totalLength).reduce((sum, length) => sum + length, 0);
  return total > MAX_TOTAL_BYTES;
}

function totalLength(words: readonly string[]): number {
  const ofWord = (word: string) => Buffer.byteLength(word) + "\0".length + POINTER_BYTES;
  return words.reduce((sum, word) => sum + ofWord(word), 0);
}

function tooLong(field: "args" | "env"): ProcmanError {
  return invalidArgument(field, "arguments and environment are too long for the kernel");
}
