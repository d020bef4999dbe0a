import { COUNT, findEtaMs, NUMBER_BEGINS, parseCount } from "./quantity.js";
import type { Recogniser } from "./recogniser.js";
import { isStatistic } from "./statistic.js";

/** `[3/10]`. */
const BRACKETED = new RegExp(String.raw`\[ {0,8}${COUNT} {0,2}/ {0,2}${COUNT} {0,8}\]`);

/** What programs count on their way; not what they count as a result, such as tests. */
const UNITS =
  "files?|items?|objects?|steps?|packages?|chunks?|blocks?|records?|rows?|tasks?|pages?|images?|frames?|epochs?|batches|entries|modules?|crates?|layers?|documents?|docs?|iterations?|messages?|segments?|parts?|bytes";

/** What may follow the unit: nothing, punctuation, or that they are done. */
const THEN = String.raw`(?= *$| ?[|,;:()\[\]…–]| ?\.(?!\w)| - | (?:done|processed|completed?|copied|downloaded|uploaded|transferred|written|read|scanned|indexed|converted|compiled|installed|extracted|loaded|imported|exported|synced|so far)\b)`;

/** `3/10 files`. */
const NAMED = new RegExp(
  String.raw`${NUMBER_BEGINS}${COUNT} ?/ ?${COUNT} {1,2}(${UNITS})${THEN}`,
  "i",
);

/** `Step 3/10`. */
const NUMBERED = new RegExp(
  String.raw`\b(step|epoch|batch|part|file|item|chunk|layer|package|task|iteration|frame)[ :#]{1,3}${COUNT} ?/ ?${COUNT}(?![\w/.,-])`,
  "i",
);

/** How many of how many, in brackets or with what is counted. */
export const countProgress: Recogniser = (line) => {
  const found = bracketed(line) ?? named(line) ?? numbered(line);
  if (found === undefined || isStatistic(line, found.start, found.end)) return undefined;
  const current = parseCount(found.current);
  const total = parseCount(found.total);
  if (total === 0 || current > total) return undefined;
  const unit = found.unit.toLowerCase();
  return { current, total, unit: unit === "bytes" ? "B" : unit, etaMs: findEtaMs(line) };
};

interface Counts {
  readonly start: number;
  readonly end: number;
  readonly current: string;
  readonly total: string;
  readonly unit: string;
}

function bracketed(line: string): Counts | undefined {
  const match = BRACKETED.exec(line);
  return match === null ? undefined : counts(match, match[1], match[2], "");
}

function named(line: string): Counts | undefined {
  const match = NAMED.exec(line);
  return match === null ? undefined : counts(match, match[1], match[2], match[3]);
}

function numbered(line: string): Counts | undefined {
  const match = NUMBERED.exec(line);
  return match === null ? undefined : counts(match, match[2], match[3], match[1]);
}

function counts(match: RegExpExecArray, current = "", total = "", unit = ""): Counts {
  return { start: match.index, end: match.index + match[0].length, current, total, unit };
}
