import {
  isTerminal,
  type Job,
  type Limits,
  NO_LIMIT,
  type OnEndResult,
  type SoftLimits,
  type Stream,
  type Usage,
} from "../../contract/job.js";
import type { Output } from "../terminal/output.js";
import {
  byteCount,
  cpuTimeText,
  exitText,
  remainingText,
  runTimeText,
  STATUS_STYLE,
  shortDuration,
  statusText,
} from "./job-facts.js";
import { shellWord } from "../../platform/shell-word.js";
import { commandLine, printable } from "./printable.js";
import { progressText } from "./progress.js";

/** Returns one fact a line, for people. Environments can hold secrets: only their size is told. */
export function formatJobDetails(
  job: Job,
  output: Pick<Output, "paint">,
  now = new Date(),
): string[] {
  const facts: [name: string, value: string | undefined][] = [
    ["id", job.id],
    ["name", job.name],
    ["status", output.paint(STATUS_STYLE[job.status], statusText(job))],
    [
      "left behind",
      ifKnown(remainingText(job), (text) => `${text} (cancel --remaining ends what is left)`),
    ],
    ["exit code", exitText(job)],
    ["error", "error" in job ? job.error : undefined],
    ["reason", "reason" in job ? job.reason : undefined],
    ["command", commandLine(job)],
    ["directory", shellWord(job.workDir)],
    [
      "labels",
      Object.entries(job.labels)
        .map(([key, value]) => shellWord(`${key}=${value}`))
        .join(" "),
    ],
    ["environment", variablesText(job)],
    ["request id", job.requestId],
    ["in place of", job.previousId],
    [
      "last signal",
      ifKnown(job.lastSignal, ({ name, sentTime }) => `${name}, sent ${sentTime.toISOString()}`),
    ],
    ["pid", "pid" in job ? ifKnown(job.pid, String) : undefined],
    ["created", job.createdTime.toISOString()],
    ["started", "startedTime" in job ? job.startedTime?.toISOString() : undefined],
    ["completed", "completedTime" in job ? job.completedTime.toISOString() : undefined],
    ["run time", runTimeText(job, now)],
    ["time limit", ifKnown(job.timeoutMs, shortDuration)],
    ["lease", ifKnown(job.leaseMs, (leaseMs) => leaseText(leaseMs, job, now))],
    ["CPU time", cpuTimeText(job)],
    ["memory", memoryFact(job)],
    ["processes", ifKnown(job.usage?.processes, String)],
    ["disk", diskFact(job)],
    ["last output", job.usage?.lastOutputTime?.toISOString()],
    ["log limit", ifKnown(job.logLimitBytes, byteCount)],
    ["umask", ifKnown(job.umask, (umask) => umask.toString(8).padStart(3, "0"))],
    ["nice", ifKnown(job.nice, String)],
    ["soft limits", ifKnown(job.softLimits, softLimitsText)],
    ["limits", ifKnown(job.limits, limitsText)],
    ["stdout", logText(job, "stdout") + (job.mergeOutput ? " (with stderr)" : "")],
    ["stderr", job.mergeOutput ? undefined : logText(job, "stderr")],
    ["output", job.output === "pipe" ? "through pipes" : undefined],
    ["progress", job.progress && (progressText(job.progress) || job.progress.text)],
    ["terminal", ifKnown(job.windowSize, ({ columns, rows }) => `${columns}x${rows} at the start`)],
    [
      "input",
      job.stdin && !isTerminal(job) ? "open to send and attach -i, until it is closed" : undefined,
    ],
    ["at the end", job.endRemaining ? "what the command leaves behind is ended" : undefined],
    ["on end", ifKnown(job.onEnd, (onEnd) => commandLine(onEnd))],
    ["on end gave", ifKnown(job.onEndResult, onEndText)],
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

/** Returns "k3x… failed, exit code 3, after 1.2s: <error>". */
export function formatJobSummary(
  job: Job,
  output: Pick<Output, "paint">,
  now = new Date(),
): string {
  const runTime = runTimeText(job, now);
  const remaining = remainingText(job);
  const parts = [
    `${job.id} ${output.paint(STATUS_STYLE[job.status], job.status)}`,
    exitText(job) && `exit code ${exitText(job)}`,
    runTime && `after ${runTime}`,
    ...(remaining === undefined ? [] : [`${remaining} left behind`]),
  ];
  const error = "error" in job && job.error ? `: ${printable(job.error)}` : "";
  return parts.filter((part) => part !== "").join(", ") + error;
}

function memoryFact({ usage }: Job): string {
  const { memoryBytes, memoryPeakBytes }: Partial<Usage> = usage ?? {};
  const now = ifKnown(memoryBytes, byteCount);
  const peak = ifKnown(memoryPeakBytes, (bytes) => `${byteCount(bytes)} at the most`);
  return [now, peak].filter((part) => part !== undefined).join(", ");
}

function diskFact({ usage }: Job): string {
  const { readBytes, writtenBytes }: Partial<Usage> = usage ?? {};
  const read = ifKnown(readBytes, (bytes) => `${byteCount(bytes)} read`);
  const written = ifKnown(writtenBytes, (bytes) => `${byteCount(bytes)} written`);
  return [read, written].filter((part) => part !== undefined).join(", ");
}

function ifKnown<T>(value: T | undefined, text: (value: T) => string): string | undefined {
  return value === undefined ? undefined : text(value);
}

function leaseText(leaseMs: number, { leaseExpireTime }: Job, now: Date): string {
  const length = shortDuration(leaseMs);
  if (!leaseExpireTime) return length;
  const leftMs = Math.max(0, leaseExpireTime.getTime() - now.getTime());
  return `${length}; it ends in ${shortDuration(leftMs)} unless that is renewed`;
}

function logText(job: Job, stream: Stream): string {
  const [bytes, firstOffset] =
    stream === "stdout"
      ? [job.stdoutBytes, job.stdoutFirstOffset]
      : [job.stderrBytes, job.stderrFirstOffset];
  if (job.missingLogs?.includes(stream)) return `${byteCount(bytes)}; its log was deleted`;
  const times = job.truncations?.[stream] ?? 0;
  const truncated = times === 0 ? "" : `; truncated by the command, ${times} times`;
  const gone = firstOffset === 0 ? "" : `; the last ${byteCount(bytes - firstOffset)} are kept`;
  return byteCount(bytes) + truncated + gone;
}

function onEndText({ exitCode, error, output }: OnEndResult): string {
  const code = exitCode === undefined ? undefined : `exit code ${exitCode}`;
  const facts = [code, error].filter((fact) => fact !== undefined).join(", ");
  return output === "" ? facts : `${facts}: ${output.trimEnd()}`;
}

/** As --ulimit takes them. */
function softLimitsText(limits: SoftLimits): string {
  return Object.entries(limits)
    .map(([name, limit]) => `${name}=${limit === NO_LIMIT ? "unlimited" : limit}`)
    .join(" ");
}

function limitsText({ memoryMaxBytes, cpus, pidsMax, openFilesMax }: Limits): string {
  const parts = [
    ifKnown(memoryMaxBytes, (bytes) => `${byteCount(bytes)} of memory`),
    ifKnown(cpus, (count) => `${count} CPUs`),
    ifKnown(pidsMax, (count) => `${count} processes`),
    ifKnown(openFilesMax, (count) => `${count} open files a process`),
  ];
  return parts.filter((part) => part !== undefined).join(", ");
}

function variablesText({ env }: Job): string | undefined {
  const count = Object.keys(env).length;
  return count === 0 ? undefined : `${count} variable${count === 1 ? "" : "s"} (--env shows them)`;
}
