import {
  BYTE_UNIT,
  findByteRate,
  findEtaMs,
  NUMBER,
  NUMBER_BEGINS,
  parseBytes,
} from "./quantity.js";
import type { Recogniser } from "./recogniser.js";
import { isStatistic } from "./statistic.js";

const PAIR = new RegExp(
  String.raw`${NUMBER_BEGINS}${NUMBER} ?(?:${BYTE_UNIT}(?: ?/ ?| of )|/)${NUMBER} ?${BYTE_UNIT}(?![\w/])`,
);

/** Bytes done of bytes in all: `12.3 MiB / 80 MiB`, `12.3MB/80MB`, `12.3/80.0 MB`. */
export const byteProgress: Recogniser = (line) => {
  const match = PAIR.exec(line);
  if (match === null || isStatistic(line, match.index, match.index + match[0].length)) {
    return undefined;
  }
  const [, done = "", doneUnit, all = "", allUnit = ""] = match;
  const current = parseBytes(done, doneUnit ?? allUnit);
  const total = parseBytes(all, allUnit);
  if (total === 0 || current > total) return undefined;
  return { current, total, unit: "B", rate: findByteRate(line), etaMs: findEtaMs(line) };
};
