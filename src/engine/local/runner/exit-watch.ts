import { existsSync } from "node:fs";
import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import type { Ticker } from "../../../platform/ticker.js";
import { type PathWatch, watchPath } from "../../../platform/watch-path.js";
import { readExitRecord } from "./runner-records.js";

/** Every so many ticks a job is inspected, in case its runner's pid was reused. */
const FULL_CHECK_TICKS = 30;
/** The same where the kernel tells of the runner's end, and its pid cannot be reused before. */
const TOLD_FULL_CHECK_TICKS = 300;

/** A job to watch for its exit. */
export interface WatchedExit {
  readonly dir: JobDir;
  readonly runnerPid: () => number | undefined;
  /**
   * Whether the end of the runner, which is its last act after the exit record, is still to
   * be told by others: it is a living child of this process.
   */
  readonly isEndTold: () => boolean;
  /** Called whenever the job may have ended. */
  readonly onChange: () => void;
  /** Called every FULL_CHECK_TICKS ticks while it runs. */
  readonly onFullCheck: () => void;
}

let watches = 0;

/**
 * Calls `onChange` whenever a job may have ended. The kernel reports changes of the
 * exit record, unless the runner's end is told, which follows at once; polling finds what it
 * does not report (a killed runner that is no child of this process, a file system without
 * notifications, an exhausted limit of watches).
 * @returns a function that stops watching
 */
export function watchExit(job: WatchedExit, ticker: Ticker): () => void {
  const { dir, runnerPid, isEndTold, onChange, onFullCheck } = job;
  const watch = isEndTold() ? undefined : watchExitRecord(dir, onChange);
  // Staggered, so that not all jobs are inspected at the same tick.
  let ticks = watches++;
  const stopPolling = ticker.add(() => {
    ticks += 1;
    if (ticks % FULL_CHECK_TICKS === 0) onFullCheck();
    const isTold = isEndTold();
    const isDue = ticks % (isTold ? TOLD_FULL_CHECK_TICKS : FULL_CHECK_TICKS) === 0;
    // Also once that was told, in case the job's files could not be read then.
    if (isDue || (!isTold && !processExists(runnerPid()))) onChange();
  });
  return () => {
    watch?.close();
    stopPolling();
  };
}

function watchExitRecord(dir: JobDir, onChange: () => void): PathWatch | undefined {
  // A job of an earlier version has no exit record before its end.
  const hasRecord = existsSync(dir.exit);
  const onNotice = (): void => {
    // The runner writes it in several steps.
    if (!hasRecord || !existsSync(dir.exit) || mayHaveEnded(dir)) onChange();
  };
  return watchPath(hasRecord ? dir.exit : dir.path, onNotice, () => {});
}

/** Whether there is an exit record, or something else in its place, which an inspection tells. */
export function mayHaveEnded({ exit }: JobDir): boolean {
  try {
    return readExitRecord(exit) !== undefined;
  } catch {
    return true;
  }
}

/** The cheapest check there is. A reused pid passes it, until the next full check. */
function processExists(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, "EPERM");
  }
}
