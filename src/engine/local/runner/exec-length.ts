import { invalidArgument } from "../../../contract/errors.js";

/** MAX_ARG_STRLEN of Linux, for one argument or variable. */
const MAX_WORD_BYTES = 128 * 1024;
/** Of about 2 MiB that arguments and environment may have together. */
const MAX_TOTAL_BYTES = 1024 * 1024;
/** A word's place in the list of them. */
const POINTER_BYTES = 8;

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
