import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import {
  argumentError,
  fromSystemError,
  invalidArgument,
  type ProcmanError,
} from "../../../contract/errors.js";
import type { JobDir } from "../../../core/job-dir.js";
import { crashPoint } from "../../../platform/crash-point.js";
import { hasCode } from "../../../platform/errno.js";
import { sendSignal } from "../process/signals.js";
import type { LocalCommand } from "./prepare-command.js";
import { runnerCommand, runnerScript } from "./runner-command.js";
import { type Identity, isInTerminal, readProcessRecord } from "./runner-records.js";

/** How long a runner may take to record its command's identity. Usually it takes milliseconds. */
const IDENTITY_TIMEOUT_MS = 15_000;
const INITIAL_BACKOFF_MS = 1;
const MAX_BACKOFF_MS = 50;

export interface RunnerProcess {
  readonly child: ChildProcess;
  /** Aborted when the runner has ended, after it has written the exit record. */
  readonly ended: AbortSignal;
}

/**
 * Spawns the runner as the leader of a new session. It outlives this process: no pipe
 * connects the two.
 */
export async function spawnRunner(
  dir: JobDir,
  command: LocalCommand,
  cgroup: string,
): Promise<RunnerProcess> {
  const { spec, runnerEnv } = command;
  const script = runnerScript(command);
  const place = { dir, cgroup, shell: "/bin/sh" };
  // The exit record is created empty, so that its change can be watched. Watching the
  // directory would report all growth of the logs.
  const attempt = `start the command of job ${spec.id}`;
  try {
    await writeFile(dir.exit, "", { mode: 0o600, flag: "wx" });
    if (script !== "") await writeFile(dir.env, script, { mode: 0o600 });
    if (spec.stdin) await writeFile(dir.input, "", { mode: 0o600, flag: "wx" });
  } catch (error) {
    throw fromSystemError(error, attempt, spec.id);
  }
  crashPoint("start:before-spawn");
  let child: ChildProcess;
  try {
    const [program, ...words] = runnerCommand(command, place) as [string, ...string[]];
    child = spawn(program, words, {
      cwd: spec.workDir,
      env: runnerEnv,
      detached: true,
      stdio: "ignore",
    });
  } catch (error) {
    throw spawnError(error, attempt, command);
  }
  const ended = new AbortController();
  child.once("exit", () => ended.abort());
  child.unref();
  if (child.pid === undefined) {
    const [error] = (await once(child, "error").catch((error: unknown) => [error])) as [unknown];
    throw spawnError(error, attempt, command);
  }
  child.on("error", () => {});
  crashPoint("start:spawned");
  return { child, ended: ended.signal };
}

/**
 * Waits until the runner has recorded the command's identity.
 * @returns undefined where it has ended, or took too long, without that
 */
export async function awaitIdentity(
  dir: JobDir,
  runner: RunnerProcess,
): Promise<Identity | undefined> {
  const startedAt = process.hrtime.bigint();
  for (
    let backoffMs = INITIAL_BACKOFF_MS;
    ;
    backoffMs = Math.min(backoffMs * 1.5, MAX_BACKOFF_MS)
  ) {
    const runnerEnded = runner.ended.aborted;
    const record = readProcessRecord(dir);
    if (record.kind === "complete") {
      // The runner read it before it made the record.
      rmSync(dir.env, { force: true });
      if (isInTerminal(record)) rmSync(dir.complaint, { force: true });
      return record;
    }
    const elapsedMs = Number(process.hrtime.bigint() - startedAt) / 1e6;
    if (runnerEnded || elapsedMs > IDENTITY_TIMEOUT_MS) return undefined;
    await sleep(backoffMs);
  }
}

/** Kills the runner of a failed Start, with everything that it has started. */
export function killRunner({ child, ended }: RunnerProcess): void {
  // The pid cannot be reused before this process, its parent, has reaped it.
  if (child.pid !== undefined && !ended.aborted) sendSignal(-child.pid, "SIGKILL");
}

/** Returns the error of script(1), where that could not make the job's terminal. */
export async function terminalComplaint(dir: JobDir): Promise<string | undefined> {
  const text = await readFile(dir.complaint, "utf8").catch(() => "");
  return text.trim().split("\n")[0] || undefined;
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
