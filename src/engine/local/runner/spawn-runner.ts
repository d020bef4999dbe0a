import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../../../platform/errno.js";
import { crashPoint } from "../../../platform/crash-point.js";
import {
  argumentError,
  fromSystemError,
  invalidArgument,
  type ProcmanError,
} from "../../../contract/errors.js";
import type { JobDir } from "../../../core/job-dir.js";
import { type Identity, isInTerminal, readProcessRecord } from "./runner-records.js";
import type { LocalCommand } from "./prepare-command.js";
import { runnerCommand, runnerScript } from "./runner-command.js";
import { sendSignal } from "../process/signals.js";

/** How long a runner may take to record its command's identity; some milliseconds are usual. */
const IDENTITY_TIMEOUT_MS = 15_000;

export interface RunnerProcess {
  readonly child: ChildProcess;
  /** Aborted when the runner has ended, which is after it wrote the exit record. */
  readonly ended: AbortSignal;
}

/**
 * Spawns the runner as the leader of a new session. It is not bound to this
 * process: nothing of it is piped here, and it goes on when this process ends.
 */
export async function spawnRunner(
  dir: JobDir,
  command: LocalCommand,
  cgroup: string,
): Promise<RunnerProcess> {
  const { spec, env } = command;
  const script = runnerScript(command);
  const place = { dir, cgroup, shell: "/bin/sh" };
  // Made here, empty, so that the exit can be watched for as a change of one
  // quiet file rather than of a directory in which logs grow.
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
    child = spawn(program, words, { cwd: spec.workDir, env, detached: true, stdio: "ignore" });
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
 * Waits until the runner has recorded who the command is.
 * @returns undefined when it ended, or took too long, without that.
 */
export async function awaitIdentity(
  dir: JobDir,
  runner: RunnerProcess,
): Promise<Identity | undefined> {
  const startedAt = process.hrtime.bigint();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 1.5, 50)) {
    const runnerEnded = runner.ended.aborted;
    const record = readProcessRecord(dir);
    if (record.kind === "complete") {
      // It was read before the record was made.
      rmSync(dir.env, { force: true });
      if (isInTerminal(record)) rmSync(dir.complaint, { force: true });
      return record;
    }
    const elapsedMs = Number(process.hrtime.bigint() - startedAt) / 1e6;
    if (runnerEnded || elapsedMs > IDENTITY_TIMEOUT_MS) return undefined;
    await sleep(pauseMs);
  }
}

/** With what it has started: nothing of a Start that failed may run. */
export function killRunner({ child, ended }: RunnerProcess): void {
  // Its number is its own as long as this process, its parent, has not heard of its end.
  if (child.pid !== undefined && !ended.aborted) sendSignal(-child.pid, "SIGKILL");
}

/** What script(1) had to say, where it could not make the job's terminal. */
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

/** Of the two, the longer one is named. */
function tooLong({ argv, env }: Pick<LocalCommand, "argv" | "env">): ProcmanError {
  const lengthOf = (words: readonly string[]) => words.join("").length;
  const field = lengthOf(argv) >= lengthOf(Object.entries(env).flat()) ? "args" : "env";
  return invalidArgument(field, "arguments and environment are too long for the kernel");
}
