import type { Job } from "../../contract/job.js";
import { commandLine, quoted } from "./command-line.js";
import {
  byteCount,
  exitText,
  progressText,
  runTimeMs,
  STATUS_STYLE,
  shortDuration,
  statusText,
} from "./job-facts.js";
import type { Output } from "../terminal/output.js";
import { printable } from "./printable.js";

/** One fact a line, for people. Environments can hold secrets: only their size is told. */
export function formatJobDetails(
  job: Job,
  output: Pick<Output, "paint">,
  now = new Date(),
): string[] {
  const started = "startedTime" in job ? job.startedTime : undefined;
  const completed = "completedTime" in job ? job.completedTime : undefined;
  const runMs = runTimeMs(job, now);
  const facts: [name: string, value: string | undefined][] = [
    ["id", job.id],
    ["status", output.paint(STATUS_STYLE[job.status], statusText(job))],
    ["exit code", exitText(job)],
    ["error", "error" in job ? job.error : undefined],
    ["command", commandLine(job)],
    ["directory", quoted(job.workDir)],
    ["labels", labelsText(job)],
    ["environment", variablesText(job)],
    ["request id", job.requestId],
    ["pid", "pid" in job && job.pid !== undefined ? String(job.pid) : undefined],
    ["created", job.createdTime.toISOString()],
    ["started", started?.toISOString()],
    ["completed", completed?.toISOString()],
    ["run time", runMs === undefined ? undefined : shortDuration(runMs)],
    ["time limit", job.timeoutMs === undefined ? undefined : shortDuration(job.timeoutMs)],
    ["CPU time", cpuText(job)],
    ["log limit", job.logLimitBytes === undefined ? undefined : byteCount(job.logLimitBytes)],
    [
      "stdout",
      logText(job.stdoutBytes, job.stdoutFirstOffset) + (job.mergeOutput ? " (with stderr)" : ""),
    ],
    ["stderr", job.mergeOutput ? undefined : logText(job.stderrBytes, job.stderrFirstOffset)],
    ["progress", job.progress && (progressText(job.progress) || job.progress.text)],
    ["terminal", terminalText(job)],
    ["input", job.stdin ? "open to send and attach -i, until it is closed" : undefined],
    ["held by", "containment" in job ? job.containment : undefined],
  ];
  return facts.flatMap(([name, value]) =>
    value
      ? [
          `${output.paint("bold", `${name}:`.padEnd(13))}${name === "status" ? value : printable(value)}`,
        ]
      : [],
  );
}

/** "k3x… failed, exit code 3, after 1.2s: <error>". */
export function formatJobSummary(
  job: Job,
  output: Pick<Output, "paint">,
  now = new Date(),
): string {
  const runMs = runTimeMs(job, now);
  const parts = [
    `${job.id} ${output.paint(STATUS_STYLE[job.status], job.status)}`,
    exitText(job) && `exit code ${exitText(job)}`,
    runMs === undefined ? "" : `after ${shortDuration(runMs)}`,
  ];
  const error = "error" in job && job.error ? `: ${printable(job.error)}` : "";
  return parts.filter((part) => part !== "").join(", ") + error;
}

function logText(bytes: number, firstOffset: number): string {
  const gone = firstOffset === 0 ? "" : `; the last ${byteCount(bytes - firstOffset)} are kept`;
  return byteCount(bytes) + gone;
}

function terminalText({ windowSize }: Job): string | undefined {
  return windowSize && `${windowSize.columns}x${windowSize.rows} at the start`;
}

function labelsText({ labels }: Job): string {
  return Object.entries(labels)
    .map(([key, value]) => quoted(`${key}=${value}`))
    .join(" ");
}

function variablesText({ env }: Job): string | undefined {
  const count = Object.keys(env).length;
  return count === 0 ? undefined : `${count} variable${count === 1 ? "" : "s"} (--env shows them)`;
}

function cpuText(job: Job): string | undefined {
  return "cpuTimeMs" in job && job.cpuTimeMs !== undefined
    ? shortDuration(job.cpuTimeMs)
    : undefined;
}
