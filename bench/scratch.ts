import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const REMOVE_ATTEMPTS = 5;
const REMOVE_INTERVAL_MS = 500;

/** What a benchmark has made, to be taken away again: the last first, also after Ctrl-C. */
export class Scratch {
  #cleanups = new Set<() => unknown>();
  #isClosed = false;

  /**
   * Runs `cleanUp` at the end. Returns how to forget it, for what is gone before.
   * @throws Error once it is closed, so that a benchmark that was interrupted goes no
   * further; `cleanUp` is run all the same
   */
  defer(cleanUp: () => unknown): () => void {
    this.#cleanups.add(cleanUp);
    if (this.#isClosed) throw new Error("interrupted");
    return () => this.#cleanups.delete(cleanUp);
  }

  dir(): string {
    const dir = mkdtempSync(join(tmpdir(), "procman-bench-"));
    this.defer(() => removeDir(dir));
    return dir;
  }

  /** Ends a process at the end, unless it has ended by then. */
  child<Child extends ChildProcess>(child: Child): Child {
    const forget = this.defer(() => child.kill("SIGKILL"));
    child.once("exit", forget);
    child.once("error", forget);
    return child;
  }

  /** Cleans up, also what is still made meanwhile. */
  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#cleanups.size > 0) await this.cleanUp();
  }

  async cleanUp(): Promise<void> {
    const cleanups = [...this.#cleanups].toReversed();
    this.#cleanups.clear();
    for (const cleanUp of cleanups) {
      try {
        await cleanUp();
      } catch (error) {
        console.error("cleaning up:", error);
      }
    }
  }
}

/** Ends what still runs for it, and deletes it by rm(1): there may be a million files. */
async function removeDir(dir: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    killProcessesOf(dir);
    const { status, stderr } = spawnSync("rm", ["-rf", "--", dir], { encoding: "utf8" });
    if (status === 0 && processesOf(dir).length === 0) return;
    if (attempt === REMOVE_ATTEMPTS) throw new Error(`rm ${dir}: ${stderr}`);
    await sleep(REMOVE_INTERVAL_MS);
  }
}

/**
 * For what has escaped: a server that a killed command was starting, or a job that a
 * server did not end. Each with its process group, which a runner's command is in.
 */
function killProcessesOf(dir: string): void {
  for (const pid of processesOf(dir)) {
    for (const target of [-pid, pid]) {
      try {
        process.kill(target, "SIGKILL");
      } catch {
        // It leads no group, or has ended.
      }
    }
  }
}

/** Linux's processes that have the directory, whose name is like no other, on their command line. */
function processesOf(dir: string): readonly number[] {
  if (process.platform !== "linux") return [];
  const pids = readdirSync("/proc")
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid);
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "latin1").includes(dir);
    } catch {
      return false;
    }
  });
}
