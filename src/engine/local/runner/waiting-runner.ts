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
  readonly #at: SpawnOptions;
  readonly #isNative: boolean;

  private constructor(
    process: InstructedProcess,
    cgroup: string,
    at: SpawnOptions,
    isNative: boolean,
  ) {
    this.process = process;
    this.cgroup = cgroup;
    this.#at = at;
    this.#isNative = isNative;
  }

  /**
   * Spawns the native one where it is there, or else a shell.
   * @param command the one that it is for; absent: one that needs no shell
   * @returns undefined where this platform has no way to tell it
   */
  static async spawn(
    programs: RunnerPrograms,
    cgroup: string,
    at: SpawnOptions,
    command?: LocalCommand,
  ): Promise<WaitingRunner | undefined> {
    const { shell, scriptsDir, nativeRunner: path } = programs;
    if (path !== undefined && (!command || isForNativeRunner(command.spec))) {
      try {
        // It is told its command's environment, and needs none.
        const spawned = await spawnInstructed(nativeRunner(path, cgroup), { ...at, env: {} });
        return spawned && new WaitingRunner(spawned, cgroup, at, true);
      } catch (error) {
        if (!hasCode(error, ...NOT_EXECUTABLE)) throw error;
      }
    }
    const spawned = await spawnInstructed(waitingRunner(shell, scriptsDir, cgroup), at);
    return spawned && new WaitingRunner(spawned, cgroup, at, false);
  }

  /**
   * Returns what makes it that job's runner.
   * @param cgroups those that the command alone is to enter
   * @returns undefined where it cannot become that
   */
  instructions(dir: JobDir, command: LocalCommand, cgroups?: LimitedCgroups): string | undefined {
    const text = this.#isNative
      ? this.#nativeInstructions(dir, command)
      : this.#shellInstructions(dir, command, cgroups);
    return text === undefined || isTooLong(text) ? undefined : text;
  }

  #nativeInstructions(dir: JobDir, command: LocalCommand): string | undefined {
    const { spec } = command;
    if (!isForNativeRunner(spec)) return undefined;
    return nativeInstructions(command, dir, spec.workDir === this.#at.cwd ? "" : spec.workDir);
  }

  #shellInstructions(
    dir: JobDir,
    command: LocalCommand,
    cgroups: LimitedCgroups | undefined,
  ): string | undefined {
    const { spec, runnerEnv } = command;
    const { env, cwd } = this.#at;
    const changed = changedVariables(env, runnerEnv);
    if (!changed || changed.some(([name]) => isShellName(name))) return undefined;
    const enter = spec.workDir === cwd ? "" : enterDirectory(spec.workDir, env);
    const assignments = changed.map(([name, value]) => `export ${name}=${quoted(value)}\n`);
    const place = { dir, ...(cgroups && { cgroups }) };
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
