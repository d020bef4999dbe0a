import { isUtf8 } from "node:buffer";
import { readFileSync, readlinkSync } from "node:fs";
import { CliError, EXIT } from "./exit-codes.js";
import { printable } from "./format/printable.js";

/*
 * Node decodes arguments, variables and the current directory as UTF-8, and puts U+FFFD
 * in the place of bytes that are none. What was given to a command would not be what it
 * gets: a file that `rm` is to delete would be another one. Procman's API has strings, so
 * such words are refused. The true bytes are in /proc; where there is none, U+FFFD itself
 * is refused too.
 */

const REPLACEMENT = "\uFFFD";

/** The bytes that this process was started with; undefined where they cannot be known. */
export interface RawProcess {
  /** All words, those of node itself too. */
  words(): readonly Buffer[] | undefined;
  /** `NAME=value` each. */
  variables(): readonly Buffer[] | undefined;
  workDir(): Buffer | undefined;
}

/** @throws CliError where an argument is not as it was given */
export function checkArguments(args: readonly string[], raw: RawProcess): void {
  if (!args.some((arg) => arg.includes(REPLACEMENT))) return;
  const words = raw.words()?.slice(-args.length);
  const index = args.findIndex((arg, index) => isChanged(arg, words?.[index]));
  if (index === -1) return;
  const shown = shownBytes(args[index] ?? "", words?.[index]);
  throw refusal(`argument ${index + 1} is not UTF-8: ${shown}`);
}

/** @throws CliError where a variable that a job is to get is not as it was given */
export function checkVariables(
  env: Readonly<Record<string, string>>,
  given: NodeJS.ProcessEnv,
  raw: RawProcess,
): void {
  const suspects = Object.entries(env).filter(
    ([name, value]) => `${name}${value}`.includes(REPLACEMENT) && given[name] === value,
  );
  if (suspects.length === 0) return;
  const variables = raw.variables();
  for (const [name, value] of suspects) {
    const word = `${name}=${value}`;
    if (variables?.some((bytes) => isUtf8(bytes) && bytes.toString() === word)) continue;
    throw refusal(
      `the environment variable ${printable(name)} is not UTF-8; unset it, or see --server-env and --clear-env`,
    );
  }
}

/** @throws CliError where the name of the current directory is not as it is told */
export function checkWorkDir(workDir: string, raw: RawProcess): void {
  if (!workDir.includes(REPLACEMENT) || !isChanged(workDir, raw.workDir())) return;
  throw refusal(`the current directory's name is not UTF-8: ${printable(workDir)}`);
}

/** What Linux tells of this process. */
export const thisProcessRaw: RawProcess = {
  words: () => strings("/proc/self/cmdline"),
  variables: () => strings("/proc/self/environ"),
  workDir: () => {
    try {
      return readlinkSync("/proc/self/cwd", { encoding: "buffer" });
    } catch {
      return undefined;
    }
  },
};

function strings(path: string): Buffer[] | undefined {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return undefined;
  }
  const found: Buffer[] = [];
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(0, from);
    found.push(bytes.subarray(from, end === -1 ? bytes.length : end));
    from = end === -1 ? bytes.length : end + 1;
  }
  return found;
}

function isChanged(text: string, bytes: Buffer | undefined): boolean {
  return text.includes(REPLACEMENT) && !(bytes && isUtf8(bytes));
}

/** Returns the word as one would type it in bash: `$'caf\xe9'`. */
function shownBytes(text: string, bytes: Buffer | undefined): string {
  if (!bytes) return printable(text);
  const escaped = Array.from(bytes, (byte) => {
    const char = String.fromCharCode(byte);
    const isPlain = /[\x20-\x7e]/.test(char) && char !== "'" && char !== "\\";
    return isPlain ? char : `\\x${byte.toString(16).padStart(2, "0")}`;
  });
  return `$'${escaped.join("")}'`;
}

function refusal(what: string): CliError {
  return new CliError(what, { exitCode: EXIT.usage });
}
