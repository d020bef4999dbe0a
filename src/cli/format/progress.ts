import type { Progress } from "../../contract/job.js";
import { byteCount, shortDuration } from "./job-facts.js";
import { cut } from "./columns.js";
import { printable } from "./printable.js";

const BAR_COLUMNS = 20;

/** Returns what is known of a progress: "42%  12.3 MB of 30 MB  3.1 MB/s  eta 1m 2s". */
export function progressText(progress: Progress): string {
  const { percent, current, total, rate, etaMs, unit } = progress;
  const amount = (value: number) => amountText(value, unit);
  // The unit of what is counted is said once: "3 of 10 files".
  const done = (value: number) => amountText(value, unit === "B" || !total ? unit : "");
  const parts = [
    percent === undefined ? "" : `${percent.toFixed(percent < 100 ? 1 : 0)}%`,
    current === undefined
      ? ""
      : done(current) + (total === undefined ? "" : ` of ${amount(total)}`),
    rate === undefined ? "" : `${amount(rate)}/s`,
    etaMs === undefined ? "" : `eta ${shortDuration(etaMs)}`,
  ];
  return parts.filter((part) => part !== "").join("  ");
}

function amountText(value: number, unit: string): string {
  if (unit === "B") return byteCount(value);
  const number = value.toLocaleString("en", { maximumFractionDigits: 1 });
  return unit === "" ? number : `${number} ${unit}`;
}

/**
 * Returns "[########------------] 42.0%  12.3 MB of 30 MB" in less than so many
 * columns: a full line makes some terminals begin a new one.
 */
export function progressLine(progress: Progress, width: number): string {
  const facts = progressText(progress);
  const bar = progress.percent === undefined ? "" : `${progressBar(progress.percent)} `;
  return cut(printable(facts === "" ? progress.text : bar + facts), width - 1);
}

export function progressBar(percent: number, columns = BAR_COLUMNS): string {
  const filled = Math.round((Math.min(Math.max(percent, 0), 100) / 100) * columns);
  return `[${"#".repeat(filled)}${"-".repeat(columns - filled)}]`;
}
