import type { JobDir } from "../../../core/job-dir.js";
import type { SpawnOptions } from "../../../platform/spawn-detached.js";
import { makeCgroup, removeCgroup } from "../containment/cgroup.js";
import type { LocalCommand } from "./prepare-command.js";
import { type RunnerPrograms, WaitingRunner } from "./waiting-runner.js";

/** A runner that was waiting, taken for one job. */
export interface TakenRunner {
  readonly waiting: WaitingRunner;
  /** What makes it the runner of that job. */
  readonly instructions: string;
}

/**
 * Keeps one runner that waits for its job, so that a Start need not wait until it is
 * executed and in a cgroup, which may take longer than all the rest of it. It has this
 * process's own directory and environment, as most jobs do; its resource limits are those
 * of the time at which it was started. It ends with this process, or by `close`, and
 * deletes its cgroup then.
 */
export class StandbyRunner {
  readonly #programs: () => RunnerPrograms;
  #waiting: WaitingRunner | undefined;
  #spawning: Promise<void> | undefined;
  #isClosed = false;

  constructor(programs: () => RunnerPrograms) {
    this.#programs = programs;
  }

  /** @returns undefined where there is none, or none that can become that job's */
  take(dir: JobDir, command: LocalCommand): TakenRunner | undefined {
    this.#forgetEnded();
    const waiting = this.#waiting;
    const instructions = waiting?.instructions(dir, command);
    if (!waiting || instructions === undefined) return undefined;
    this.#waiting = undefined;
    return { waiting, instructions };
  }

  /** Starts one that waits, in background, unless there is one. */
  prepare(env: () => SpawnOptions["env"]): void {
    this.#forgetEnded();
    if (this.#waiting || this.#isClosed) return;
    this.#spawning ??= this.#spawn(env).finally(() => (this.#spawning = undefined));
  }

  /** Resolves when none is left that waits. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#spawning;
    this.#dismiss();
  }

  async #spawn(env: () => SpawnOptions["env"]): Promise<void> {
    // It costs the next Start some time where there is none: out of processes, say.
    const cgroup = await makeCgroup();
    try {
      const at = { cwd: process.cwd(), env: env() };
      this.#waiting = await WaitingRunner.spawn(this.#programs(), cgroup, at);
      if (!this.#waiting) removeCgroup(cgroup);
    } catch {
      // It is tried again after the next Start.
      removeCgroup(cgroup);
    }
  }

  /** It may have been killed. */
  #forgetEnded(): void {
    const waiting = this.#waiting;
    if (!waiting?.process.ended.aborted) return;
    this.#dismiss();
    removeCgroup(waiting.cgroup);
  }

  #dismiss(): void {
    this.#waiting?.process.dismiss();
    this.#waiting = undefined;
  }
}
