import { invalidArgument } from "../../../contract/errors.js";
import { quoted } from "../../../platform/shell-word.js";

/*
 * The runner is a shell, and a shell does not hand every variable on as it got
 * it: it drops those whose names it could not assign ("a.b"), sets some itself,
 * and has some of its own by names that a job may use too. And some would change
 * the runner (LD_PRELOAD, BASH_ENV). Those are kept from it, and env(1) sets them
 * at the last moment: one more exec, no more process.
 */

/** MAX_ARG_STRLEN of Linux, for one argument or variable. */
const MAX_WORD_BYTES = 128 * 1024;
/** Of about 2 MiB that arguments and environment may have together. */
const MAX_TOTAL_BYTES = 1024 * 1024;
/** A word's place in the list of them. */
const POINTER_BYTES = 8;

/** What runner.sh names its own variables. */
const RUNNERS = /^procman_/;

/** What some sh takes a value from, or gives one: dash, bash, busybox. */
const SHELLS = new RegExp(
  String.raw`^(?:IFS|OPTIND|OPTARG|OPTERR|PPID|PWD|OLDPWD|SHLVL|_|ENV|PS1|PS2|PS4|LINENO|RANDOM|SECONDS|` +
    String.raw`HOSTNAME|HOSTTYPE|MACHTYPE|OSTYPE|UID|EUID|GROUPS|SHELLOPTS|FUNCNAME|DIRSTACK|POSIXLY_CORRECT)$`,
);
const PREFIXES = /^(?:BASH|LD_|DYLD_)/;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** What shells set where it is not set, and hand on. */
const MADE = ["PWD", "OLDPWD", "SHLVL", "_", "PATH"];

export interface SplitEnvironment {
  /** What the runner gets, and hands on. */
  readonly own: Record<string, string>;
  /**
   * For the runner to read right before it executes its words: puts env(1) before
   * them. Not an argument of the runner's, which everybody can see as long as the
   * job lives. Empty where nothing is to be done.
   */
  readonly script: Promise<string>;
}

export interface SplitOptions {
  readonly clearEnv: boolean;
  /** Whether a variable is the server's own: shells may do with those what they do anywhere. */
  readonly isInherited: (name: string) => boolean;
  /** Variables that the runner needs to have these values, and the command its own. */
  readonly changed: Readonly<Record<string, string>>;
}

/** @param findEnv finds env(1), where it is needed */
export function splitEnvironment(
  env: Readonly<Record<string, string>>,
  { clearEnv, isInherited, changed }: SplitOptions,
  findEnv: () => Promise<string>,
): SplitEnvironment {
  const isKept = (name: string) =>
    !NAME.test(name) ||
    RUNNERS.test(name) ||
    Object.hasOwn(changed, name) ||
    (!isInherited(name) && (SHELLS.test(name) || PREFIXES.test(name)));
  const variables = Object.entries(env);
  const own = { ...Object.fromEntries(variables.filter(([name]) => !isKept(name))), ...changed };
  const kept = variables.filter(([name]) => isKept(name));
  const made = [...(clearEnv ? MADE : []), ...Object.keys(changed)];
  const unset = made.filter((name) => !(name in env));
  if (kept.length === 0 && unset.length === 0) return { own, script: Promise.resolve("") };
  checkExecLength(
    "env",
    variables.map(([name, value]) => `${name}=${value}`),
  );
  const words = [
    ...unset.flatMap((name) => ["-u", name]),
    ...kept.map(([name, value]) => `${name}=${value}`),
  ];
  const script = findEnv().then(
    (program) => `set -- ${[program, ...words].map(quoted).join(" ")} "$@"\n`,
  );
  return { own, script };
}

/**
 * Refuses what the kernel would refuse when the command is executed: too late to
 * tell who starts it, where that is not done with the words the runner was given.
 * @throws ProcmanError INVALID_ARGUMENT
 */
export function checkExecLength(field: "args" | "env", words: readonly string[]): void {
  const lengths = words.map((word) => Buffer.byteLength(word) + "\0".length);
  const total = lengths.reduce((sum, length) => sum + length + POINTER_BYTES, 0);
  if (total <= MAX_TOTAL_BYTES && lengths.every((length) => length <= MAX_WORD_BYTES)) return;
  throw invalidArgument(field, "arguments and environment are too long for the kernel");
}
