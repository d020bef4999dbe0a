import { isTerminal } from "../contract/job.js";
import { invalidArgument } from "../contract/errors.js";
import type { OutputPeriod, OutputStart } from "../contract/procman.js";
import { STREAMS } from "../contract/job.js";
import { createLinkedAbortController, IS_OVER } from "../platform/abort-signals.js";
import { defined } from "../platform/defined.js";
import { startTimer } from "../platform/timers.js";
import type { ManagedJob } from "./managed-job.js";
import type { OutputPositions, OutputTimes, ReadingOptions } from "./ports.js";

export interface PeriodOptions extends OutputStart, OutputPeriod {
  /** Go on with new output. */
  readonly follow: boolean;
  /** Begin where a line begins. */
  readonly wholeLines?: boolean;
  readonly signal?: AbortSignal;
}

/** What of a job's output is to be read. */
export interface OutputRange {
  readonly from: OutputPositions;
  readonly reading: ReadingOptions;
  /** All before these bytes was written before the period; a line may begin there and go on. */
  readonly begin: OutputPositions;
  /** Where it was asked for when output was written. */
  readonly times: OutputTimes | undefined;
  /** To be called when it was read. */
  close(): void;
}

/**
 * Finds the output that a caller wants: from a place or a time on, up to a time or the end.
 * What may have been written in the period is in it, and what certainly was not is not.
 * @throws ProcmanError INVALID_ARGUMENT, OFFSET_OUT_OF_RANGE
 */
export async function openRange(job: ManagedJob, options: PeriodOptions): Promise<OutputRange> {
  const { sinceTime, untilTime, writtenTimes = false, wholeLines = false } = options;
  const { follow, signal } = options;
  if (sinceTime && untilTime && sinceTime > untilTime) {
    throw invalidArgument("until_time", "must not be before since_time");
  }
  const ended = follow ? job.ended : undefined;
  if (!sinceTime && !untilTime && !writtenTimes) {
    const from = await job.logs.resolveStart(options);
    return { from, reading: defined({ ended, signal }), begin: {}, times: undefined, close() {} };
  }
  const times = openTimes(job);
  let over: AbortController | undefined;
  let cancelTimer = () => {};
  const close = () => {
    times.close();
    cancelTimer();
    over?.abort(IS_OVER);
  };
  try {
    const isPast = untilTime !== undefined && untilTime.getTime() <= Date.now();
    const to = isPast ? eachStream((stream) => times.endOf(stream, untilTime)) : undefined;
    if (untilTime && !isPast && ended) {
      over = createLinkedAbortController(ended);
      const { abort } = untilOver(untilTime, over);
      cancelTimer = abort;
    }
    const begin = sinceTime && (await beginOf(job, times, sinceTime));
    const lines = begin && wholeLines ? await job.logs.lineStarts(begin) : begin;
    const from = await job.logs.resolveStart(options, defined({ begin: lines, end: to }));
    const reading = defined({ ended: isPast ? undefined : (over?.signal ?? ended), to, signal });
    return { from, reading, begin: begin ?? {}, times: writtenTimes ? times : undefined, close };
  } catch (error) {
    close();
    throw error;
  }
}

function openTimes(job: ManagedJob): OutputTimes {
  const { createdTime, state } = job.record;
  const completedTime = isTerminal(state) ? state.completedTime : undefined;
  return job.logs.openTimes({ createdTime, ...defined({ completedTime }) });
}

/** Ends what is read once the wall clock has come to a time, also where that was set meanwhile. */
function untilOver(untilTime: Date, over: AbortController): { abort: () => void } {
  let cancel = () => {};
  const arm = () => {
    const leftMs = untilTime.getTime() - Date.now();
    if (leftMs <= 0) over.abort(IS_OVER);
    else cancel = startTimer(leftMs, arm);
  };
  arm();
  return { abort: () => cancel() };
}

async function beginOf(job: ManagedJob, times: OutputTimes, since: Date): Promise<OutputPositions> {
  const { stdoutBytes, stderrBytes } = await job.logs.sizes();
  const sizes = { stdout: stdoutBytes, stderr: stderrBytes };
  return eachStream((stream) => Math.min(times.beginOf(stream, since), sizes[stream]));
}

function eachStream(find: (stream: (typeof STREAMS)[number]) => number) {
  return { stdout: find("stdout"), stderr: find("stderr") };
}
