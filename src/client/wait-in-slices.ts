import type { WaitedJob, WaitOptions, WaitUntil } from "../contract/procman.js";
import { isTerminal } from "../contract/job.js";
import { defined } from "../platform/defined.js";

type SliceOptions = Omit<WaitOptions, "signal">;

/**
 * Waits by asking again and again, for a slice of the time each, so that a server that
 * is gone is noticed. Output is searched on from where the last answer left off.
 */
export async function waitInSlices(
  { timeoutMs: totalMs = Number.POSITIVE_INFINITY, until }: SliceOptions,
  sliceMs: number,
  ask: (options: SliceOptions) => Promise<WaitedJob>,
): Promise<WaitedJob> {
  const deadline = performance.now() + totalMs;
  let leftMs = totalMs;
  for (let left = until; ; ) {
    const timeoutMs = Math.min(leftMs, sliceMs);
    const waited = await ask({ timeoutMs, ...defined({ until: left }) });
    if (isOver(waited, until) || leftMs <= sliceMs) return waited;
    left = restOf(left, waited);
    leftMs = Math.max(0, deadline - performance.now());
  }
}

function isOver(waited: WaitedJob, until: WaitUntil | undefined): boolean {
  const { outcome } = waited;
  if (until?.type === "no-remaining") return isTerminal(waited) && !waited.remainingProcesses;
  // There is more output to search, also where the job has ended meanwhile.
  if (outcome?.type === "searched") return false;
  return outcome !== undefined || isTerminal(waited);
}

function restOf(until: WaitUntil | undefined, { outcome }: WaitedJob): WaitUntil | undefined {
  if (until?.type !== "output" || outcome?.type !== "searched") return until;
  const { stdoutOffset, stderrOffset } = outcome;
  return { ...until, stdoutOffset, stderrOffset };
}
