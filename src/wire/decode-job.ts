import { durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type {
  Job as ProtoJob,
  Progress as ProtoProgress,
} from "../../gen/procman/v1/procman_pb.js";
import type { Exit, Job, JobSpec, JobState, Progress, Started } from "../contract/job.js";
import { malformed } from "./malformed.js";
import { containmentOf, statusOf } from "./client-proto-enums.js";

/** @throws ProcmanError INTERNAL for what is no job that this version knows. */
export function decodeJob(job: ProtoJob | undefined): Job {
  if (!job) throw malformed("a response without its job");
  return {
    ...decodeSpec(job),
    ...decodeState(job),
    createdTime: decodeTime(job, "created_time", job.createdTime),
    stdoutBytes: Number(job.stdoutBytes),
    stderrBytes: Number(job.stderrBytes),
    stdoutFirstOffset: Number(job.stdoutFirstOffset),
    stderrFirstOffset: Number(job.stderrFirstOffset),
    ...(job.progress ? { progress: decodeProgress(job.progress) } : {}),
  };
}

export function decodeProgress(progress: ProtoProgress): Progress {
  const { percent, current, total, unit, rate, eta, text } = progress;
  return {
    unit,
    text,
    ...(percent === undefined ? {} : { percent }),
    ...(current === undefined ? {} : { current }),
    ...(total === undefined ? {} : { total }),
    ...(rate === undefined ? {} : { rate }),
    ...(eta ? { etaMs: durationMs(eta) } : {}),
  };
}

function decodeSpec(job: ProtoJob): JobSpec {
  const { id, requestId, command, args, env, workDir, labels, mergeOutput, timeout } = job;
  const { pty, stdin, windowSize } = job;
  return {
    id,
    requestId,
    command,
    args,
    env,
    clearEnv: job.clearEnv,
    workDir,
    labels,
    mergeOutput,
    ...(timeout ? { timeoutMs: durationMs(timeout) } : {}),
    ...(job.logLimitBytes === 0n ? {} : { logLimitBytes: Number(job.logLimitBytes) }),
    pty,
    stdin,
    ...(windowSize ? { windowSize: { rows: windowSize.rows, columns: windowSize.columns } } : {}),
  };
}

function decodeState(job: ProtoJob): JobState {
  const status = statusOf(job.status);
  switch (status) {
    case "pending":
      return { status };
    case "running":
      return { status, ...decodeStarted(job) };
    case "completed":
    case "cancelled":
      return { status, ...decodeStarted(job), ...decodeExit(job) };
    case "failed":
      return {
        status,
        ...decodeStarted(job),
        ...decodeExit(job),
        ...(job.error === "" ? {} : { error: job.error }),
      };
    case "orphaned":
      return {
        status,
        error: job.error,
        completedTime: decodeTime(job, "completed_time", job.completedTime),
        ...(job.startedTime ? decodeStarted(job) : {}),
      };
    case undefined:
      throw malformed(`job ${job.id} with the unknown status ${job.status}`);
  }
}

function decodeStarted(job: ProtoJob): Started {
  return {
    pid: job.pid,
    startedTime: decodeTime(job, "started_time", job.startedTime),
    // The one that promises less, where it is not told.
    containment: containmentOf(job.containment) ?? "session",
  };
}

function decodeExit(job: ProtoJob): Exit {
  const { exitCode, signal, cpuTime } = job;
  if (exitCode === undefined) throw missing(job, "exit_code");
  return {
    exitCode,
    completedTime: decodeTime(job, "completed_time", job.completedTime),
    ...(signal === "" ? {} : { signal }),
    ...(cpuTime ? { cpuTimeMs: durationMs(cpuTime) } : {}),
  };
}

function decodeTime(job: ProtoJob, field: string, time: Timestamp | undefined): Date {
  if (!time) throw missing(job, field);
  return timestampDate(time);
}

function missing(job: ProtoJob, field: string): Error {
  return malformed(`job ${job.id} in status ${statusOf(job.status)} without its ${field}`);
}
