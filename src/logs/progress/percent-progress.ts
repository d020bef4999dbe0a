import {
  BYTE_UNIT,
  COUNT,
  findByteRate,
  findEtaMs,
  NUMBER,
  NUMBER_BEGINS,
  parseBytes,
  parseCount,
} from "./quantity.js";
import { type Found, isStatistic, type Recogniser } from "./recogniser.js";

const PERCENT = new RegExp(
  String.raw`(?<![\w.,/%+\\-])(\d{1,3}(?:\.\d{1,9}|,\d{1,2})?) ?%(?![\w%])`,
  "g",
);
const TOTAL_BYTES = new RegExp(String.raw`^ of {1,8}~? ?${NUMBER} ?${BYTE_UNIT}(?![\w/])`);
const COUNTS = new RegExp(String.raw`${NUMBER_BEGINS}${COUNT}/${COUNT}(?![\w/.,-])`);

/** A percentage: `45%`, `45.2 %`, `45.2% of 80 MiB at 1.2MiB/s ETA 00:12`. */
export const percentProgress: Recogniser = (line) => {
  if (!line.includes("%")) return undefined;
  PERCENT.lastIndex = 0;
  for (let match = PERCENT.exec(line); match !== null; match = PERCENT.exec(line)) {
    const end = match.index + match[0].length;
    const percent = Number((match[1] ?? "").replace(",", "."));
    if (percent > 100 || isStatistic(line, match.index, end)) continue;
    return found(line, percent, end);
  }
  return undefined;
};

function found(line: string, percent: number, end: number): Found {
  const rate = findByteRate(line);
  const etaMs = findEtaMs(line);
  const total = findTotalBytes(line.slice(end, end + 40));
  if (total !== undefined) return { percent, total, unit: "B", rate, etaMs };
  return {
    percent,
    ...findCounts(line, percent),
    unit: rate === undefined ? "" : "B",
    rate,
    etaMs,
  };
}

function findTotalBytes(behind: string): number | undefined {
  const match = TOTAL_BYTES.exec(behind);
  return match === null ? undefined : parseBytes(match[1] ?? "", match[2] ?? "");
}

/** `45% | 45/100`: two numbers that agree with the percentage are the counts. */
function findCounts(line: string, percent: number): { current: number; total: number } | undefined {
  const match = COUNTS.exec(line);
  if (match === null) return undefined;
  const current = parseCount(match[1] ?? "");
  const total = parseCount(match[2] ?? "");
  const agrees = total > 0 && Math.abs((current * 100) / total - percent) <= 1;
  return agrees ? { current, total } : undefined;
}
