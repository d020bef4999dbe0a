import { ProcmanError } from "../contract/errors.js";
import { Turns } from "../platform/turns.js";
import type { EndedJob } from "./ended-jobs.js";

/** How many are removed at a time: they share the sync that all of them wait for. */
const CONCURRENCY = 8;

export interface Removals {
  readonly removed: readonly string[];
  /** Those that could not be removed, where others could. */
  readonly failed: readonly { readonly job: EndedJob; readonly error: unknown }[];
}

/**
 * Removes ended jobs, and leaves those in place that somebody else removes or whose
 * commands have left processes behind.
 * @param jobs asked for the next one only when that is about to be removed
 * @throws the first failure, where none can be removed: then the others are not tried
 */
export async function removeEnded(
  jobs: Iterable<EndedJob>,
  remove: (id: string) => Promise<void>,
  maxRemovals = Number.POSITIVE_INFINITY,
): Promise<Removals> {
  const removed: string[] = [];
  const failed: { readonly job: EndedJob; readonly error: unknown }[] = [];
  const turns = new Turns();
  const iterator = jobs[Symbol.iterator]();
  let isOver = false;
  const removeSome = async () => {
    for (;;) {
      await turns.next();
      if (isOver || removed.length >= maxRemovals) return;
      const { value: job, done } = iterator.next();
      if (done) return;
      try {
        await remove(job.id);
        removed.push(job.id);
      } catch (error) {
        if (!isSkipped(error)) failed.push({ job, error });
        // Where none can be removed, there is no use in trying the others.
        if (failed.length > 0 && removed.length === 0) isOver = true;
      }
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, removeSome));
  if (failed[0] && removed.length === 0) throw failed[0].error;
  return { removed, failed };
}

/** Whether a job is no failure that is left in place. */
function isSkipped(error: unknown): boolean {
  if (!(error instanceof ProcmanError)) return false;
  switch (error.reason) {
    // Somebody else has removed it.
    case "JOB_NOT_FOUND":
    // Processes that it left behind are being ended, or go on.
    case "JOB_RUNNING":
    case "JOB_HAS_PROCESSES":
    // It was logged, and is left in place.
    case "RECORD_UNREADABLE":
      return true;
    default:
      return false;
  }
}
