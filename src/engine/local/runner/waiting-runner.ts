import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import { quoted } from "../../../platform/shell-word.js";
import {
  type InstructedProcess,
  MAX_INSTRUCTION_BYTES,
  type SpawnOptions,
  spawnInstructed,
} from "../../../platform/spawn-detached.js";
import type { LimitedCgroups } from "../containment/cgroup-limits.js";
import { removeCgroup } from "../containment/cgroup.js";
import { isForNativeRunner, nativeInstructions, nativeRunner } from "./native-runner.js";
import type { LocalCommand } from "./prepare-command.js";
import { runnerInstructions, type RunnerPlace, waitingRunner } from "./runner-command.js";
import { isShellName } from "./split-environment.js";

/** What runs jobs: a shell and its scripts, and where it is there the native runner. */
export interface RunnerPrograms extends Pick<RunnerPlace, "shell" | "scriptsDir"> {
  /** The path of it. */
  readonly nativeRunner: string | undefined;
}

/** Those of a native runner that cannot be executed: gone, or on a file system without execution. */
const NOT_EXECUTABLE = ["EACCES", "ENOENT", "ENOEXEC", "EPERM", "ETXTBSY"];

/** A runner that waits to be told of its job. It ends where nobody is left to tell it. */
export class WaitingRunner {
  readonly process: InstructedProcess;
  /** The directory of the cgroup that it waits in, or "". */
  readonly cgroup: string;
  /** Whether it makes its job's cgroup itself, and waits in none. */
  readonly makesCgroup: boolean;
  readonly #at: SpawnOptions;

  private constructor(
    process: InstructedProcess,
    at: SpawnOptions,
    place: Pick<WaitingRunner, "cgroup" | "makesCgroup">,
  ) {
    this.process = process;
    this.cgroup = place.cgroup;
    this.makesCgroup = place.makesCgroup;
    this.#at = at;
  }

  /**
   * Spawns the native one where it is there, or else a shell.
   * @param makeShellCgroup makes the cgroup that a shell is to wait in, or returns ""; it is
   * deleted where there is no shell after all
   * @param command the one that it is for; absent: one that needs no shell
   * @returns undefined where this platform has no way to tell it
   */
  static async spawn(
    { shell, scriptsDir, nativeRunner: path }: RunnerPrograms,
    makeShellCgroup: () => Promise<string>,
    at: SpawnOptions,
    command?: LocalCommand,
  ): Promise<WaitingRunner | undefined> {
    if (path !== undefined && (!command || isForNativeRunner(command.spec))) {
      try {
        // It is told its command's environment, and needs none.
        const process = await spawnInstructed(nativeRunner(path), { ...at, env: {} });
        return process && new WaitingRunner(process, at, { cgroup: "", makesCgroup: true });
      } catch (error) {
        if (!hasCode(error, ...NOT_EXECUTABLE)) throw error;
      }
    }
    const cgroup = await makeShellCgroup();
    let process: InstructedProcess | undefined;
    try {
      process = await spawnInstructed(waitingRunner(shell, scriptsDir, cgroup), at);
      return process && new WaitingRunner(process, at, { cgroup, makesCgroup: false });
    } finally {
      if (!process) removeCgroup(cgroup);
    }
  }

  /** Whether it can become that command's. */
  canRun({ spec, runnerEnv }: LocalCommand): boolean {
    if (this.makesCgroup) return isForNativeRunner(spec);
    const changed = changedVariables(this.#at.env, runnerEnv);
    return changed !== undefined && !changed.some(([name]) => isShellName(name));
  }

  /**
   * Makes it the runner of a command that it can run.
   * @param cgroups the one that it makes or waits in, or those that the command alone enters
   * @returns false where that is more than it can be told; it ends then
   */
  tell(dir: JobDir, command: LocalCommand, cgroups: LimitedCgroups): boolean {
    const text = this.makesCgroup
      ? nativeInstructions(command, dir, cgroups.cgroup, this.#otherDir(command))
      : this.#shellInstructions(dir, command, cgroups);
    if (isTooLong(text)) {
      this.process.dismiss();
      return false;
    }
    this.process.instruct(text);
    return true;
  }

  /** Returns the command's directory, or "" where it is in that. */
  #otherDir({ spec }: LocalCommand): string {
    return spec.workDir === this.#at.cwd ? "" : spec.workDir;
  }

  #shellInstructions(dir: JobDir, command: LocalCommand, cgroups: LimitedCgroups): string {
    const { env } = this.#at;
    const changed = changedVariables(env, command.runnerEnv) ?? [];
    const otherDir = this.#otherDir(command);
    const enter = otherDir === "" ? "" : enterDirectory(otherDir, env);
    const assignments = changed.map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    const isEnteredLater = cgroups.cgroup !== this.cgroup || cgroups.bounds.length > 0;
    const place = { dir, ...(isEnteredLater && { cgroups }) };
    return runnerInstructions(command, place, enter + assignments.join(""));
  }
}

function isTooLong(text: string): boolean {
  // A character has at most 3 bytes in UTF-8, or 4 for two.
  return text.length * 3 > MAX_INSTRUCTION_BYTES && Buffer.byteLength(text) > MAX_INSTRUCTION_BYTES;
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
