import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { REPOSITORY } from "../procman-bin.js";
import type { Scratch } from "../scratch.js";
import { type ContenderRun, NotInstalled } from "./contender.js";

const CLEAN_UP_TIMEOUT_MS = 60_000;

/** Of the programs that are not TypeScript. */
export const SOURCES = join(REPOSITORY, "bench/peers");

/** @throws NotInstalled when it is not on PATH */
export function findProgram(name: string): string {
  for (const dir of (process.env["PATH"] ?? "").split(delimiter)) {
    const path = join(dir, name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // Not in this one.
    }
  }
  throw new NotInstalled(`no ${name} on PATH`);
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/**
 * Runs a program to its end and returns what it printed.
 * @throws Error with the end of what it printed when it fails
 */
export async function runProgram(
  scratch: Scratch,
  [command = "", ...args]: readonly string[],
  { env, cwd }: ProgramOptions = {},
): Promise<string> {
  const child = scratch.child(
    spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
      ...(cwd === undefined ? {} : { cwd }),
    }),
  );
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  if (code === 0) return stdout;
  throw new Error(`${command} ended with ${signal ?? code}: ${`${stdout}${stderr}`.slice(-1000)}`);
}

/** Runs a program that takes something away again: not one of those that are ended themselves then. */
export function runToCleanUp(
  [command = "", ...args]: readonly string[],
  { env }: ProgramOptions = {},
): void {
  const options = { env: { ...process.env, ...env }, timeout: CLEAN_UP_TIMEOUT_MS };
  spawnSync(command, args, { stdio: "ignore", ...options });
}

/** Runs a program whose last line of output is a ContenderRun in JSON. */
export async function runMeasuringProgram(
  scratch: Scratch,
  command: readonly string[],
  options?: ProgramOptions,
): Promise<ContenderRun> {
  const lines = (await runProgram(scratch, command, options)).trim().split("\n");
  return JSON.parse(lines.at(-1) ?? "") as ContenderRun;
}
