import prettyBytes from "pretty-bytes";
import prettyMs from "pretty-ms";
import { isTerminal, type Job, type Progress, type Status } from "../../contract/job.js";
import type { Style } from "../terminal/output.js";

export const STATUS_STYLE = {
  pending: "yellow",
  running: "cyan",
  completed: "green",
  failed: "red",
  cancelled: "magenta",
  orphaned: "yellow",
} as const satisfies Record<Status, Style>;

/** "running 42%". */
export function statusText(job: Job): string {
  const percent = job.status === "running" ? job.progress?.percent : undefined;
  return percent === undefined ? job.status : `${job.status} ${Math.floor(percent)}%`;
}

/** "0", "137 SIGKILL", or "" while there is none. */
export function exitText(job: Job): string {
  if (!("exitCode" in job)) return "";
  return job.signal === undefined ? String(job.exitCode) : `${job.exitCode} ${job.signal}`;
}

/** How long the command ran, or has been running. */
export function runTimeMs(job: Job, now: Date): number | undefined {
  if (!("startedTime" in job) || job.startedTime === undefined) return undefined;
  const end = isTerminal(job) ? job.completedTime : now;
  return Math.max(0, end.getTime() - job.startedTime.getTime());
}

/** To be read at a glance: "1h 5m", "320ms". */
export function shortDuration(ms: number): string {
  return prettyMs(ms, ms < 1000 ? {} : { unitCount: 2, secondsDecimalDigits: ms < 60_000 ? 1 : 0 });
}

export function byteCount(bytes: number): string {
  return prettyBytes(bytes);
}

/** "42%  12.3 MB of 30 MB  3.1 MB/s  eta 1m 2s": what is known of it. */
export function progressText(progress: Progress): string {
  const { percent, current, total, rate, etaMs } = progress;
  const { unit } = progress;
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
  if (unit === "B") return prettyBytes(value);
  const number = value.toLocaleString("en", { maximumFractionDigits: 1 });
  return unit === "" ? number : `${number} ${unit}`;
}
