import type { Progress } from "../../contract/job.js";

/** What a line tells. A percentage that follows from the counts may be left out. */
export type Found = { readonly unit: string } & {
  readonly [field in Exclude<keyof Progress, "unit" | "text">]?: Progress[field] | undefined;
};

/**
 * Finds one form of progress in a line, which has at most 4 KiB and no escape
 * sequences or URLs. Its expressions must take linear time: quantifiers are
 * bounded, and a look-behind lets a number begin only where it begins.
 */
export type Recogniser = (line: string) => Found | undefined;

/** Stands before a number that measures something else than progress. */
const BEFORE =
  /\b(?:cpu|gpu|mem|memory|ram|heap|rss|swap|disk|load|usage|used|uses|using|utili[sz]ation|coverage|accuracy|acc|precision|recall|loss|discount|battery|confidence|similarity|score|hit rate|error rate|quota|limit|threshold|opacity|width|height|attempt|retry|retries|retrying|try)\b[ :=("'[]{0,12}$/i;

/** Stands behind such a number. */
const AFTER =
  /^[ )\],]{0,4}(?:of\b(?! {1,8}~? ?\d)|(?:packet )?loss\b(?! ?[=:])|cpu\b|mem|disk\b|ram\b|faster|slower|off\b|full\b|used\b|idle\b|free\b|usage\b|utili[sz]ation|cover|hit|miss|user\b|usr\b|sys|similar|confiden|larger|smaller|bigger|more\b|less\b|fewer|higher|lower|better|worse|reduc|increas|decreas|improve|sav(?:ed|ings?)\b|(?:tests?|specs?|checks?|cases?|examples?|scenarios?) (?:pass|fail|succe|ok\b)|passed|failed|passing|failing|success)/i;

/** Begins git's lines about how much of a file is the same, and those of coverage reports. */
const REPORT =
  /^ ?(?:rename|copy|rewrite|similarity|dissimilarity) |^(?:Statements|Branches|Functions|Lines) {0,12}:/;

/** How much of the line around a number counts. */
const CONTEXT_CHARS = 40;

/** Whether the number at `start` to `end` of the line measures something else than progress. */
export function isStatistic(line: string, start: number, end: number): boolean {
  return (
    REPORT.test(line) ||
    BEFORE.test(line.slice(Math.max(0, start - CONTEXT_CHARS), start)) ||
    AFTER.test(line.slice(end, end + CONTEXT_CHARS))
  );
}
