/** What stands before a number that measures something else than progress. */
const BEFORE =
  /\b(?:cpu|gpu|mem|memory|ram|heap|rss|swap|disk|load|usage|used|uses|using|utili[sz]ation|coverage|accuracy|acc|precision|recall|loss|discount|battery|confidence|similarity|score|hit rate|error rate|quota|limit|threshold|opacity|width|height|attempt|retry|retries|retrying|try)\b[ :=("'[]{0,12}$/i;

/** What stands behind such a number. */
const AFTER =
  /^[ )\],]{0,4}(?:of\b(?! {1,8}~? ?\d)|(?:packet )?loss\b|cpu\b|mem|disk\b|ram\b|faster|slower|off\b|full\b|used\b|idle\b|free\b|usage\b|utili[sz]ation|cover|hit|miss|user\b|usr\b|sys|similar|confiden|larger|smaller|bigger|more\b|less\b|fewer|higher|lower|better|worse|reduc|increas|decreas|improve|sav(?:ed|ings?)\b|passed|failed|passing|failing|success)/i;

/** Lines of git about how much of a file is the same, and of coverage reports. */
const REPORT =
  /^ ?(?:rename|copy|rewrite|similarity|dissimilarity) |^(?:Statements|Branches|Functions|Lines) {0,12}:/;

/** How far around a number is looked. */
const CONTEXT_CHARS = 40;

/** Whether what stands at `start` to `end` of the line measures something else than progress. */
export function isStatistic(line: string, start: number, end: number): boolean {
  return (
    REPORT.test(line) ||
    BEFORE.test(line.slice(Math.max(0, start - CONTEXT_CHARS), start)) ||
    AFTER.test(line.slice(end, end + CONTEXT_CHARS))
  );
}
