import type { OutputPattern, WaitOptions, WaitOutcome, WaitUntil } from "../contract/procman.js";
import { anyAborted } from "../platform/abort-signals.js";
import { defined } from "../platform/defined.js";
import { createDeadline, sleep } from "../platform/timers.js";
import { LinePattern } from "./line-pattern.js";
import type { JobLogs, JobProcess } from "./ports.js";
import { validDuration, validPort } from "./validate.js";

/** Bounds a search of existing output by a caller that does not want to wait. */
const SINGLE_CHECK_TIMEOUT_MS = 10_000;

const INITIAL_BACKOFF_MS = 20;
const MAX_BACKOFF_MS = 250;
/** After a slow check (there may be very many processes), wait this many times its duration. */
const SLOW_CHECK_BACKOFF_FACTOR = 20;
const MAX_SLOW_CHECK_BACKOFF_MS = 2000;

/** The parts of a job that a wait needs. */
export interface AwaitedJob {
  /** Aborted once the job has ended. */
  readonly ended: AbortSignal;
  /** Aborted once it has ended and nothing of it is left. */
  readonly noneRemain: AbortSignal;
  readonly process: Pick<JobProcess, "listeningPort">;
  readonly logs: Pick<JobLogs, "resolveStart" | "findLine">;
}

interface WaitLimits {
  /** Check once instead of waiting. */
  readonly isSingleCheck: boolean;
  /** Aborted when the timeout has passed. */
  readonly timeout: AbortSignal | undefined;
  /** Aborted when the caller gives up; the wait fails with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Waits for what `until` names, until the job has ended or the timeout has passed.
 * @returns undefined where it did not happen
 * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE; the signal's reason
 */
export async function awaitOutcome(
  job: AwaitedJob,
  { until, timeoutMs }: WaitOptions,
  signal: AbortSignal,
): Promise<WaitOutcome | undefined> {
  if (timeoutMs !== undefined) validDuration("timeout", timeoutMs);
  const isSingleCheck = timeoutMs === 0;
  const limitMs = isSingleCheck && until?.type === "output" ? SINGLE_CHECK_TIMEOUT_MS : timeoutMs;
  const deadline = limitMs === undefined ? undefined : createDeadline(limitMs);
  const limits: WaitLimits = { isSingleCheck, timeout: deadline?.signal, signal };
  try {
    if (until) return await outcomeOf(until, job, limits);
    await anyAborted(job.ended, deadline?.signal, signal);
    if (!job.ended.aborted) signal.throwIfAborted();
    return undefined;
  } finally {
    deadline?.cancel();
  }
}

function outcomeOf(
  until: WaitUntil,
  job: AwaitedJob,
  limits: WaitLimits,
): Promise<WaitOutcome | undefined> {
  switch (until.type) {
    case "output":
      return matchingLine(until, job, limits);
    case "port":
      return listeningPort(until.port, job, limits);
    case "no-remaining":
      return noneRemain(job, limits);
  }
}

/** What has become of it, the job tells. */
async function noneRemain(
  { noneRemain }: AwaitedJob,
  { timeout, signal }: WaitLimits,
): Promise<undefined> {
  await anyAborted(noneRemain, timeout, signal);
  if (!noneRemain.aborted) signal.throwIfAborted();
}

async function matchingLine(
  wanted: OutputPattern,
  { ended, logs }: AwaitedJob,
  { isSingleCheck, timeout, signal }: WaitLimits,
): Promise<WaitOutcome | undefined> {
  const pattern = new LinePattern(wanted.pattern);
  const from = await logs.resolveStart(wanted);
  const follow = ended.aborted || !isSingleCheck;
  const options = defined({ ended: follow ? ended : undefined, timeout });
  return logs.findLine(from, pattern, { ...options, signal });
}

async function listeningPort(
  wanted: number,
  { ended, process }: AwaitedJob,
  { isSingleCheck, timeout, signal }: WaitLimits,
): Promise<WaitOutcome | undefined> {
  validPort(wanted);
  for (
    let backoffMs = INITIAL_BACKOFF_MS;
    ;
    backoffMs = Math.min(backoffMs * 1.5, MAX_BACKOFF_MS)
  ) {
    if (ended.aborted) return undefined;
    signal.throwIfAborted();
    const began = performance.now();
    const port = await process.listeningPort(wanted);
    // A process that the ended job left behind may still listen: that does not count.
    if (ended.aborted) return undefined;
    if (port !== undefined) return { type: "port", port };
    if (isSingleCheck || timeout?.aborted) return undefined;

    const slowCheckMs = (performance.now() - began) * SLOW_CHECK_BACKOFF_FACTOR;
    const delayMs = Math.max(backoffMs, Math.min(slowCheckMs, MAX_SLOW_CHECK_BACKOFF_MS));
    await sleep(delayMs, ended, timeout, signal);
  }
}
