import { COUNT, findEtaMs, parseCount } from "./quantity.js";
import type { Recogniser } from "./recogniser.js";

/** A drawn bar, then a count: `Building [====>     ] 45/100: serde`. */
const BAR = new RegExp(
  String.raw`[|[](?=[ .\-░·]{0,200}[=#>█▉▊▋▌▍▎▏━*])[=#>█▉▊▋▌▍▎▏━* .\-░·]{3,200}[|\]] {0,4}${COUNT}/${COUNT}(?![\w/.]*\d)`,
);

/** Counts behind a drawn bar, as cargo and many libraries print them. */
export const barProgress: Recogniser = (line) => {
  const match = BAR.exec(line);
  if (match === null) return undefined;
  const current = parseCount(match[1] ?? "");
  const total = parseCount(match[2] ?? "");
  if (total === 0 || current > total) return undefined;
  return { current, total, unit: "", etaMs: findEtaMs(line) };
};
