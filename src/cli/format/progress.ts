import type { Progress } from "../../contract/job.js";
import { progressText } from "./job-facts.js";
import { printable } from "./printable.js";

const BAR_COLUMNS = 20;

/** "[########------------] 42.0%  12.3 MB of 30 MB", in less than so many columns. */
export function progressLine(progress: Progress, width: number): string {
  const facts = progressText(progress);
  const bar = progress.percent === undefined ? "" : `${progressBar(progress.percent)} `;
  return cut(printable(facts === "" ? progress.text : bar + facts), width);
}

export function progressBar(percent: number, columns = BAR_COLUMNS): string {
  const filled = Math.round((Math.min(Math.max(percent, 0), 100) / 100) * columns);
  return `[${"#".repeat(filled)}${"-".repeat(columns - filled)}]`;
}

/** One column is left free: a full line makes some terminals begin a new one. */
export function cut(text: string, width: number): string {
  return text.length < width ? text : `${text.slice(0, Math.max(width - 2, 0))}…`;
}
