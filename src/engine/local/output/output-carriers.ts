import { join } from "node:path";
import { type Stream, STREAMS } from "../../../contract/job.js";
import type { JobDir } from "../../../core/job-dir.js";
import { checkRoom } from "../../../platform/durable-file.js";
import { readSmallFile } from "../../../platform/small-file.js";
import { type DetachedProcess, spawnDetached } from "../../../platform/spawn-detached.js";
import { isAlive, type ProcessRef, processTable } from "../process/processes.js";
import { SHELL } from "../runner/runner-command.js";
import type { Identity } from "../runner/runner-records.js";

/** What a carrier may read before it writes: as much as a pipe holds. */
const NEEDED_BYTES = 64 * 1024;

/**
 * Puts a new process on where one of those has ended that copy a job's output from pipes
 * to its logs: it was killed, or found the disk full. Until then the command waits as soon
 * as the pipe is full. At the end of the command, the runner sees to that itself.
 */
export class OutputCarriers {
  readonly #dir: JobDir;
  readonly #scriptsDir: () => string;
  /** Those that this process has started last. */
  readonly #started = new Map<Stream, DetachedProcess>();
  #starting: Promise<void> | undefined;

  constructor(dir: JobDir, scriptsDir: () => string) {
    this.#dir = dir;
    this.#scriptsDir = scriptsDir;
  }

  /** Looks once, and starts in background what is missing. What fails, the next look repeats. */
  restore(identity: Identity): void {
    if (!identity.carriers || this.#starting) return;
    const missing = STREAMS.filter((stream) => this.#isMissing(stream, identity));
    if (missing.length === 0 || !this.#hasRoom()) return;
    this.#starting = this.#start(missing)
      .catch(() => {})
      .finally(() => (this.#starting = undefined));
  }

  /** Resolves when none is being started. */
  async close(): Promise<void> {
    await this.#starting;
  }

  #isMissing(stream: Stream, { bootId, carriers, command }: Identity): boolean {
    const first = carriers?.[stream];
    const started = this.#started.get(stream);
    if (!first || started?.ended.aborted === false) return false;
    const last = this.#replacement(stream) ?? first;
    return !isAlive(bootId, last) && isAlive(bootId, command);
  }

  /** Returns the process that was put on last, by this or an earlier process. */
  #replacement(stream: Stream): ProcessRef | undefined {
    try {
      return processTable().parseIdentity(readSmallFile(this.#dir.carrier(stream)).text);
    } catch {
      return undefined;
    }
  }

  /** A carrier that finds no room has read what it cannot write, and loses it. */
  #hasRoom(): boolean {
    try {
      checkRoom(this.#dir.path, NEEDED_BYTES);
      return true;
    } catch {
      return false;
    }
  }

  async #start(streams: readonly Stream[]): Promise<void> {
    for (const stream of streams) {
      const script = join(this.#scriptsDir(), "carry.sh");
      const words = [SHELL, script, this.#dir.path, stream] as const;
      const options = { cwd: "/", env: { PATH: process.env["PATH"] ?? "" } };
      this.#started.set(stream, await spawnDetached(words, options));
    }
  }
}
