import {
  type InstructedProcess,
  type SpawnOptions,
  spawnInstructed,
} from "../../../platform/spawn-detached.js";
import { makeCgroup, removeCgroup } from "../containment/cgroup.js";
import { quoted } from "../../../platform/shell-word.js";
import { SHELL, waitingRunner } from "./runner-command.js";
import { isShellName } from "./split-environment.js";

/** A runner that was waiting, taken for one job. */
export interface TakenRunner {
  readonly runner: InstructedProcess;
  /** Shell commands that give it the directory and the environment of that job. */
  readonly adjust: string;
  /** The directory of the cgroup that it is in, or "" */
  readonly cgroup: string;
}

interface WaitingRunner extends SpawnOptions {
  readonly runner: InstructedProcess;
  readonly cgroup: string;
}

/**
 * Keeps one runner that waits for its job, so that a Start need not wait until a shell
 * is executed and in a cgroup, which takes longer than all the rest of it. It has this
 * process's own directory and environment, as most jobs do; its resource limits are those
 * of the time at which it was started. It ends with this process, or by `close`, and
 * deletes its cgroup then.
 */
export class StandbyRunner {
  readonly #scriptsDir: () => string;
  #waiting: WaitingRunner | undefined;
  #spawning: Promise<void> | undefined;
  #isClosed = false;

  constructor(scriptsDir: () => string) {
    this.#scriptsDir = scriptsDir;
  }

  /** @returns undefined where there is none, or none that can become that job's */
  take(env: SpawnOptions["env"], workDir: string): TakenRunner | undefined {
    this.#forgetEnded();
    const waiting = this.#waiting;
    if (!waiting) return undefined;
    const changed = changedVariables(waiting.env, env);
    if (!changed || changed.some(([name]) => isShellName(name))) return undefined;
    this.#waiting = undefined;
    const assignments = changed.map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    const enter = workDir === waiting.cwd ? "" : enterDirectory(workDir, waiting.env);
    const { runner, cgroup } = waiting;
    return { runner, cgroup, adjust: enter + assignments.join("") };
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
      const words = waitingRunner(SHELL, this.#scriptsDir(), cgroup);
      const runner = await spawnInstructed(words, at);
      if (runner) this.#waiting = { runner, cgroup, ...at };
      else removeCgroup(cgroup);
    } catch {
      // It is tried again after the next Start.
      removeCgroup(cgroup);
    }
  }

  /** It may have been killed. */
  #forgetEnded(): void {
    const waiting = this.#waiting;
    if (!waiting?.runner.ended.aborted) return;
    this.#dismiss();
    removeCgroup(waiting.cgroup);
  }

  #dismiss(): void {
    this.#waiting?.runner.dismiss();
    this.#waiting = undefined;
  }
}

/** @returns undefined where one is unset */
function changedVariables(
  before: SpawnOptions["env"],
  env: SpawnOptions["env"],
): [string, string][] | undefined {
  if (before === env) return [];
  if (Object.keys(before).some((name) => !Object.hasOwn(env, name))) return undefined;
  return Object.entries(env).filter(([name, value]) => before[name] !== value);
}

/** As the shell finds itself where it is started in it: `cd` also sets OLDPWD. */
function enterDirectory(workDir: string, env: SpawnOptions["env"]): string {
  const before = env["OLDPWD"];
  const restore = before === undefined ? "unset OLDPWD" : `OLDPWD=${quoted(before)}`;
  return `cd -P ${quoted(workDir)} || exit\n${restore}\n`;
}
