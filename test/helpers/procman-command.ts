import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { tempDir } from "./temp-dir.js";
import { endJobs, MAIN } from "./test-server.js";

export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly pid: number;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly signal: (signal: NodeJS.Signals) => void;
  readonly ended: Promise<Ran>;
}

/** Starts the real program, as a shell would. */
export function launch(
  stateDir: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    // Other tests' servers, and other people's, may have the default port.
    env: { ...process.env, PROCMAN_STATE_DIR: stateDir, PROCMAN_LISTEN: "none", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  child.stdout.on("data", (data: Buffer) => output.stdout.push(data));
  child.stderr.on("data", (data: Buffer) => output.stderr.push(data));
  const text = (name: "stdout" | "stderr") => () => Buffer.concat(output[name]).toString();
  const ended = once(child, "close").then(([code]) => ({
    code: code as number | null,
    stdout: text("stdout")(),
    stderr: text("stderr")(),
  }));
  return {
    pid: child.pid as number,
    stdout: text("stdout"),
    stderr: text("stderr"),
    signal: (signal) => child.kill(signal),
    ended,
  };
}

export function procman(stateDir: string, ...args: string[]): Promise<Ran> {
  return launch(stateDir, args).ended;
}

/** Ends the background server of a state directory, and its jobs. */
export async function endAll(stateDir: string): Promise<void> {
  await procman(stateDir, "stop");
  await endJobs(stateDir);
}

/** One whose background server and jobs are ended after the test. */
export function newStateDir(): string {
  const stateDir = join(tempDir(), "state");
  mkdirSync(stateDir, { mode: 0o700 });
  onTestFinished(() => endAll(stateDir));
  return stateDir;
}
