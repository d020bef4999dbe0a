import type { WrittenBetween } from "../../contract/procman.js";

/** A range that is no longer than this is told by its end alone. */
const MAX_SHORT_MS = 2500;

/** Returns when output was written: one time, or the first and the last that are possible. */
export function writtenTime({ from, to }: WrittenBetween): string {
  const isShort = to.getTime() - from.getTime() <= MAX_SHORT_MS;
  return isShort ? to.toISOString() : `${from.toISOString()}/${to.toISOString()}`;
}
