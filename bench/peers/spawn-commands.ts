import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { measureCalls } from "../callers.js";

/** Commands to spawn, by a Node process that is small and does nothing else. */
export interface SpawnOrder {
  /** They are run one after the other, each to its exit, and count as one. */
  readonly commands: readonly (readonly string[])[];
  readonly callers: number;
  readonly count: number;
  readonly warmUp: number;
  /** An environment variable that names a directory of each caller's own, in `base`. */
  readonly ownDir?: { readonly variable: string; readonly base: string };
}

const PROGRAM = fileURLToPath(import.meta.url);

/** What to run, for a Run of them as its output. */
export function spawnCommandsProgram(order: SpawnOrder): readonly string[] {
  return [process.execPath, PROGRAM, JSON.stringify(order)];
}

async function spawnAll(order: SpawnOrder): Promise<void> {
  const { callers, count, warmUp, ownDir, commands } = order;
  const envOf = (caller: number) =>
    ownDir && { ...process.env, [ownDir.variable]: join(ownDir.base, String(caller)) };
  const envs = Array.from({ length: callers }, (_, caller) => envOf(caller) ?? process.env);
  const runOnce = async (caller: number) => {
    for (const [command = "", ...args] of commands) {
      const child = spawn(command, args, { stdio: "ignore", env: envs[caller] });
      const [code] = (await once(child, "exit")) as [number | null];
      if (code !== 0) throw new Error(`${command} ended with ${code}`);
    }
  };
  await measureCalls({ callers, count: warmUp }, runOnce);
  console.log(JSON.stringify(await measureCalls({ callers, count }, runOnce)));
}

if (process.argv[1] === PROGRAM) await spawnAll(JSON.parse(process.argv[2] ?? "") as SpawnOrder);
