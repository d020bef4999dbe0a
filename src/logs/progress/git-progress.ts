import type { Recogniser } from "./recogniser.js";

const COUNTED =
  /(?:^|[ :])[A-Z][a-z]{1,20}((?: [a-z]{1,20}){0,3}): {1,8}(\d{1,3})% \((\d{1,15})\/(\d{1,15})\)/;

/**
 * git's, and what looks like it: `Receiving objects:  45% (450/1000), 1.2 MiB | 3.4 MiB/s`.
 * Its rate is in bytes while it counts objects, so it is not a rate of these.
 */
export const gitProgress: Recogniser = (line) => {
  const match = line.includes("% (") ? COUNTED.exec(line) : null;
  if (match === null) return undefined;
  const [, words = "", percent, current, total] = match;
  if (Number(current) > Number(total) || Number(percent) > 100) return undefined;
  return {
    percent: Number(percent),
    current: Number(current),
    total: Number(total),
    unit: words.split(" ").at(-1) ?? "",
  };
};
