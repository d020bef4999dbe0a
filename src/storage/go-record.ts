import { createHash } from "node:crypto";
import type { Exit, JobState } from "../contract/job.js";
import type { JobRecord } from "../core/ports.js";
import { defined } from "../platform/defined.js";
import {
  type Check,
  integer,
  listOf,
  optional,
  shape,
  someText,
  text,
  textMatching,
  texts,
} from "./json-shape.js";

/*
 * Records of the Go library procman, which keeps its jobs in the same directory. They are
 * read only: what becomes of such a job from now on is written as any other job's record.
 */

/** Go writes nil as null, and leaves out what is empty. */
function orNull<T>(present: Check<T>): Check<T | undefined> {
  return (value, field) => (value === null ? undefined : optional(present)(value, field));
}

const variables: Check<Readonly<Record<string, string>>> = (value, field) =>
  Array.isArray(value) ? variablesOf(listOf(text)(value, field)) : texts(value, field);

const parse = shape({
  // As ids are printed and typed.
  id: textMatching(/^[\x21-\x7e]+$/, "an id"),
  command: someText,
  args: orNull(listOf(text)),
  env: orNull(variables),
  work_dir: orNull(text),
  labels: orNull(texts),
  pid: orNull(integer()),
  status: text,
  created_at: orNull(text),
  started_at: orNull(text),
  completed_at: orNull(text),
  exit_code: orNull(integer()),
  error: orNull(text),
});

type GoJob = ReturnType<typeof parse>;

/** What a record says of a command that runs without a runner. */
export interface BareProcess {
  readonly pid: number;
  readonly startedTime: Date;
}

/** Whether a job that is recorded as running does run is for others to say. */
export type GoRecord = { readonly record: Omit<JobRecord, "state"> } & (
  | { readonly state: JobState; readonly running?: never }
  | { readonly state?: never; readonly running: BareProcess }
);

/** Returns undefined for what is no record of the Go library's. @throws Error for one that is broken */
export function parseGoRecord(json: object): GoRecord | undefined {
  if ("version" in json || !("status" in json) || !("id" in json)) return undefined;
  const job = parse(json);
  const startedTime = timeOf(job.started_at);
  const createdTime = timeOf(job.created_at) ?? startedTime ?? timeOf(job.completed_at);
  if (!createdTime) throw new Error("started_at: it has no time at all");
  const record = {
    spec: {
      id: job.id,
      requestId: "",
      command: job.command,
      args: job.args ?? [],
      env: job.env ?? {},
      clearEnv: false,
      workDir: job.work_dir?.startsWith("/") ? job.work_dir : "/",
      labels: job.labels ?? {},
      mergeOutput: false,
      output: "file" as const,
      pty: false,
      stdin: false,
    },
    sequence: sequenceOf(job, createdTime),
    createdTime,
  };
  const { pid } = job;
  if (job.status === "running" && pid && pid > 0 && startedTime) {
    return { record, running: { pid, startedTime } };
  }
  return { record, state: endedState(job, startedTime, createdTime) };
}

/** Returns how a job has ended, as the program that started it has recorded it since. */
export function goExit(json: object): Exit | undefined {
  const state = parseGoRecord(json)?.state;
  if (!state || !("exitCode" in state)) return undefined;
  const { exitCode, completedTime } = state;
  return { exitCode, completedTime };
}

/** A job that no longer runs. Without an exit code, how it ended is not known. */
export function goOrphan(error: string, completedTime: Date, running?: BareProcess): JobState {
  const started = running && { ...running, containment: "session" as const };
  return { status: "orphaned", error, completedTime, ...started };
}

function endedState(job: GoJob, startedTime: Date | undefined, createdTime: Date): JobState {
  const completedTime = timeOf(job.completed_at) ?? startedTime ?? createdTime;
  const { pid, status } = job;
  // Go leaves out a 0; it is -1 where a signal ended the command.
  const exitCode = job.exit_code ?? (status === "completed" ? 0 : -1);
  if (pid && pid > 0 && startedTime && exitCode >= 0) {
    const ended = { pid, startedTime, containment: "session" as const, exitCode, completedTime };
    const error = job.error || undefined;
    switch (status) {
      case "completed":
        if (exitCode === 0) return { status, ...ended };
        return { status: "failed", ...ended, ...defined({ error }) };
      case "failed":
        if (exitCode > 0) return { status, ...ended, ...defined({ error }) };
        break;
      case "cancelled":
      case "canceled":
        if (job.exit_code !== undefined) return { status: "cancelled", ...ended };
    }
  }
  const what = `recorded as ${JSON.stringify(status)}, without an exit code`;
  const running = pid && pid > 0 && startedTime ? { pid, startedTime } : undefined;
  return goOrphan(job.error ? `${what}: ${job.error}` : what, completedTime, running);
}

/** Go's zero time, of the year 1, is none. */
function timeOf(text: string | undefined): Date | undefined {
  const time = new Date(text ?? "");
  return time.getTime() > 0 ? time : undefined;
}

function variablesOf(env: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    env.flatMap((each) => {
      const equals = each.indexOf("=");
      return equals > 0 ? [[each.slice(0, equals), each.slice(equals + 1)]] : [];
    }),
  );
}

/**
 * Orders these jobs by their times, to the microsecond, and before all others, whose
 * sequences begin with 1.
 */
function sequenceOf({ id, started_at, created_at }: GoJob, createdTime: Date): number {
  const micros = /\.\d{3}(\d{3})/.exec(created_at ?? started_at ?? "")?.[1];
  const last = micros ?? String(createHash("sha256").update(id).digest().readUInt32BE() % 1000);
  return createdTime.getTime() * 1000 + Number(last) - Number.MAX_SAFE_INTEGER;
}
