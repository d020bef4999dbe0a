import { existsSync } from "node:fs";
import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import type { Ticker } from "../../../platform/ticker.js";
import { watchPath } from "../../../platform/watch-path.js";

/** Every so many polls a job is inspected, in case its runner's pid was reused. */
const FULL_CHECK_TICKS = 30;

/** A job whose exit is watched for. */
export interface WatchedExit {
  readonly dir: JobDir;
  readonly runnerPid: () => number | undefined;
  /** Called whenever the job may have ended. */
  readonly onChange: () => void;
  /** Called now and then while it runs. */
  readonly onFullCheck: () => void;
}

let watches = 0;

/**
 * Tells that a job may have ended: by the kernel's notice of its exit record, and
 * by a poll for what no notice comes of (a runner that was killed, a file system
 * without notices, a limit of watches reached).
 * @returns how to stop watching
 */
export function watchExit(job: WatchedExit, ticker: Ticker): () => void {
  const { dir, runnerPid, onChange, onFullCheck } = job;
  // Jobs of earlier versions have no exit record before their end.
  const path = existsSync(dir.exit) ? dir.exit : dir.path;
  const watch = watchPath(path, onChange, () => {});
  // Not all jobs are inspected at the same tick.
  let ticks = watches++;
  const stopPolling = ticker.add(() => {
    ticks += 1;
    const isFullCheck = ticks % FULL_CHECK_TICKS === 0;
    if (isFullCheck) onFullCheck();
    if (isFullCheck || !processExists(runnerPid())) onChange();
  });
  return () => {
    watch?.close();
    stopPolling();
  };
}

/** The cheapest check there is; a reused pid delays the notice until the full one. */
function processExists(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return hasCode(error, "EPERM");
  }
}
