import type { Job } from "../../contract/job.js";
import { CliError, EXIT } from "../exit-codes.js";
import { exitText, runTimeText } from "./job-facts.js";
import { commandLine, printable } from "./printable.js";

/** The fields of --format. Times are ISO 8601, sizes are bytes; what is not known is empty. */
const FIELDS: Readonly<Record<string, (job: Job) => string>> = {
  id: ({ id }) => id,
  name: ({ name }) => name ?? "",
  status: ({ status }) => status,
  command: commandLine,
  exit: exitText,
  exitCode: (job) => ("exitCode" in job ? String(job.exitCode) : ""),
  signal: (job) => ("signal" in job ? (job.signal ?? "") : ""),
  error: (job) => ("error" in job ? (job.error ?? "") : ""),
  reason: (job) => ("reason" in job ? (job.reason ?? "") : ""),
  pid: (job) => ("pid" in job && job.pid !== undefined ? String(job.pid) : ""),
  created: ({ createdTime }) => createdTime.toISOString(),
  started: (job) => ("startedTime" in job ? (job.startedTime?.toISOString() ?? "") : ""),
  completed: (job) => ("completedTime" in job ? job.completedTime.toISOString() : ""),
  time: (job) => runTimeText(job, new Date()),
  cpuMs: ({ usage }) => (usage?.cpuTimeMs === undefined ? "" : String(Math.round(usage.cpuTimeMs))),
  memory: ({ usage }) => String(usage?.memoryBytes ?? ""),
  memoryPeak: ({ usage }) => String(usage?.memoryPeakBytes ?? ""),
  processes: ({ usage }) => String(usage?.processes ?? ""),
  lastOutput: ({ usage }) => usage?.lastOutputTime?.toISOString() ?? "",
  stdout: ({ stdoutBytes }) => String(stdoutBytes),
  stderr: ({ stderrBytes }) => String(stderrBytes),
  progress: ({ progress }) => (progress?.percent === undefined ? "" : String(progress.percent)),
  remaining: ({ remainingProcesses = 0 }) => String(remainingProcesses),
  workDir: ({ workDir }) => workDir,
  requestId: ({ requestId }) => requestId,
  previousId: ({ previousId }) => previousId ?? "",
  labels: ({ labels }) =>
    Object.entries(labels)
      .map((label) => label.join("="))
      .join(","),
};

export const FIELD_NAMES: readonly string[] = [...Object.keys(FIELDS), "label.KEY"];

const PLACEHOLDER = /\{([^{}]*)\}/g;
const LABEL = "label.";

/**
 * Returns what makes a line of a job, by a template such as "{id} {status}\t{label.team}".
 * @throws CliError for a field that there is not
 */
export function jobFormatter(template: string): (job: Job) => string {
  for (const [, name = ""] of template.matchAll(PLACEHOLDER)) {
    if (name.startsWith(LABEL) || Object.hasOwn(FIELDS, name)) continue;
    const message = `--format has no field {${name}}; the fields are ${FIELD_NAMES.join(", ")}`;
    throw new CliError(message, { exitCode: EXIT.usage });
  }
  const spaced = template.replaceAll("\\t", "\t").replaceAll("\\n", "\n");
  return (job) => spaced.replace(PLACEHOLDER, (_, name: string) => printable(fieldOf(job, name)));
}

function fieldOf(job: Job, name: string): string {
  if (!name.startsWith(LABEL)) return FIELDS[name]?.(job) ?? "";
  const key = name.slice(LABEL.length);
  return Object.hasOwn(job.labels, key) ? (job.labels[key] ?? "") : "";
}
