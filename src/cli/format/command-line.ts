import type { Job } from "../../contract/job.js";
import { printable } from "./printable.js";

const NEEDS_NO_QUOTES = /^[\p{L}\p{N}_@%+=:,./-]+$/u;

/** The command as one would type it. */
export function commandLine({ command, args }: Pick<Job, "command" | "args">): string {
  return printable([command, ...args].map(quoted).join(" "));
}

export function quoted(word: string): string {
  return NEEDS_NO_QUOTES.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
