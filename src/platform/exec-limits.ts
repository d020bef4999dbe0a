import { readFileSync } from "node:fs";

/** Linux's limit for one argument or variable with its NUL, MAX_ARG_STRLEN. Others have none below the total. */
export const MAX_EXEC_WORD_BYTES = 128 * 1024;

/** Linux takes no more, whatever the stack's limit: three quarters of 8 MiB. */
const MAX_TOTAL_BYTES = 6 * 1024 * 1024;
/** Linux takes so much in any case. */
const MIN_TOTAL_BYTES = 128 * 1024;
/** ARG_MAX of macOS. */
const MAX_TOTAL_BYTES_DARWIN = 1024 * 1024;

/**
 * Returns how many bytes arguments and environment may have together for execve(2), each
 * with its NUL and its pointer. On Linux that is a quarter of the stack's soft limit, 2
 * MiB mostly, which this process's children inherit.
 */
export function maxExecBytes(platform = process.platform, limits = ownLimits): number {
  if (platform !== "linux") return MAX_TOTAL_BYTES_DARWIN;
  const stack = /^Max stack size +(\d+|unlimited)/m.exec(limits())?.[1];
  const stackBytes = stack === "unlimited" ? Number.POSITIVE_INFINITY : Number(stack ?? 0);
  return Math.max(MIN_TOTAL_BYTES, Math.min(MAX_TOTAL_BYTES, Math.floor(stackBytes / 4)));
}

function ownLimits(): string {
  try {
    return readFileSync("/proc/self/limits", "latin1");
  } catch {
    // Without /proc: the usual limit.
    return "Max stack size 8388608";
  }
}
