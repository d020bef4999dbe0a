import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { type BenchmarkOptions, selectParts } from "./benchmark-options.js";
import { inTurns } from "./in-turns.js";
import { PROCMAN } from "./procman-bin.js";
import { runProgram, runToCleanUp } from "./peers/programs.js";
import type { Scratch } from "./scratch.js";
import { ServerProcess } from "./server-process.js";
import { median, medianRatio, percentile } from "./statistics.js";
import { printTable } from "./table.js";

const PARTS = ["ls", "run", "ready"] as const;

/** How often each is measured in a round. */
const REPEATS = 5;

interface Way {
  readonly name: string;
  /** @returns how long it took, in ms */
  readonly measure: () => Promise<number>;
}

/** Whole processes of the command line, and a server's start, next to `node -e 0`. */
export async function cli(scratch: Scratch, options: BenchmarkOptions): Promise<void> {
  const parts = selectParts(PARTS, options);
  const node = { name: "node -e 0", measure: () => timeProgram(scratch, ["-e", "0"]) };
  const ways: Way[] = [node];
  if (parts.has("ls")) ways.push(await ls(scratch));
  if (parts.has("run")) ways.push(firstRun(scratch));
  if (parts.has("ready")) ways.push(serverStart(scratch));
  const repeats = options.isSmoke ? 1 : REPEATS;
  const rounds = await inTurns(ways, options, async ({ measure }) => {
    const times: number[] = [];
    while (times.length < repeats) times.push(await measure());
    return times;
  });
  const medians = (index: number) => (rounds[index] ?? []).map(median);
  const rows = ways.map(({ name }, index) => [
    name,
    medianRatio(medians(index), medians(0)).toFixed(2),
    median(medians(index)).toFixed(0),
    percentile(rounds[index]?.flat() ?? [], 0.99).toFixed(0),
  ]);
  const caption = `Whole processes (${options.rounds} x ${repeats}, ms)`;
  printTable(caption, ["command", "p50 / node", "p50", "p99"], rows);
}

/** Of a server with no jobs. */
async function ls(scratch: Scratch): Promise<Way> {
  const { stateDir } = await ServerProcess.start(scratch);
  const args = [PROCMAN, "ls", "--state-dir", stateDir];
  return { name: "procman ls", measure: () => timeProgram(scratch, args) };
}

function firstRun(scratch: Scratch): Way {
  const measure = async () => {
    const stateDir = join(scratch.dir(), "state");
    const option = ["--state-dir", stateDir];
    const stop = [process.execPath, PROCMAN, "stop", ...option];
    const forget = scratch.defer(() => runToCleanUp(stop));
    const ms = await timeProgram(scratch, [PROCMAN, "run", ...option, "--", "true"]);
    await runProgram(scratch, stop);
    forget();
    return ms;
  };
  return { name: "procman run -- true, no server runs", measure };
}

function serverStart(scratch: Scratch): Way {
  const measure = async () => {
    const startMs = performance.now();
    const server = await ServerProcess.start(scratch);
    const ms = performance.now() - startMs;
    await server.shutDown();
    return ms;
  };
  return { name: "procman serve, no jobs, until it is ready", measure };
}

/** From the spawn of Node to its exit. */
async function timeProgram(scratch: Scratch, args: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const child = scratch.child(spawn(process.execPath, args, { stdio: "ignore" }));
  const [code] = (await once(child, "exit")) as [number | null];
  const ms = performance.now() - startMs;
  if (code !== 0) throw new Error(`node ${args.join(" ")} ended with ${code}`);
  return ms;
}
