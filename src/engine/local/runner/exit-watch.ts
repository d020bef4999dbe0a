import { existsSync } from "node:fs";
import type { JobDir } from "../../../core/job-dir.js";
import { type PathWatch, watchPath } from "../../../platform/watch-path.js";

/** Every so many polls a job is inspected, in case its runner's pid was reused. */
const FULL_CHECK_TICKS = 30;

/**
 * Tells that jobs may have ended: by the kernel's notice of their exit record,
 * and by a poll for what no notice comes of (a runner that was killed, a file
 * system without notices, a limit of watches reached).
 */
export class ExitWatch {
  readonly #pollIntervalMs: number;
  readonly #watched = new Set<WatchedJob>();
  #timer: NodeJS.Timeout | undefined;
  #ticks = 0;

  constructor(pollIntervalMs: number) {
    this.#pollIntervalMs = pollIntervalMs;
  }

  /** @returns how to stop watching. */
  add(job: WatchedExit): () => void {
    const watched: WatchedJob = { ...job, watch: watchExit(job) };
    this.#watched.add(watched);
    this.#timer ??= setInterval(() => this.#poll(), this.#pollIntervalMs);
    return () => {
      watched.watch?.close();
      this.#watched.delete(watched);
      if (this.#watched.size === 0) this.#stopPolling();
    };
  }

  close(): void {
    for (const { watch } of this.#watched) watch?.close();
    this.#watched.clear();
    this.#stopPolling();
  }

  #poll(): void {
    this.#ticks += 1;
    let position = 0;
    for (const job of this.#watched) {
      position += 1;
      const isFullCheck = (this.#ticks + position) % FULL_CHECK_TICKS === 0;
      if (isFullCheck) job.onFullCheck();
      if (isFullCheck || !processExists(job.runnerPid())) job.onChange();
    }
  }

  #stopPolling(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** A job whose exit is watched for. */
export interface WatchedExit {
  readonly dir: JobDir;
  readonly runnerPid: () => number | undefined;
  /** Called whenever the job may have ended. */
  readonly onChange: () => void;
  /** Called now and then while it runs. */
  readonly onFullCheck: () => void;
}

interface WatchedJob extends WatchedExit {
  readonly watch: PathWatch | undefined;
}

function watchExit({ dir, onChange }: WatchedExit): PathWatch | undefined {
  // Jobs of earlier versions have no exit record before their end.
  const path = existsSync(dir.exit) ? dir.exit : dir.path;
  return watchPath(path, onChange, () => {});
}

/** The cheapest check there is; a reused pid delays the notice until the full one. */
function processExists(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
