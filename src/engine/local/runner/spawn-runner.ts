import { existsSync, rmSync, writeFileSync } from "node:fs";
import {
  argumentError,
  fromSystemError,
  invalidArgument,
  type ProcmanError,
} from "../../../contract/errors.js";
import type { JobDir } from "../../../core/job-dir.js";
import { crashPoint } from "../../../platform/crash-point.js";
import { hasCode } from "../../../platform/errno.js";
import { type DetachedProcess, spawnDetached } from "../../../platform/spawn-detached.js";
import { type PathWatch, watchPath } from "../../../platform/watch-path.js";
import {
  hasCgroupLimits,
  type LimitedCgroups,
  makeLimitedCgroups,
  writeBounds,
} from "../containment/cgroup-limits.js";
import { makeCgroup, planCgroup, removeCgroup } from "../containment/cgroup.js";
import { sendSignal } from "../process/signals.js";
import type { LocalCommand } from "./prepare-command.js";
import { runnerCommand, runnerScript } from "./runner-command.js";
import { writeOnEnd } from "./on-end.js";
import { type Identity, isInTerminal, NO_EXIT_YET, readProcessRecord } from "./runner-records.js";
import type { StandbyRunner } from "./standby-runner.js";
import { readSmallFile } from "../../../platform/small-file.js";
import { type RunnerPrograms, WaitingRunner } from "./waiting-runner.js";

/** How long a runner may take to record its command's identity. Usually it takes milliseconds. */
const IDENTITY_TIMEOUT_MS = 15_000;

/** Between checks for the identity where the kernel does not tell of it. */
const INITIAL_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 50;

export interface SpawnedRunner {
  readonly runner: DetachedProcess;
  /** The directory of the cgroup that was made for the job, or "". */
  readonly cgroup: string;
  /** Whether the job must not run outside of it, which would be without one of its limits. */
  readonly isCgroupNeeded: boolean;
  /** Whether it was told what to do by a pipe. */
  readonly isTold: boolean;
}

/**
 * Spawns the runner as the leader of a new session, or takes one that waits. It outlives
 * this process: a pipe that tells it what to do is closed at once. It ends after it has
 * written the exit record.
 */
export async function spawnRunner(
  dir: JobDir,
  command: LocalCommand,
  programs: () => RunnerPrograms,
  standby: StandbyRunner,
): Promise<SpawnedRunner> {
  const { spec } = command;
  const attempt = `start the command of job ${spec.id}`;
  try {
    // Created before, so that its change can be watched (watching the directory would
    // report all growth of the logs), and with room, so that the end is known on a full disk.
    for (const path of spec.pty ? [dir.exit, dir.ended] : [dir.exit]) {
      writeFileSync(path, NO_EXIT_YET, { mode: 0o600, flag: "wx" });
    }
    writeOnEnd(dir, command);
    if (spec.stdin) writeFileSync(dir.input, "", { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw fromSystemError(error, attempt, spec.id);
  }
  crashPoint("start:before-spawn");
  try {
    const told = await tellRunner(dir, command, programs, standby);
    const spawned = told ?? (await spawnWithFile(dir, command, programs()));
    crashPoint("start:spawned");
    return spawned;
  } catch (error) {
    throw spawnError(error, attempt, command);
  }
}

/**
 * Spawns the runner of a job whose runner has ended before it did anything: it was
 * killed while it waited, say, or could not enter the directory. This one says why.
 */
export async function spawnRunnerAgain(
  dir: JobDir,
  command: LocalCommand,
  programs: RunnerPrograms,
): Promise<SpawnedRunner> {
  try {
    return await spawnWithFile(dir, command, programs);
  } catch (error) {
    throw spawnError(error, `start the command of job ${command.spec.id}`, command);
  }
}

/** @returns undefined where the command's runner cannot be told by a pipe */
async function tellRunner(
  dir: JobDir,
  command: LocalCommand,
  programs: () => RunnerPrograms,
  standby: StandbyRunner,
): Promise<SpawnedRunner | undefined> {
  const { spec, runnerEnv, isLong } = command;
  if (spec.pty || spec.stdin || isLong) return undefined;
  const at = { cwd: spec.workDir, env: runnerEnv };
  const spawnWaiting = (makeShellCgroup: () => Promise<string>) =>
    WaitingRunner.spawn(programs(), makeShellCgroup, at, command);
  if (hasCgroupLimits(spec.limits)) {
    return inNewCgroups(dir, command, async (cgroups) => {
      // Only the command is in them.
      const waiting = await spawnWaiting(async () => "");
      return waiting && toldRunner(waiting, dir, command, cgroups);
    });
  }
  const waiting = standby.take(command) ?? (await spawnWaiting(makeCgroup));
  if (!waiting) return undefined;
  const cgroup = waiting.makesCgroup ? await planCgroup() : waiting.cgroup;
  const told = toldRunner(waiting, dir, command, { cgroup, isNeeded: false, bounds: [] });
  if (!told) removeCgroup(cgroup);
  return told;
}

function toldRunner(
  waiting: WaitingRunner,
  dir: JobDir,
  command: LocalCommand,
  cgroups: LimitedCgroups,
): SpawnedRunner | undefined {
  if (!waiting.tell(dir, command, cgroups)) return undefined;
  return { runner: waiting.process, ...spawnedIn(cgroups), isTold: true };
}

function spawnedIn({ cgroup, isNeeded }: LimitedCgroups) {
  return { cgroup, isCgroupNeeded: isNeeded };
}

async function spawnWithFile(
  dir: JobDir,
  command: LocalCommand,
  programs: RunnerPrograms,
): Promise<SpawnedRunner> {
  const { spec, runnerEnv } = command;
  return inNewCgroups(dir, command, async (cgroups) => {
    const script = runnerScript(command, cgroups);
    if (script !== "") writeFileSync(dir.env, script, { mode: 0o600 });
    const words = runnerCommand(command, { dir, cgroup: cgroups.cgroup, ...programs });
    const runner = await spawnDetached(words, { cwd: spec.workDir, env: runnerEnv });
    return { runner, ...spawnedIn(cgroups), isTold: false };
  });
}

/**
 * Makes the job's cgroups: all that its limits need, or one where one can be made. Deletes
 * them unless something was spawned for them.
 */
async function inNewCgroups<T extends SpawnedRunner | undefined>(
  dir: JobDir,
  { spec: { limits } }: LocalCommand,
  spawn: (cgroups: LimitedCgroups) => Promise<T>,
): Promise<T> {
  const cgroups: LimitedCgroups =
    limits && hasCgroupLimits(limits)
      ? await makeLimitedCgroups(limits)
      : { cgroup: await makeCgroup(), isNeeded: false, bounds: [] };
  let spawned: T | undefined;
  try {
    writeBounds(dir, cgroups.bounds);
    spawned = await spawn(cgroups);
    return spawned;
  } finally {
    if (!spawned) for (const each of [cgroups.cgroup, ...cgroups.bounds]) removeCgroup(each);
  }
}

/**
 * Waits until the runner has recorded who the command is.
 * @returns undefined when it ended, or took too long, without that.
 */
export async function awaitIdentity(
  dir: JobDir,
  { runner: { ended }, isTold }: SpawnedRunner,
): Promise<Identity | undefined> {
  const untilMs = performance.now() + IDENTITY_TIMEOUT_MS;
  // Where this process has other work, the runner is done after a turn of it: no watch is needed.
  await new Promise(setImmediate);
  let wake = (): void => {};
  const onChange = (): void => wake();
  let watch: PathWatch | undefined;
  let isWatching = false;
  ended.addEventListener("abort", onChange);
  try {
    for (
      let backoffMs = INITIAL_BACKOFF_MS;
      ;
      backoffMs = Math.min(backoffMs * 1.5, MAX_BACKOFF_MS)
    ) {
      // What happens after the look below is not missed.
      const woken = new Promise<void>((resolve) => (wake = resolve));
      const hasEnded = ended.aborted;
      const record = existsSync(dir.process) ? readProcessRecord(dir) : undefined;
      if (record?.kind === "complete") {
        // The runner has read it before it made the record.
        if (!isTold) rmSync(dir.env, { force: true });
        if (isInTerminal(record)) rmSync(dir.complaint, { force: true });
        return record;
      }
      if (hasEnded || performance.now() > untilMs) return undefined;
      if (!isWatching) {
        isWatching = true;
        watch = watchPath(dir.path, onChange, () => {});
        continue;
      }
      const timer = setTimeout(wake, watch ? MAX_BACKOFF_MS : backoffMs);
      await woken;
      clearTimeout(timer);
    }
  } finally {
    ended.removeEventListener("abort", onChange);
    watch?.close();
  }
}

/** Kills the process group of what was spawned, while that has not ended. */
export function killRunner({ pid, ended }: DetachedProcess): void {
  if (!ended.aborted) sendSignal(-pid, "SIGKILL");
}

/** What script(1) had to say, where it could not make the job's terminal. */
export function terminalComplaint(dir: JobDir): string | undefined {
  try {
    return readSmallFile(dir.complaint).text.trim().split("\n")[0] || undefined;
  } catch {
    return undefined;
  }
}

function spawnError(error: unknown, attempt: string, command: LocalCommand): ProcmanError {
  const jobId = command.spec.id;
  if (hasCode(error, "E2BIG")) return tooLong(command);
  if (hasCode(error, "ENOENT", "EACCES", "ENOTDIR")) {
    const violations = [{ field: "work_dir", description: "cannot be entered" }];
    const message = `${attempt}: work_dir cannot be entered`;
    return argumentError("WORK_DIR_NOT_FOUND", violations, { message, jobId, cause: error });
  }
  return fromSystemError(error, attempt, jobId);
}

/** Blames the longer of the two. */
function tooLong({ argv, runnerEnv }: LocalCommand): ProcmanError {
  const lengthOf = (words: readonly string[]) => words.join("").length;
  const field = lengthOf(argv) >= lengthOf(Object.entries(runnerEnv).flat()) ? "args" : "env";
  return invalidArgument(field, "arguments and environment are too long for the kernel");
}
