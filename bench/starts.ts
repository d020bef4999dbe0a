import { type BenchmarkOptions, selectParts } from "./benchmark-options.js";
import { perSecond } from "./callers.js";
import { inTurns } from "./in-turns.js";
import { bareSpawn, goProgram, nq, posixSpawn, taskSpooler } from "./peers/commands.js";
import { type Contender, type ContenderRun, NotInstalled, type Order } from "./peers/contender.js";
import { pm2 } from "./peers/pm2.js";
import { procman } from "./peers/procman.js";
import { supervisor } from "./peers/supervisor.js";
import type { Scratch } from "./scratch.js";
import { median, medianRatio, percentile } from "./statistics.js";
import { printTable } from "./table.js";

const PARTS = ["latency", "throughput"] as const;

/** What procman is compared with, besides a bare spawn. */
const PEERS: Readonly<
  Record<string, (scratch: Scratch) => Promise<Contender | readonly Contender[]>>
> = { c: posixSpawn, go: goProgram, supervisor, pm2, "task-spooler": taskSpooler, nq };

const CALLERS = 16;

/** Starting `true`: until it is answered, and until its end is told, next to what else starts commands. */
export async function starts(scratch: Scratch, options: BenchmarkOptions): Promise<void> {
  const parts = selectParts(PARTS, options);
  const bare = bareSpawn(scratch);
  const { byWait, byWatchJobs } = await procman(scratch);
  const { peers, missing } = await findPeers(scratch, options.peers ?? Object.keys(PEERS));
  if (parts.has("latency")) {
    const order = { callers: 1, count: options.isSmoke ? 10 : 100, untilEnd: false };
    const contenders = [bare, { ...byWait, name: "procman: Start" }, ...peers];
    printLatencies(await compare(contenders, order, options), order, options);
    printMissing(missing);
  }
  if (parts.has("throughput")) {
    const order = { callers: CALLERS, count: options.isSmoke ? 32 : 320, untilEnd: true };
    const contenders = [bare, byWait, byWatchJobs, ...peers];
    printThroughput(await compare(contenders, order, options), order, options);
    printMissing(missing);
  }
}

async function findPeers(
  scratch: Scratch,
  names: readonly string[],
): Promise<{ peers: readonly Contender[]; missing: readonly string[] }> {
  const peers: Contender[] = [];
  const missing = Object.keys(PEERS)
    .filter((name) => !names.includes(name))
    .map((name) => `${name} (not asked for)`);
  for (const name of names) {
    const prepare = PEERS[name];
    if (!prepare) throw new Error(`no peer ${name}; there are ${Object.keys(PEERS).join(", ")}`);
    try {
      peers.push(...[await prepare(scratch)].flat());
    } catch (error) {
      if (!(error instanceof NotInstalled)) throw error;
      missing.push(`${name} (${error.message})`);
    }
  }
  return { peers, missing };
}

interface Result {
  readonly name: string;
  /** One a round. */
  readonly runs: readonly ContenderRun[];
}

/** The first one is the reference. */
async function compare(
  contenders: readonly Contender[],
  order: Order,
  options: BenchmarkOptions,
): Promise<readonly Result[]> {
  const runs = await inTurns(contenders, options, (contender) => contender.run(order));
  return contenders.map(({ name }, index) => ({ name, runs: runs[index] ?? [] }));
}

function printLatencies(
  results: readonly Result[],
  { count }: Order,
  { rounds }: BenchmarkOptions,
): void {
  const p50s = ({ runs }: Result) => runs.map(({ latenciesMs }) => median(latenciesMs));
  const rows = results.map((result) => {
    const all = result.runs.flatMap(({ latenciesMs }) => latenciesMs);
    return [
      result.name,
      ratioToFirst(results, result, p50s),
      median(p50s(result)).toFixed(2),
      percentile(all, 0.99).toFixed(1),
      cpuCell(result),
    ];
  });
  const caption = `Starting \`true\`, one caller, until it is answered (${rounds} x ${count}, ms)`;
  printTable(caption, ["way", "p50 / bare", "p50", "p99", "server CPU a job"], rows);
}

function printThroughput(
  results: readonly Result[],
  { callers, count }: Order,
  { rounds }: BenchmarkOptions,
): void {
  const rates = ({ runs }: Result) => runs.map(perSecond);
  const rows = results.map((result) => [
    result.name,
    ratioToFirst(results, result, rates),
    median(rates(result)).toFixed(0),
    median(result.runs.flatMap(({ latenciesMs }) => latenciesMs)).toFixed(1),
    cpuCell(result),
  ]);
  const caption = `Jobs of \`true\`, ${callers} callers, each until its end is told (${rounds} x ${count})`;
  const titles = ["way", "rate / bare", "a second", "p50 ms", "server CPU ms a job"];
  printTable(caption, titles, rows);
}

function ratioToFirst(
  results: readonly Result[],
  result: Result,
  figures: (result: Result) => readonly number[],
): string {
  const first = results[0];
  return first ? medianRatio(figures(result), figures(first)).toFixed(3) : "";
}

/** Of one job, in ms; empty where there is no server. */
function cpuCell({ runs }: Result): string {
  const perJob = runs.flatMap(({ serverCpuSeconds, latenciesMs }) =>
    serverCpuSeconds === undefined ? [] : [(serverCpuSeconds * 1000) / latenciesMs.length],
  );
  return perJob.length === 0 ? "" : median(perJob).toFixed(2);
}

function printMissing(missing: readonly string[]): void {
  if (missing.length > 0) console.log(`\nNot in the table: ${missing.join(", ")}.`);
}
