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

const BYTES = new RegExp(
  String.raw`${NUMBER_BEGINS}${NUMBER} ?(?:${BYTE_UNIT}(?: ?/ ?| of )|/)${NUMBER} ?${BYTE_UNIT}(?![\w/])`,
);

/** Bytes done of bytes in all: `12.3 MiB / 80 MiB`, `12.3MB/80MB`, `12.3/80.0 MB`. */
export const byteProgress: Recogniser = (line) => {
  const match = BYTES.exec(line);
  if (match === null || isStatistic(line, match.index, match.index + match[0].length)) {
    return undefined;
  }
  const [, done = "", doneUnit, all = "", allUnit = ""] = match;
  const counts = countsOf(parseBytes(done, doneUnit ?? allUnit), parseBytes(all, allUnit), line);
  return counts && { ...counts, unit: "B", rate: findByteRate(line) };
};

/** A drawn bar, then a count: `Building [====>     ] 45/100: serde`. */
const BAR = new RegExp(
  String.raw`[|[](?=[ .\-░·]{0,200}[=#>█▉▊▋▌▍▎▏━*])[=#>█▉▊▋▌▍▎▏━* .\-░·]{3,200}[|\]] {0,4}${COUNT}/${COUNT}(?![\w/.]*\d)`,
);

/** Counts behind a drawn bar, as cargo and many libraries print them. */
export const barProgress: Recogniser = (line) => {
  const match = BAR.exec(line);
  return match === null
    ? undefined
    : countsOf(parseCount(match[1] ?? ""), parseCount(match[2] ?? ""), line);
};

/** Between how many and how many there are: `3/10`, `3 / 10`, `3 of 10`. */
const OF = String.raw`(?: {0,2}/ {0,2}| of {1,4})`;

/** `[3/10]`, `[ 3 of 10]`. */
const BRACKETED = new RegExp(String.raw`\[ {0,8}${COUNT}${OF}${COUNT} {0,8}\]`);

/** `(3/10) installing foo`, `(3/10): foo.rpm`, as package managers begin their lines. */
const PARENTHESISED = new RegExp(
  String.raw`^ {0,4}\( {0,8}${COUNT}/${COUNT}\)(?:: |(?= [A-Za-z][a-z]{1,20}ing\b))`,
);

/** A count, then a drawn bar: `45/100 [=====>......] - ETA: 5s`, as Keras prints them. */
const COUNT_AND_BAR = new RegExp(
  String.raw`^ {0,8}${COUNT}/${COUNT} {1,2}(?:\[[=>.#\- ]{3,200}\]|[━╸╺╾╼]{3,200})`,
);

/** What programs count on their way; not what they count as a result, such as tests. */
const UNITS =
  "files?|items?|objects?|steps?|packages?|chunks?|blocks?|records?|rows?|tasks?|pages?|images?|frames?|epochs?|batches|entries|modules?|crates?|layers?|documents?|docs?|iterations?|messages?|segments?|parts?|bytes";

/** What may follow the unit: nothing, punctuation, or that they are done. */
const THEN = String.raw`(?= *$| ?[|,;:()\[\]…–]| ?\.(?!\w)| - | (?:done|processed|completed?|copied|downloaded|uploaded|transferred|written|read|scanned|indexed|converted|compiled|installed|extracted|loaded|imported|exported|synced|so far)\b)`;

/** `3/10 files`, `3 of 10 files`. */
const NAMED = new RegExp(
  String.raw`${NUMBER_BEGINS}${COUNT}(?: ?/ ?| of )${COUNT} {1,2}(${UNITS})${THEN}`,
  "i",
);

/** `Step 3/10`, `step 3 of 10:`. */
const NUMBERED = new RegExp(
  String.raw`\b(step|stage|epoch|batch|part|file|item|chunk|layer|package|task|iteration|frame)[ :#]{1,3}${COUNT}(?: ?/ ?| of )${COUNT}(?![\w/.-]|,\d)`,
  "i",
);

/** How many of how many, in brackets or with what is counted. */
export const countProgress: Recogniser = (line) => {
  const found =
    uncounted(BRACKETED, line) ??
    uncounted(PARENTHESISED, line) ??
    uncounted(COUNT_AND_BAR, line) ??
    named(line) ??
    numbered(line);
  if (found === undefined || isStatistic(line, found.start, found.end)) return undefined;
  const counts = countsOf(parseCount(found.current), parseCount(found.total), line);
  const unit = found.unit.toLowerCase();
  return counts && { ...counts, unit: unit === "bytes" ? "B" : unit };
};

interface Counts {
  readonly start: number;
  readonly end: number;
  readonly current: string;
  readonly total: string;
  readonly unit: string;
}

/** A form that does not name what is counted. */
function uncounted(form: RegExp, line: string): Counts | undefined {
  const match = form.exec(line);
  return match === null ? undefined : counts(match, match[1], match[2], "");
}

function named(line: string): Counts | undefined {
  const match = NAMED.exec(line);
  return match === null ? undefined : counts(match, match[1], match[2], match[3]);
}

function numbered(line: string): Counts | undefined {
  const match = NUMBERED.exec(line);
  return match === null ? undefined : counts(match, match[2], match[3], pluralOf(match[1] ?? ""));
}

/** As in `3/10 files`: what is counted, for a text such as "3 of 10 files". */
function pluralOf(noun: string): string {
  return `${noun}${/ch$/i.test(noun) ? "es" : "s"}`;
}

function counts(match: RegExpExecArray, current = "", total = "", unit = ""): Counts {
  return { start: match.index, end: match.index + match[0].length, current, total, unit };
}

/** More than all, or some of nothing, is no progress. */
function countsOf(current: number, total: number, line: string): Found | undefined {
  if (total === 0 || current > total) return undefined;
  return { current, total, unit: "", etaMs: findEtaMs(line) };
}
