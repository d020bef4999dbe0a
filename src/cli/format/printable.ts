import type { Job } from "../../contract/job.js";
import { shellWord } from "../../platform/shell-word.js";
import { UNPRINTABLE } from "../../platform/unprintable.js";

/**
 * Escapes line breaks and whatever else a terminal would act on. For text of others,
 * such as commands and labels, which come from whoever started the job.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (char) => {
    switch (char) {
      case "\n":
        return "\\n";
      case "\t":
        return "\\t";
      case "\r":
        return "\\r";
      default:
        return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
    }
  });
}

/** Returns the command as one would type it, with a mark where not all of it is known. */
export function commandLine(job: Pick<Job, "command" | "args" | "truncatedFields">): string {
  const { command, args, truncatedFields } = job;
  const words = [command, ...args].map(shellWord);
  if (truncatedFields?.includes("args")) words.push("…");
  return printable(words.join(" "));
}
