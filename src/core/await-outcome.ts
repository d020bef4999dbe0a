import type { OutputPattern, WaitOptions, WaitOutcome, WaitUntil } from "../contract/procman.js";
import { LinePattern } from "./line-pattern.js";
import type { JobLogs, JobProcess } from "./ports.js";
import { validDuration, validPort } from "./validate.js";
import { anyAborted } from "../platform/abort-signals.js";
import { createDeadline, sleep } from "../platform/timers.js";

/** How long looking once at output that is already there may take. */
const LONGEST_LOOK_MS = 10_000;

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;
/** Looks that are slow, as with very many processes, come less often still. */
const PAUSES_A_LOOK = 20;
const LONGEST_SLOW_PAUSE_MS = 2000;

/** The job that is waited for, and what is asked about it. */
export interface AwaitedJob {
  /** Aborted once it has ended. */
  readonly ended: AbortSignal;
  readonly process: Pick<JobProcess, "listeningPort">;
  readonly logs: Pick<JobLogs, "resolveStart" | "findLine">;
}

interface Patience {
  readonly looksOnce: boolean;
  /** Aborted when the timeout has passed. */
  readonly enough: AbortSignal | undefined;
  /** Aborted when the caller gives up; the wait fails with its reason. */
  readonly signal: AbortSignal;
}

/**
 * Waits for what `until` says, at most until the job has ended or the timeout
 * has passed.
 * @returns undefined when it has not come
 * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE; the signal's reason
 */
export async function awaitOutcome(
  job: AwaitedJob,
  { until, timeoutMs }: WaitOptions,
  signal: AbortSignal,
): Promise<WaitOutcome | undefined> {
  if (timeoutMs !== undefined) validDuration("timeout", timeoutMs);
  const looksOnce = timeoutMs === 0;
  const limitMs = looksOnce && until?.type === "output" ? LONGEST_LOOK_MS : timeoutMs;
  const timeout = limitMs === undefined ? undefined : createDeadline(limitMs);
  const patience: Patience = { looksOnce, enough: timeout?.signal, signal };
  try {
    if (until) return await outcomeOf(until, job, patience);
    await anyAborted(job.ended, timeout?.signal, signal);
    if (!job.ended.aborted) signal.throwIfAborted();
    return undefined;
  } finally {
    timeout?.cancel();
  }
}

function outcomeOf(
  until: WaitUntil,
  job: AwaitedJob,
  patience: Patience,
): Promise<WaitOutcome | undefined> {
  switch (until.type) {
    case "output":
      return matchingLine(until, job, patience);
    case "port":
      return listeningPort(until.port, job, patience);
  }
}

async function matchingLine(
  wanted: OutputPattern,
  { ended, logs }: AwaitedJob,
  { looksOnce, enough, signal }: Patience,
): Promise<WaitOutcome | undefined> {
  const pattern = new LinePattern(wanted.pattern);
  const from = await logs.resolveStart(wanted);
  return logs.findLine(from, pattern, {
    ...(looksOnce && !ended.aborted ? {} : { ended }),
    ...(enough ? { enough } : {}),
    signal,
  });
}

async function listeningPort(
  wanted: number,
  { ended, process }: AwaitedJob,
  { looksOnce, enough, signal }: Patience,
): Promise<WaitOutcome | undefined> {
  validPort(wanted);
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    if (ended.aborted) return undefined;
    signal.throwIfAborted();
    const began = performance.now();
    const port = await process.listeningPort(wanted);
    // What an ended job has left behind may listen on.
    if (ended.aborted) return undefined;
    if (port !== undefined) return { type: "port", port };
    if (looksOnce || enough?.aborted) return undefined;

    const byCostMs = (performance.now() - began) * PAUSES_A_LOOK;
    const delayMs = Math.max(pauseMs, Math.min(byCostMs, LONGEST_SLOW_PAUSE_MS));
    await sleep(delayMs, ended, enough, signal);
  }
}
