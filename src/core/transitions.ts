import {
  type Exit,
  type FailureReason,
  isTerminal,
  type JobSpec,
  type JobState,
  leaseError,
  type Started,
  type Status,
  timeoutError,
} from "../contract/job.js";
import { defined } from "../platform/defined.js";
import type { JobRecord, Observation } from "./ports.js";

/** A command's end, with what else is known of it. */
type Ended = Exit & Pick<Extract<Observation, { kind: "exited" }>, "notExecuted" | "outOfMemory">;

/** Why a job is stopped. The first stop that is recorded counts. */
export type StopKind = "cancel" | "timeout";

/** An event in a job's life. */
export type JobEvent =
  | { readonly type: "started" }
  | { readonly type: "exited"; readonly exitCode: number; readonly stop?: StopKind }
  | { readonly type: "vanished" };

/**
 * Returns a job's status after an event. This is the whole state machine.
 * @throws RangeError for an event that cannot happen in that status; none can in a
 * terminal one
 */
export function nextStatus(status: Status, event: JobEvent): Status {
  switch (status) {
    case "pending":
      return event.type === "started" ? "running" : endedStatus(event);
    case "running":
      if (event.type === "started") break;
      return endedStatus(event);
    case "completed":
    case "failed":
    case "cancelled":
    case "orphaned":
      break;
  }
  throw new RangeError(`a job that is ${status} cannot have "${event.type}" happen to it`);
}

function endedStatus(event: Exclude<JobEvent, { type: "started" }>): Status {
  if (event.type === "vanished") return "orphaned";
  if (event.stop === "cancel") return "cancelled";
  if (event.stop === "timeout") return "failed";
  return event.exitCode === 0 ? "completed" : "failed";
}

/**
 * Returns the record updated by an observation, or the very same record where that
 * says nothing new. Pure; recovery, Refresh and the exit watcher all end here.
 */
export function advanceRecord(record: JobRecord, observation: Observation, now: Date): JobRecord {
  const { state } = record;
  if (isTerminal(state)) return record;
  switch (observation.kind) {
    case "starting":
      return record;
    case "not-started":
      if (state.status === "pending") return record;
      return orphan(record, "the record of its process was deleted or damaged", now);
    case "alive":
      if (state.status === "running") return record;
      return started(record, startOf(observation));
    case "exited": {
      const start = state.status === "running" ? state : startIn(observation);
      if (!start) return orphan(record, "it is not known which process it was", now);
      return ended(record, { ...observation, ...startOf(start) });
    }
    case "gone":
      return orphan(record, observation.reason, now, observation.started);
  }
}

/** Returns a new job's record, before anything runs. */
export function pendingRecord(
  spec: JobSpec,
  sequence: number,
  defaultLogLimitBytes: number | undefined,
): JobRecord {
  const record: JobRecord = {
    spec,
    sequence,
    createdTime: new Date(),
    state: { status: "pending" },
  };
  const takesDefault = spec.logLimitBytes === undefined && defaultLogLimitBytes !== undefined;
  return takesDefault ? { ...record, defaultLogLimitBytes } : record;
}

/** Returns the limit in force for a job's logs. */
export function logLimitOf({ spec, defaultLogLimitBytes }: JobRecord): number | undefined {
  return spec.logLimitBytes ?? defaultLogLimitBytes;
}

/** Returns how long a job's lease is now. */
export function leaseOf({ spec, renewedLeaseMs }: JobRecord): number | undefined {
  return renewedLeaseMs ?? spec.leaseMs;
}

/** Returns a pending job's record once its command runs. */
export function started(record: JobRecord, start: Started): JobRecord {
  const status = nextStatus(record.state.status, { type: "started" });
  if (status !== "running") throw new RangeError(`a started job cannot be ${status}`);
  return { ...record, state: { status, ...startOf(start) } };
}

function ended(record: JobRecord, seen: Started & Ended): JobRecord {
  const { stop } = record;
  const status = nextStatus(record.state.status, {
    type: "exited",
    exitCode: seen.exitCode,
    ...defined({ stop: stop?.kind }),
  });
  const facts: Started & Exit = {
    ...startOf(seen),
    exitCode: seen.exitCode,
    completedTime: seen.completedTime,
    ...defined({ signal: seen.signal, cpuTimeMs: seen.cpuTimeMs }),
  };
  switch (status) {
    case "completed":
      return { ...record, state: { status, ...facts } };
    case "cancelled": {
      const leaseMs = stop?.expiredLeaseMs;
      const error = leaseMs === undefined ? undefined : leaseError(leaseMs);
      return { ...record, state: { status, ...facts, ...defined({ error }) } };
    }
    case "failed": {
      return { ...record, state: { status, ...facts, ...failure(record, seen) } };
    }
    case "pending":
    case "running":
    case "orphaned":
      throw new RangeError(`a job with an exit record cannot be ${status}`);
  }
}

/** What a job that failed says of why, where it is not only that the command did. */
function failure(
  { spec, stop }: JobRecord,
  { notExecuted, outOfMemory }: Ended,
): { readonly error?: string; readonly reason?: FailureReason } {
  if (notExecuted !== undefined) {
    return { error: `the command could not be executed: ${notExecuted}` };
  }
  if (stop?.kind === "timeout") return { error: timeoutError(spec.timeoutMs) };
  if (!outOfMemory) return {};
  const { killedProcesses, isOwnLimit } = outOfMemory;
  const limit = isOwnLimit ? spec.limits?.memoryMaxBytes : undefined;
  const where = limit === undefined ? "" : ` at its limit of ${limit} bytes`;
  const what = killedProcesses === 1 ? "a process" : `${killedProcesses} processes`;
  const error = `out of memory: the kernel ended ${what} of the job${where}`;
  return { error, reason: "OUT_OF_MEMORY" };
}

function orphan(record: JobRecord, error: string, now: Date, seen?: Started): JobRecord {
  nextStatus(record.state.status, { type: "vanished" });
  const start = record.state.status === "running" ? record.state : seen;
  const state: JobState = { status: "orphaned", error, completedTime: now };
  return { ...record, state: start ? { ...state, ...startOf(start) } : state };
}

function startIn({ pid, startedTime, containment }: Partial<Started>): Started | undefined {
  if (pid === undefined || !startedTime || !containment) return undefined;
  return { pid, startedTime, containment };
}

function startOf({ pid, startedTime, containment }: Started): Started {
  return { pid, startedTime, containment };
}
