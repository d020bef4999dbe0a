import prettyBytes from "pretty-bytes";
import prettyMs from "pretty-ms";
import { isTerminal, type Job, type Status } from "../../contract/job.js";
import type { Style } from "../terminal/output.js";

export const STATUS_STYLE = {
  pending: "yellow",
  running: "cyan",
  completed: "green",
  failed: "red",
  cancelled: "magenta",
  orphaned: "yellow",
} as const satisfies Record<Status, Style>;

/**
 * Returns the status, with the progress of a running job, and how many processes an ended
 * one has left behind: "running 42%", "completed, 2 left".
 */
export function statusText(job: Job): string {
  const percent = job.status === "running" ? job.progress?.percent : undefined;
  return percent === undefined ? endText(job) : `${job.status} ${Math.floor(percent)}%`;
}

/** Returns the status without progress. */
export function endText({ status, remainingProcesses }: Job): string {
  return remainingProcesses === undefined ? status : `${status}, ${remainingProcesses} left`;
}

/** Returns "2 processes", or undefined where there are none. */
export function remainingText({ remainingProcesses: count }: Job): string | undefined {
  if (count === undefined) return undefined;
  return `${count} process${count === 1 ? "" : "es"}`;
}

/** Returns "0", "137 SIGKILL", or "" while there is no exit code. */
export function exitText(job: Job): string {
  if (!("exitCode" in job)) return "";
  return job.signal === undefined ? String(job.exitCode) : `${job.exitCode} ${job.signal}`;
}

/** Returns how long the command ran, or has been running; "" where it was not started. */
export function runTimeText(job: Job, now: Date): string {
  if (!("startedTime" in job) || job.startedTime === undefined) return "";
  const end = isTerminal(job) ? job.completedTime : now;
  return shortDuration(Math.max(0, end.getTime() - job.startedTime.getTime()));
}

/** Returns a duration to be read at a glance: "1h 5m", "320ms". */
export function shortDuration(ms: number): string {
  return prettyMs(ms, ms < 1000 ? {} : { unitCount: 2, secondsDecimalDigits: ms < 60_000 ? 1 : 0 });
}

/** Returns the CPU time of a job so far, or in all; "" where it is not known. */
export function cpuTimeText(job: Job): string {
  const ofExit = "cpuTimeMs" in job ? job.cpuTimeMs : undefined;
  const cpuTimeMs = job.usage?.cpuTimeMs ?? ofExit;
  return cpuTimeMs === undefined ? "" : shortDuration(Math.round(cpuTimeMs));
}

/** Returns what memory a job has, or had at the most; "" where it is not known. */
export function memoryText({ usage }: Job): string {
  const bytes = usage?.memoryBytes ?? usage?.memoryPeakBytes;
  return bytes === undefined ? "" : byteCount(bytes);
}

export function byteCount(bytes: number): string {
  return prettyBytes(bytes);
}
