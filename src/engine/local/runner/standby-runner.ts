import type { SpawnOptions } from "../../../platform/spawn-detached.js";
import { makeCgroup, removeCgroup } from "../containment/cgroup.js";
import type { LocalCommand } from "./prepare-command.js";
import { type RunnerPrograms, WaitingRunner } from "./waiting-runner.js";

/**
 * Keeps one runner that waits for its job, so that a Start need not wait until it is
 * executed and, if it is a shell, in a cgroup, which may take longer than all the rest of it. It has this
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

  /** @returns undefined where there is none, or none that can become that command's */
  take(command: LocalCommand): WaitingRunner | undefined {
    this.#forgetEnded();
    const waiting = this.#waiting;
    if (!waiting?.canRun(command)) return undefined;
    this.#waiting = undefined;
    return waiting;
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
    try {
      const at = { cwd: process.cwd(), env: env() };
      this.#waiting = await WaitingRunner.spawn(this.#programs(), makeCgroup, at);
    } catch {
      // It is tried again after the next Start, which takes longer where there is none.
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
