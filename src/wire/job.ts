import { create } from "@bufbuild/protobuf";
import { durationMs, type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import {
  JobSchema,
  LimitsSchema,
  type Job as ProtoJob,
  type Progress as ProtoProgress,
  ProgressSchema,
  type Usage as ProtoUsage,
  UsageSchema,
} from "../../gen/procman/v1/procman_pb.js";
import {
  type Exit,
  FAILURE_REASONS,
  type FailureReason,
  type Job,
  type JobSpec,
  type JobState,
  type Progress,
  type SentSignal,
  type Started,
  type Stream,
  TRUNCATED_FIELDS,
  type TruncatedField,
  type Usage,
} from "../contract/job.js";
import { defined } from "../platform/defined.js";
import { onceForEach } from "../platform/once-for-each.js";
import { CONTAINMENT, OUTPUT, STATUS, STREAM } from "./enums.js";
import { malformedResponse } from "./error-map.js";
import { decodeJobOnEnd, decodeOnEndResult, encodeOnEnd, encodeOnEndResult } from "./on-end.js";
import {
  decodeName,
  decodeLimits,
  decodeSoftLimits,
  decodeUmask,
  decodeWindowSize,
  encodeDuration,
  encodeLimits,
  encodeSoftLimits,
  encodeTime,
  encodeUmask,
} from "./fields.js";

/** What only some states of a job have. */
type StateDetails = Partial<
  Started & Exit & { readonly error: string; readonly reason: FailureReason }
>;

/** Encodes a job. The result is the same object for the same job: it must not be changed either. */
export const encodeJob = onceForEach((job: Job): ProtoJob => {
  const details: StateDetails = job as StateDetails;
  return create(JobSchema, {
    id: job.id,
    requestId: job.requestId,
    name: job.name ?? "",
    previousId: job.previousId ?? "",
    command: job.command,
    args: [...job.args],
    env: job.env,
    clearEnv: job.clearEnv,
    workDir: job.workDir,
    labels: job.labels,
    mergeOutput: job.mergeOutput,
    output: OUTPUT.encode(job.output),
    logLimitBytes: BigInt(job.logLimitBytes ?? 0),
    pty: job.pty,
    stdin: job.stdin,
    umask: encodeUmask(job.umask),
    softLimits: encodeSoftLimits(job.softLimits ?? {}),
    endRemaining: job.endRemaining ?? false,
    remainingProcesses: job.remainingProcesses ?? 0,
    status: STATUS.encode(job.status),
    pid: details.pid ?? 0,
    signal: details.signal ?? "",
    error: details.error ?? "",
    reason: details.reason ?? "",
    stdoutBytes: BigInt(job.stdoutBytes),
    stderrBytes: BigInt(job.stderrBytes),
    stdoutFirstOffset: BigInt(job.stdoutFirstOffset),
    stderrFirstOffset: BigInt(job.stderrFirstOffset),
    truncatedFields: [...(job.truncatedFields ?? [])],
    stdoutTruncations: job.truncations?.stdout ?? 0,
    stderrTruncations: job.truncations?.stderr ?? 0,
    missingLogs: STREAM.encodeList("missing_logs", job.missingLogs),
    ...defined({
      timeout: encodeDuration(job.timeoutMs),
      lease: encodeDuration(job.leaseMs),
      leaseExpireTime: encodeTime(job.leaseExpireTime),
      windowSize: job.windowSize,
      nice: job.nice,
      limits: job.limits && create(LimitsSchema, encodeLimits(job.limits)),
      containment: details.containment && CONTAINMENT.encode(details.containment),
      exitCode: details.exitCode,
      cpuTime: encodeDuration(details.cpuTimeMs),
      createdTime: encodeTime(job.createdTime),
      startedTime: encodeTime(details.startedTime),
      completedTime: encodeTime(details.completedTime),
      progress: job.progress && encodeProgress(job.progress),
      lastSignal: job.lastSignal?.name,
      onEnd: job.onEnd && encodeOnEnd(job.onEnd),
      onEndResult: job.onEndResult && encodeOnEndResult(job.onEndResult),
      lastSignalTime: encodeTime(job.lastSignal?.sentTime),
      usage: job.usage && encodeUsage(job.usage),
    }),
  });
});

/** @throws ProcmanError INTERNAL for what is no job that this version knows */
export function decodeJob(job: ProtoJob | undefined): Job {
  if (!job) throw malformedResponse("a response without its job");
  return {
    ...decodeSpec(job),
    ...decodeState(job),
    createdTime: decodeTime(job, "created_time", job.createdTime),
    stdoutBytes: Number(job.stdoutBytes),
    stderrBytes: Number(job.stderrBytes),
    stdoutFirstOffset: Number(job.stdoutFirstOffset),
    stderrFirstOffset: Number(job.stderrFirstOffset),
    ...defined({
      leaseExpireTime: job.leaseExpireTime && timestampDate(job.leaseExpireTime),
      progress: job.progress && decodeProgress(job.progress),
      truncatedFields: decodeTruncatedFields(job),
      lastSignal: decodeLastSignal(job),
      usage: job.usage && decodeUsage(job.usage),
      truncations: decodeTruncations(job),
      missingLogs: decodeMissingLogs(job),
      remainingProcesses: job.remainingProcesses || undefined,
      onEndResult: job.onEndResult && decodeOnEndResult(job.onEndResult),
    }),
  };
}

function decodeTruncatedFields(job: ProtoJob): TruncatedField[] | undefined {
  const fields = TRUNCATED_FIELDS.filter((field) => job.truncatedFields.includes(field));
  return fields.length === 0 ? undefined : fields;
}

function decodeLastSignal({ lastSignal, lastSignalTime }: ProtoJob): SentSignal | undefined {
  return lastSignalTime && { name: lastSignal, sentTime: timestampDate(lastSignalTime) };
}

function decodeTruncations({ stdoutTruncations, stderrTruncations }: ProtoJob): Job["truncations"] {
  if (stdoutTruncations === 0 && stderrTruncations === 0) return undefined;
  return {
    ...(stdoutTruncations > 0 && { stdout: stdoutTruncations }),
    ...(stderrTruncations > 0 && { stderr: stderrTruncations }),
  };
}

function decodeMissingLogs({ missingLogs }: ProtoJob): Stream[] | undefined {
  const streams = missingLogs.flatMap((stream) => STREAM.decode(stream) ?? []);
  return streams.length === 0 ? undefined : streams;
}

function decodeSpec(job: ProtoJob): JobSpec {
  const { id, requestId, command, args, env, clearEnv, workDir, labels, mergeOutput } = job;
  const { timeout, logLimitBytes, pty, windowSize, stdin, name, previousId } = job;
  const { umask, nice, softLimits, limits, endRemaining, lease, onEnd } = job;
  return {
    id: decodeName("an id", id),
    requestId,
    command,
    args,
    env,
    clearEnv,
    workDir,
    labels,
    mergeOutput,
    // An older server has no other.
    output: OUTPUT.decode(job.output) ?? "file",
    pty,
    stdin,
    ...defined({
      name: decodeName("a name", name) || undefined,
      previousId: decodeName("an id", previousId) || undefined,
      timeoutMs: timeout && durationMs(timeout),
      leaseMs: lease && durationMs(lease),
      logLimitBytes: Number(logLimitBytes) || undefined,
      windowSize: windowSize && decodeWindowSize(windowSize),
      umask: decodeUmask(umask),
      nice,
      softLimits: decodeSoftLimits(softLimits),
      endRemaining: endRemaining || undefined,
      limits: decodeLimits(limits),
      onEnd: onEnd && decodeJobOnEnd(onEnd),
    }),
  };
}

function decodeState(job: ProtoJob): JobState {
  const status = STATUS.decode(job.status);
  switch (status) {
    case "pending":
      return { status };
    case "running":
      return { status, ...decodeStarted(job) };
    case "completed":
      return { status, ...decodeStarted(job), ...decodeExit(job) };
    case "cancelled":
    case "failed": {
      const error = job.error || undefined;
      // A word that a newer server knows is passed over; its error says it too.
      const reason = FAILURE_REASONS.find((each) => each === job.reason);
      return { status, ...decodeStarted(job), ...decodeExit(job), ...defined({ error, reason }) };
    }
    case "orphaned":
      return {
        status,
        error: job.error,
        completedTime: decodeTime(job, "completed_time", job.completedTime),
        ...(job.startedTime && decodeStarted(job)),
      };
    case undefined:
      throw malformedResponse(`job ${job.id} with the unknown status ${job.status}`);
  }
}

function decodeStarted(job: ProtoJob): Started {
  return {
    pid: job.pid,
    startedTime: decodeTime(job, "started_time", job.startedTime),
    // The one that promises less, where it is not told.
    containment: CONTAINMENT.decode(job.containment) ?? "session",
  };
}

function decodeExit(job: ProtoJob): Exit {
  const { exitCode, signal, cpuTime } = job;
  if (exitCode === undefined) throw missing(job, "exit_code");
  return {
    exitCode,
    completedTime: decodeTime(job, "completed_time", job.completedTime),
    ...defined({
      signal: decodeName("a signal", signal) || undefined,
      cpuTimeMs: cpuTime && durationMs(cpuTime),
    }),
  };
}

function decodeTime(job: ProtoJob, field: string, time: Timestamp | undefined): Date {
  if (!time) throw missing(job, field);
  return timestampDate(time);
}

function missing(job: ProtoJob, field: string): Error {
  return malformedResponse(
    `job ${job.id} in status ${STATUS.decode(job.status)} without its ${field}`,
  );
}

export function encodeProgress(progress: Progress): ProtoProgress {
  const { percent, current, total, unit, rate, etaMs, text } = progress;
  const eta = encodeDuration(etaMs);
  return create(ProgressSchema, {
    unit,
    text,
    ...defined({ percent, current, total, rate, eta }),
  });
}

export function decodeProgress(progress: ProtoProgress): Progress {
  const { percent, current, total, unit, rate, eta, text } = progress;
  const etaMs = eta && durationMs(eta);
  return { unit, text, ...defined({ percent, current, total, rate, etaMs }) };
}

function encodeUsage(usage: Usage): ProtoUsage {
  const { memoryBytes, memoryPeakBytes, processes, readBytes, writtenBytes } = usage;
  return create(
    UsageSchema,
    defined({
      cpuTime: encodeDuration(usage.cpuTimeMs),
      memoryBytes: encodeSize(memoryBytes),
      memoryPeakBytes: encodeSize(memoryPeakBytes),
      processes,
      readBytes: encodeSize(readBytes),
      writtenBytes: encodeSize(writtenBytes),
      lastOutputTime: encodeTime(usage.lastOutputTime),
      measuredTime: encodeTime(usage.measuredTime),
    }),
  );
}

function encodeSize(bytes: number | undefined): bigint | undefined {
  return bytes === undefined ? undefined : BigInt(bytes);
}

/** Returns undefined for what does not say when it was measured. */
function decodeUsage(usage: ProtoUsage): Usage | undefined {
  const { cpuTime, processes, lastOutputTime, measuredTime } = usage;
  if (!measuredTime) return undefined;
  return {
    measuredTime: timestampDate(measuredTime),
    ...defined({
      cpuTimeMs: cpuTime && durationMs(cpuTime),
      memoryBytes: decodeSize(usage.memoryBytes),
      memoryPeakBytes: decodeSize(usage.memoryPeakBytes),
      processes,
      readBytes: decodeSize(usage.readBytes),
      writtenBytes: decodeSize(usage.writtenBytes),
      lastOutputTime: lastOutputTime && timestampDate(lastOutputTime),
    }),
  };
}

function decodeSize(bytes: bigint | undefined): number | undefined {
  return bytes === undefined ? undefined : Number(bytes);
}
