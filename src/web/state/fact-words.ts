import {
  type Job,
  type Limits,
  NO_LIMIT,
  type OnEndResult,
  type Stream,
} from "../../contract/job.js";
import { bytesText, durationText, exitText, processCount, reasonText, visible } from "./words.js";

/*
 * What the page says of a single fact of a job: undefined where there is nothing to say.
 */

/** Returns "137 SIGKILL, out of memory". */
export function exitFact(job: Job): string | undefined {
  return joined([exitText(job) || undefined, reasonText(job)]);
}

export function cpuTimeFact(job: Job): string | undefined {
  const ms = job.usage?.cpuTimeMs ?? ("cpuTimeMs" in job ? job.cpuTimeMs : undefined);
  return ifKnown(ms, durationText);
}

export function memoryFact({ usage }: Job): string | undefined {
  const peak = ifKnown(usage?.memoryPeakBytes, (bytes) => `${bytesText(bytes)} at most`);
  return joined([ifKnown(usage?.memoryBytes, bytesText), peak]);
}

export function diskFact({ usage }: Job): string | undefined {
  if (!usage?.readBytes && !usage?.writtenBytes) return undefined;
  return `${bytesText(usage.readBytes ?? 0)} read, ${bytesText(usage.writtenBytes ?? 0)} written`;
}

/** Returns "30s; it ends in 12s unless that is renewed". */
export function leaseFact({ leaseMs, leaseExpireTime }: Job, nowMs: number): string | undefined {
  return ifKnown(leaseMs, (ms) => {
    const length = durationText(ms);
    if (!leaseExpireTime) return length;
    const leftMs = Math.max(0, leaseExpireTime.getTime() - nowMs);
    const left = durationText(Math.floor(leftMs / 1000) * 1000);
    return `${length}; it ends in ${left} unless that is renewed`;
  });
}

/** Returns what bounds the job: first what all of its processes have together. */
export function limitsFact(job: Job): string | undefined {
  const { memoryMaxBytes, cpus, pidsMax, openFilesMax }: Limits = job.limits ?? {};
  return joined([
    ifKnown(memoryMaxBytes, (bytes) => `${bytesText(bytes)} of memory`),
    ifKnown(cpus, (count) => `${count} ${count === 1 ? "CPU" : "CPUs"}`),
    ifKnown(pidsMax, processCount),
    ifKnown(openFilesMax, (count) => `${count.toLocaleString("en")} open files a process`),
    ifKnown(job.timeoutMs, (ms) => `${durationText(ms)} of time`),
    ifKnown(job.logLimitBytes, (bytes) => `${bytesText(bytes)} of each log`),
    ifKnown(job.nice || undefined, (nice) => `nice ${nice}`),
    ifKnown(job.umask, (umask) => `umask ${umask.toString(8).padStart(3, "0")}`),
  ]);
}

/** Says the soft limits that limit something: the command line hands on all that a shell has. */
export function softLimitsFact({ softLimits = {} }: Job): string | undefined {
  const limits = Object.entries(softLimits).filter(([, limit]) => limit !== NO_LIMIT);
  return joined(limits.map(([name, limit]) => `${name} ${limit}`));
}

/** Says what became of the command that was run at the job's end, without its output. */
export function onEndResultFact(result: OnEndResult): string {
  const { exitCode, error, startedTime, completedTime } = result;
  const ranMs = startedTime && completedTime && completedTime.getTime() - startedTime.getTime();
  const facts = [
    ifKnown(exitCode, (code) => `exit code ${code}`),
    ifKnown(ranMs, (ms) => `after ${durationText(Math.max(0, ms))}`),
  ];
  const fact = facts.filter((each) => each !== undefined).join(" ");
  return joined([fact || undefined, error && visible(error)]) ?? "";
}

export function outputFact(job: Job): string {
  const log = (stream: Stream) => {
    const bytes = stream === "stdout" ? job.stdoutBytes : job.stderrBytes;
    const first = stream === "stdout" ? job.stdoutFirstOffset : job.stderrFirstOffset;
    const kept = first === 0 ? "" : `, the last ${bytesText(bytes - first)} are kept`;
    const times = job.truncations?.[stream];
    const truncated = times
      ? `, truncated by the command ${times === 1 ? "once" : `${times} times`}`
      : "";
    const missing = job.missingLogs?.includes(stream) ? ", its log was deleted" : "";
    return `${bytesText(bytes)}${kept}${truncated}${missing}`;
  };
  if (job.pty) return `terminal ${log("stdout")}`;
  const pipes = job.output === "pipe" ? ", through pipes" : "";
  if (job.mergeOutput) return `stdout with stderr ${log("stdout")}${pipes}`;
  return `stdout ${log("stdout")}; stderr ${log("stderr")}${pipes}`;
}

function ifKnown<T>(value: T | undefined, text: (value: T) => string): string | undefined {
  return value === undefined ? undefined : text(value);
}

function joined(parts: readonly (string | undefined)[]): string | undefined {
  return parts.filter((part) => part !== undefined && part !== "").join(", ") || undefined;
}
