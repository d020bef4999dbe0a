import { existsSync, type FSWatcher, watch } from "node:fs";
import { join } from "node:path";

/** Every so many polls a job is looked at whole, in case its runner's pid was reused. */
const FULL_LOOK_TICKS = 30;

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
  add(dir: string, runnerPid: () => number | undefined, onChange: () => void): () => void {
    const job: WatchedJob = { runnerPid, onChange, watcher: watchExitFile(dir, onChange) };
    this.#watched.add(job);
    this.#timer ??= setInterval(() => this.#poll(), this.#pollIntervalMs);
    return () => {
      job.watcher?.close();
      this.#watched.delete(job);
      if (this.#watched.size === 0) this.#stopPolling();
    };
  }

  close(): void {
    for (const job of this.#watched) job.watcher?.close();
    this.#watched.clear();
    this.#stopPolling();
  }

  #poll(): void {
    this.#ticks += 1;
    let position = 0;
    for (const job of this.#watched) {
      position += 1;
      const fullLook = (this.#ticks + position) % FULL_LOOK_TICKS === 0;
      if (fullLook || !processExists(job.runnerPid())) job.onChange();
    }
  }

  #stopPolling(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

interface WatchedJob {
  readonly runnerPid: () => number | undefined;
  readonly onChange: () => void;
  readonly watcher: FSWatcher | undefined;
}

function watchExitFile(dir: string, onChange: () => void): FSWatcher | undefined {
  const file = join(dir, "exit");
  try {
    const watcher = watch(existsSync(file) ? file : dir, () => onChange());
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // No more watches to be had: the poll is enough.
    return undefined;
  }
}

/** The cheapest look there is; a reused pid delays the notice until the full one. */
function processExists(pid: number | undefined): boolean {
  if (pid === undefined) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
