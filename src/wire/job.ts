import { create } from "@bufbuild/protobuf";
import { type Duration, durationFromMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  JobSchema,
  type Job as ProtoJob,
  type Progress as ProtoProgress,
  ProgressSchema,
} from "../../gen/procman/v1/procman_pb.js";
import type { Exit, Job, Progress, Started } from "../contract/job.js";
import { PROTO_CONTAINMENT, PROTO_STATUS } from "./enums.js";

/** The range of google.protobuf.Duration. */
const MAX_DURATION_MS = 315_576_000_000_000;

/** What only some states of a job have. */
type StateDetails = Partial<Started & Exit & { readonly error: string }>;

export function encodeJob(job: Job): ProtoJob {
  const details: StateDetails = job as StateDetails;
  const { startedTime, completedTime, containment, exitCode, cpuTimeMs } = details;
  return create(JobSchema, {
    id: job.id,
    requestId: job.requestId,
    command: job.command,
    args: [...job.args],
    env: job.env,
    workDir: job.workDir,
    labels: job.labels,
    pid: details.pid ?? 0,
    status: PROTO_STATUS[job.status],
    signal: details.signal ?? "",
    error: details.error ?? "",
    createdTime: timestampFromDate(job.createdTime),
    stdoutBytes: BigInt(job.stdoutBytes),
    stderrBytes: BigInt(job.stderrBytes),
    mergeOutput: job.mergeOutput,
    clearEnv: job.clearEnv,
    logLimitBytes: BigInt(job.logLimitBytes ?? 0),
    stdoutFirstOffset: BigInt(job.stdoutFirstOffset),
    stderrFirstOffset: BigInt(job.stderrFirstOffset),
    pty: job.pty,
    stdin: job.stdin,
    ...(job.windowSize ? { windowSize: job.windowSize } : {}),
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(startedTime ? { startedTime: timestampFromDate(startedTime) } : {}),
    ...(completedTime ? { completedTime: timestampFromDate(completedTime) } : {}),
    ...(containment ? { containment: PROTO_CONTAINMENT[containment] } : {}),
    ...(job.progress ? { progress: encodeProgress(job.progress) } : {}),
    ...(cpuTimeMs === undefined ? {} : { cpuTime: encodeDuration(cpuTimeMs) }),
    ...(job.timeoutMs === undefined ? {} : { timeout: encodeDuration(job.timeoutMs) }),
  });
}

export function encodeProgress(progress: Progress): ProtoProgress {
  const { percent, current, total, unit, rate, etaMs, text } = progress;
  return create(ProgressSchema, {
    unit,
    text,
    ...(percent === undefined ? {} : { percent }),
    ...(current === undefined ? {} : { current }),
    ...(total === undefined ? {} : { total }),
    ...(rate === undefined ? {} : { rate }),
    ...(etaMs === undefined ? {} : { eta: encodeDuration(etaMs) }),
  });
}

/** To the millisecond: the wire takes whole nanoseconds only, and no value out of range. */
function encodeDuration(ms: number): Duration {
  return durationFromMs(Math.min(Math.max(Math.round(ms), 0), MAX_DURATION_MS));
}
