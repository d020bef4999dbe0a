import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { PACKAGE_SCRIPTS_DIR } from "../../../src/engine/local/runner/job-scripts.js";
import type { JobSpec } from "../../../src/contract/job.js";
import type { InputPiece } from "../../../src/core/ports.js";
import {
  type Identity,
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import { JobInput, type JobInputOptions } from "../../../src/engine/local/input/job-input.js";
import { isAlive, processTable } from "../../../src/engine/local/process/processes.js";
import { prepareCommand } from "../../../src/engine/local/runner/prepare-command.js";
import { runnerCommand, runnerScript } from "../../../src/engine/local/runner/runner-command.js";
import { SessionStop } from "../../../src/engine/local/containment/session-stop.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { eventually } from "../../helpers/eventually.js";
import { someSpec } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

export const never = new AbortController().signal;

/** A job as the engine starts it, but by a shell of the test's choice. */
export interface ShellJob {
  readonly dir: JobDir;
  readonly child: ChildProcess;
  readonly identity: Identity;
  /** Resolves when its first process has ended. */
  readonly ended: Promise<void>;
  log(name?: string): string;
  /** Adds to its input. */
  send(data: string | Uint8Array, more?: Partial<InputPiece>): Promise<number>;
}

export async function startJob(
  shell: string,
  [command, ...args]: [string, ...string[]],
  options: Partial<JobSpec> = {},
  inputOptions: JobInputOptions = {},
): Promise<ShellJob> {
  const dir = new JobDir(join(tempDir(), "job"));
  const input = new JobInput(dir, inputOptions);
  mkdirSync(dir.path, { mode: 0o700 });
  for (const name of ["stdout.log", "stderr.log", "exit"]) writeFileSync(join(dir.path, name), "");
  if (options.stdin) writeFileSync(join(dir.path, "stdin.log"), "");
  const spec = someSpec({ id: "job", command, args, workDir: dir.path, ...options });
  const prepared = prepareCommand(spec);
  writeFileSync(join(dir.path, "env"), runnerScript(prepared));
  const [program, ...words] = runnerCommand(prepared, {
    dir,
    cgroup: "",
    shell,
    scriptsDir: PACKAGE_SCRIPTS_DIR,
  });
  const child = spawn(program, words, {
    cwd: dir.path,
    env: prepared.runnerEnv,
    detached: true,
    stdio: "ignore",
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  // Whatever has become of it: it leads the group of all that is not in a terminal.
  onTestFinished(() => endGroup(child.pid as number));
  const identity = await eventually("the command's identity", () => {
    const record = readProcessRecord(dir);
    return record.kind === "complete" ? record : undefined;
  });
  onTestFinished(async () => {
    await stopJob({ dir, identity }, 0);
    await ended;
    await eventually("its last process", () => !processTable().hasArgument(dir.path));
  });
  return {
    dir,
    child,
    identity,
    ended,
    log: (name = "stdout.log") => readFileSync(join(dir.path, name), "utf8"),
    send: (data, { close = false, ...more } = {}) =>
      input.send({ sender: "", ...more, data: Buffer.from(data), close }, spec.pty, never),
  };
}

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** Ends it as the engine does. */
export function stopJob(
  { dir, identity }: Pick<ShellJob, "dir" | "identity">,
  gracePeriodMs: number,
): Promise<void> {
  return new SessionStop(dir).stop(identity, gracePeriodMs, never);
}

/** How it ended, once it has. */
export async function exitOf({ dir, ended }: ShellJob) {
  await ended;
  return readExitRecord(dir.exit);
}

export function isRunning({ identity }: ShellJob): boolean {
  return isAlive(identity.bootId, identity.command);
}
