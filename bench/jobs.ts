import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Procman } from "../src/index.js";
import type { BenchmarkOptions } from "./benchmark-options.js";
import { rssMib } from "./process-figures.js";
import type { Scratch } from "./scratch.js";
import { ServerProcess } from "./server-process.js";
import { median, percentile } from "./statistics.js";
import { printTable } from "./table.js";

const STARTS = 200;
const CONCURRENCY = [1, 8];
const COMMAND = { command: "sh", args: ["-c", ":"] };
const RECORDS = [0, 10_000, 20_000];

interface Starts {
  readonly perSecond: number;
  readonly latenciesMs: readonly number[];
}

/** Start, List and recovery, with few and with many jobs on record. */
export async function jobs(scratch: Scratch, options: BenchmarkOptions): Promise<void> {
  const stateDirs = RECORDS.map(() => join(scratch.dir(), "state"));
  await makeRecords(scratch, stateDirs);
  await recoveryAndList(scratch, stateDirs, options);
  await starts(scratch, stateDirs, options);
}

async function recoveryAndList(
  scratch: Scratch,
  stateDirs: readonly string[],
  { rounds }: BenchmarkOptions,
): Promise<void> {
  const readyMs = stateDirs.map(() => [] as number[]);
  const listMs = stateDirs.map(() => [] as number[]);
  const memory = stateDirs.map(() => [] as number[]);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, stateDir] of stateDirs.entries()) {
      const startMs = performance.now();
      const server = await ServerProcess.start(scratch, { stateDir });
      readyMs[index]?.push(performance.now() - startMs);
      // The first one reads every job's progress.
      await listAll(server.client);
      const listStartMs = performance.now();
      if ((await listAll(server.client)) !== RECORDS[index]) throw new Error("a job is missing");
      listMs[index]?.push(performance.now() - listStartMs);
      memory[index]?.push(rssMib(server.pid));
      await server.stop();
    }
  }
  const rows = RECORDS.map((count, index) => [
    String(count),
    median(readyMs[index] ?? []).toFixed(0),
    median(listMs[index] ?? []).toFixed(0),
    median(memory[index] ?? []).toFixed(0),
  ]);
  printTable(
    "A server with ended jobs on record (median of the rounds)",
    ["records", "ms until it serves", "ms to list all", "memory (MiB)"],
    rows,
  );
}

async function starts(
  scratch: Scratch,
  stateDirs: readonly string[],
  { rounds }: BenchmarkOptions,
): Promise<void> {
  const rows: string[][] = [];
  const few = await ServerProcess.start(scratch);
  const many = await ServerProcess.start(scratch, { stateDir: stateDirs.at(-1) ?? "" });
  const startJob =
    ({ client }: ServerProcess) =>
    () =>
      client.start(COMMAND);
  for (const concurrency of CONCURRENCY) {
    const ways: [string, () => Promise<unknown>][] = [
      ["spawn and exit of the command, no procman", spawnPlainly],
      ["Start", startJob(few)],
      [`Start, ${RECORDS.at(-1)} jobs on record`, startJob(many)],
    ];
    const results = ways.map(() => [] as Starts[]);
    for (let round = 0; round < rounds; round += 1) {
      for (const [index, [, start]] of ways.entries()) {
        results[index]?.push(await startMany(start, concurrency));
      }
    }
    for (const [index, [name]] of ways.entries()) {
      const all = results[index]?.flatMap(({ latenciesMs }) => latenciesMs) ?? [];
      rows.push([
        `${concurrency} at once: ${name}`,
        median(results[index]?.map(({ perSecond }) => perSecond) ?? []).toFixed(0),
        median(all).toFixed(1),
        percentile(all, 0.99).toFixed(1),
      ]);
    }
  }
  printTable(`Starting \`sh -c :\``, ["callers", "a second", "p50 ms", "p99 ms"], rows);
}

async function startMany(start: () => Promise<unknown>, concurrency: number): Promise<Starts> {
  const latenciesMs: number[] = [];
  const startedMs = performance.now();
  let left = STARTS;
  const startAll = async () => {
    while (left > 0) {
      left -= 1;
      const beforeMs = performance.now();
      await start();
      latenciesMs.push(performance.now() - beforeMs);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, startAll));
  return { perSecond: (STARTS / (performance.now() - startedMs)) * 1000, latenciesMs };
}

async function spawnPlainly(): Promise<void> {
  await once(spawn(COMMAND.command, COMMAND.args, { stdio: "ignore", detached: true }), "exit");
}

async function listAll(client: Procman): Promise<number> {
  let count = 0;
  let pageToken = "";
  do {
    const page = await client.list({ pageSize: 1000, pageToken });
    count += page.jobs.length;
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return count;
}

/** Of jobs that ended: copies of one that did, each with an id of its own. */
async function makeRecords(scratch: Scratch, stateDirs: readonly string[]): Promise<void> {
  const server = await ServerProcess.start(scratch);
  const { id } = await server.client.start({ command: "echo", args: ["10%"] });
  await server.client.wait(id);
  await server.stop();
  const original = join(server.stateDir, "jobs", id);
  const record = readFileSync(join(original, "state.json"), "utf8");
  for (const [index, stateDir] of stateDirs.entries()) {
    mkdirSync(join(stateDir, "jobs"), { recursive: true, mode: 0o700 });
    for (let n = 1; n <= (RECORDS[index] ?? 0); n += 1) {
      const copyId = `job${String(n).padStart(9, "0")}`;
      const copy = join(stateDir, "jobs", copyId);
      cpSync(original, copy, { recursive: true });
      const own = { ...JSON.parse(record), id: copyId, sequence: n };
      writeFileSync(join(copy, "state.json"), JSON.stringify(own), { mode: 0o600 });
    }
  }
}
