import * as z from "zod";
import { isTerminal, type Job, STATUSES } from "../contract/job.js";
import { defined } from "../platform/defined.js";
import { shellWord } from "../platform/shell-word.js";
import { cut, plainText } from "./plain-text.js";

/** What tools tell of a job. */
export const JOB_SHAPE = {
  id: z.string().describe("What the other tools take"),
  name: z.string().optional(),
  status: z.enum(STATUSES),
  command: z.string().describe("The shell line, or the program and its arguments"),
  work_dir: z.string(),
  labels: z.record(z.string(), z.string()),
  pid: z.number().int().optional(),
  exit_code: z.number().int().optional(),
  signal: z.string().optional().describe("What ended it, such as SIGKILL"),
  error: z.string().optional().describe("Why it failed where the command did not by itself"),
  run_seconds: z.number().optional().describe("How long it ran, or has been running"),
  timeout_seconds: z.number().optional(),
  lease_seconds: z
    .number()
    .optional()
    .describe("It ends when nobody has renewed its lease for so long"),
  started_time: z.string().optional(),
  completed_time: z.string().optional(),
  stdout_bytes: z.number().int().describe("How much it has written"),
  stderr_bytes: z.number().int(),
  progress: z.string().optional().describe("The last line of output that tells progress"),
  percent: z.number().optional(),
  remaining_processes: z
    .number()
    .int()
    .optional()
    .describe("How many processes the command has left behind: cancel with include_remaining"),
  takes_input: z.boolean().optional(),
  in_terminal: z.boolean().optional(),
  previous_id: z.string().optional().describe("The job that this one was restarted from"),
};

export type JobFields = z.infer<z.ZodObject<typeof JOB_SHAPE>>;

export const MAX_COMMAND_CHARS = 1000;

/** @param maxCommandChars how much to tell of a long command */
export function jobFields(job: Job, maxCommandChars = MAX_COMMAND_CHARS): JobFields {
  const { name, previousId, timeoutMs, leaseMs, progress, remainingProcesses } = job;
  const startedTime = "startedTime" in job ? job.startedTime : undefined;
  const completedTime = isTerminal(job) ? job.completedTime : undefined;
  return {
    id: job.id,
    ...defined({ name }),
    status: job.status,
    command: cut(plainText(commandText(job)), maxCommandChars),
    work_dir: job.workDir,
    labels: { ...job.labels },
    stdout_bytes: job.stdoutBytes,
    stderr_bytes: job.stderrBytes,
    ...defined({
      pid: job.status === "running" ? job.pid : undefined,
      exit_code: "exitCode" in job ? job.exitCode : undefined,
      signal: "signal" in job ? job.signal : undefined,
      error: "error" in job ? job.error : undefined,
      run_seconds: startedTime && seconds(startedTime, completedTime ?? new Date()),
      timeout_seconds: timeoutMs === undefined ? undefined : timeoutMs / 1000,
      lease_seconds: leaseMs === undefined ? undefined : leaseMs / 1000,
      started_time: startedTime?.toISOString(),
      completed_time: completedTime?.toISOString(),
      progress: progress && plainText(progress.text),
      percent: progress?.percent,
      remaining_processes: remainingProcesses || undefined,
      takes_input: job.stdin || undefined,
      in_terminal: job.pty || undefined,
      previous_id: previousId,
    }),
  };
}

/** Says in one line how a job is. */
export function jobLine(job: JobFields): string {
  const name = job.name === undefined ? "" : ` (${job.name})`;
  const facts = [
    job.exit_code === undefined ? undefined : `exit code ${job.exit_code}`,
    job.signal,
    job.error,
    job.run_seconds === undefined
      ? undefined
      : `${job.completed_time === undefined ? "for" : "after"} ${job.run_seconds} s`,
    job.status === "running" ? job.progress : undefined,
    job.remaining_processes && `${job.remaining_processes} processes are left`,
  ].filter((fact) => fact !== undefined && fact !== "");
  return `job ${job.id}${name}: ${[job.status, ...facts].join(", ")}`;
}

/** Returns the shell line where that is what runs. */
function commandText({ command, args, truncatedFields }: Job): string {
  const [option, line, ...rest] = args;
  const isLine = command === "sh" && option === "-c" && line !== undefined && rest.length === 0;
  const more = truncatedFields?.includes("args") ? " …" : "";
  return (isLine ? line : [command, ...args].map(shellWord).join(" ")) + more;
}

function seconds(from: Date, to: Date): number {
  return Math.round(Math.max(0, to.getTime() - from.getTime()) / 100) / 10;
}
