import { tmpdir } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { ProcmanService, Status } from "../../gen/procman/v1/procman_pb.js";
import type { BenchmarkOptions } from "../benchmark-options.js";
import { type CallLoop, type CallOrder, CallWorker, type Pace } from "../call-worker.js";
import { measureCalls, perSecond } from "../callers.js";
import { type Series, writeChart } from "../chart.js";
import { encodeRequest, GrpcClient, pathOf } from "../grpc-client.js";
import { describeMachine } from "../machine.js";
import { inTurns } from "../in-turns.js";
import { rssMib } from "../process-figures.js";
import type { Scratch } from "../scratch.js";
import { ServerProcess } from "../server-process.js";
import { median, medianRatio } from "../statistics.js";
import { printTable } from "../table.js";
import { idOf, RARE } from "./ended-jobs.js";
import { startRawServer } from "./raw-unary.js";

/*
 * What grows with the number of ended jobs on record: each part measures the same
 * with state directories of several sizes, in turns, and the first one is empty.
 */

/** A state directory with so many ended jobs. */
export interface Sized {
  readonly size: number;
  readonly stateDir: string;
}

/** With a server of its own. */
export interface Served extends Sized {
  readonly server: ServerProcess;
  readonly client: GrpcClient;
}

const { get, list, start } = ProcmanService.method;
const SETTLE_MS = 1000;
const CALLERS = 16;
const PAGE_SIZE = 100;
const ALL_PAGE_SIZE = 1000;
/** Jobs that Get asks for in turns. */
const ASKED_FOR = 100;
/** Of fewer jobs, the memory of one is lost in the noise. */
const MIN_SIZE_FOR_MEMORY = 1000;

/** From the server's exec until it is ready, and its memory. */
export async function ready(
  scratch: Scratch,
  sizes: readonly Sized[],
  options: BenchmarkOptions,
): Promise<void> {
  // Told apart: the first start may convert what is on disk.
  const first: Readiness[] = [];
  for (const sized of sizes) first.push(await measureReadiness(scratch, sized));
  const results = await inTurns(sizes, { ...options, isSmoke: true }, (sized) =>
    measureReadiness(scratch, sized),
  );
  const of = (index: number, figure: keyof Readiness) =>
    (results[index] ?? []).map((result) => result[figure]);
  const bytesOfJob = (index: number, figure: "readyMib" | "listedMib") => {
    const { size } = sizes[index] ?? { size: 0 };
    if (size < MIN_SIZE_FOR_MEMORY) return "";
    const mib = median(of(index, figure)) - median(of(0, figure));
    return ((mib * 2 ** 20) / size).toFixed(0);
  };
  const rows = sizes.map(({ size }, index) => [
    String(size),
    medianRatio(of(index, "ms"), of(0, "ms")).toFixed(2),
    median(of(index, "ms")).toFixed(0),
    first[index]?.ms.toFixed(0) ?? "",
    median(of(index, "readyMib")).toFixed(0),
    bytesOfJob(index, "readyMib"),
    bytesOfJob(index, "listedMib"),
  ]);
  printTable(
    `From exec to ready, and memory then and after all were listed (median of ${options.rounds} rounds)`,
    ["ended jobs", "ready / empty", "ready ms", "first ms", "RSS MiB", "bytes a job", "listed"],
    rows,
  );
  const series = (name: string, figure: keyof Readiness) =>
    seriesOf(
      name,
      sizes,
      sizes.map((_, index) => of(index, figure)),
    );
  chart(options, "ready", "A server's start with ended jobs on record", "ms from exec to ready", [
    series("ready", "ms"),
  ]);
  chart(options, "memory", "A server's memory with ended jobs on record", "RSS, MiB", [
    series("when ready", "readyMib"),
    series("after List of all", "listedMib"),
  ]);
}

interface Readiness {
  readonly ms: number;
  readonly readyMib: number;
  readonly listedMib: number;
}

async function measureReadiness(scratch: Scratch, { stateDir }: Sized): Promise<Readiness> {
  const startMs = performance.now();
  const server = await ServerProcess.start(scratch, { stateDir });
  const ms = performance.now() - startMs;
  await sleep(SETTLE_MS);
  const readyMib = rssMib(server.pid);
  await listAll(server);
  const listedMib = rssMib(server.pid);
  await server.shutDown();
  return { ms, readyMib, listedMib };
}

export async function serve(scratch: Scratch, sized: Sized): Promise<Served> {
  const server = await ServerProcess.start(scratch, sized);
  const client = new GrpcClient(server.target);
  scratch.defer(() => client.close());
  return { ...sized, server, client };
}

/** Start of `true`, one caller, until it is answered. */
export async function startLatency(
  served: readonly Served[],
  options: BenchmarkOptions,
): Promise<void> {
  const count = options.isSmoke ? 5 : 50;
  const p50s = await inTurns(served, options, async ({ client }) => {
    const startTrue = () => client.call(start, { command: "true" });
    const { latenciesMs } = await measureCalls({ callers: 1, count }, startTrue);
    // Until the jobs have ended, they would be in the next one's way.
    await sleep(SETTLE_MS / 2);
    return median(latenciesMs);
  });
  printGrowth(`Start of \`true\`, one caller (${options.rounds} x ${count})`, served, p50s);
  const series = [seriesOf("Start", served, p50s)];
  chart(options, "start", "Start with ended jobs on record", "p50, ms", series);
}

/** The first page of those jobs that have a label and a status, which one in 20 has. */
export async function listLatency(
  scratch: Scratch,
  served: readonly Served[],
  options: BenchmarkOptions,
): Promise<void> {
  const count = options.isSmoke ? 5 : 50;
  const worker = new CallWorker(scratch);
  const filter = { labels: RARE.labels, statuses: [Status.FAILED], pageSize: PAGE_SIZE };
  const request = encodeRequest(list, filter).toString("base64");
  const loop: CallLoop = {
    path: pathOf(list),
    requests: [request],
    pace: { kind: "callers", callers: 1, count },
  };
  const p50s = await inTurns(served, options, async ({ server }) =>
    median((await worker.callInOneLoop(server.target, loop)).latenciesMs),
  );
  const caption = `List, a page of ${PAGE_SIZE} by label and status, which one in 20 has`;
  printGrowth(`${caption} (${options.rounds} x ${count})`, served, p50s);
  const series = [seriesOf("List", served, p50s)];
  chart(options, "list", "List of a page by label and status", "p50, ms", series);
}

/** Get, next to grpc-js alone that answers with the same bytes. */
export async function getLatency(
  scratch: Scratch,
  served: readonly Served[],
  options: BenchmarkOptions,
): Promise<void> {
  const withJobs = served.filter(({ size }) => size > 0);
  const worker = new CallWorker(scratch);
  const path = pathOf(get);
  const example = await withJobs[0]?.client.callBytes(path, encodeRequest(get, { id: idOf(1) }));
  const raw = await startRawServer(scratch, path, example ?? Buffer.alloc(0));
  const one: Pace = { kind: "callers", callers: 1, count: options.isSmoke ? 50 : 1000 };
  const many: Pace = { kind: "callers", callers: CALLERS, count: options.isSmoke ? 160 : 4000 };
  const results = await inTurns(withJobs, options, async ({ size, server: { target } }) => {
    const requests = getRequests(size);
    const call = (to: CallOrder["target"], pace: Pace) =>
      worker.callInOneLoop(to, { path, requests, pace });
    return {
      p50: median((await call(target, one)).latenciesMs),
      rawP50: median((await call(raw, one)).latenciesMs),
      rate: perSecond(await call(target, many)),
      rawRate: perSecond(await call(raw, many)),
    };
  });
  const of = (index: number, figure: keyof (typeof results)[number][number]) =>
    (results[index] ?? []).map((result) => result[figure]);
  const rows = withJobs.map(({ size }, index) => [
    String(size),
    medianRatio(of(index, "p50"), of(index, "rawP50")).toFixed(2),
    median(of(index, "p50")).toFixed(3),
    median(of(index, "rawP50")).toFixed(3),
    medianRatio(of(index, "rate"), of(index, "rawRate")).toFixed(2),
    median(of(index, "rate")).toFixed(0),
    median(of(index, "rawRate")).toFixed(0),
  ]);
  printTable(
    `Get, next to grpc-js alone with the same bytes, one caller and ${CALLERS} (median of ${options.rounds} rounds)`,
    ["ended jobs", "p50 / raw", "p50 ms", "raw ms", "rate / raw", "a second", "raw a second"],
    rows,
  );
  const p50s = withJobs.map((_, index) => of(index, "p50"));
  const rawP50s = withJobs.map((_, index) => of(index, "rawP50"));
  chart(options, "get", "Get with ended jobs on record", "p50, ms", [
    seriesOf("Get", withJobs, p50s),
    seriesOf("grpc-js alone", withJobs, rawP50s),
  ]);
}

/** For jobs from the newer half, which no cleanup here removes. */
export function getRequests(size: number): readonly string[] {
  const ids = Array.from({ length: Math.min(ASKED_FOR, Math.ceil(size / 2)) }, (_, n) =>
    idOf(size - n),
  );
  return ids.map((id) => encodeRequest(get, { id }).toString("base64"));
}

async function listAll({ client }: ServerProcess): Promise<void> {
  let pageToken = "";
  do {
    const page = await client.list({ pageSize: ALL_PAGE_SIZE, pageToken });
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** Figures for each size, by round. */
type BySize = readonly (readonly number[])[];

function printGrowth(caption: string, sizes: readonly Sized[], p50s: BySize): void {
  const rows = sizes.map(({ size }, index) => [
    String(size),
    medianRatio(p50s[index] ?? [], p50s[0] ?? []).toFixed(3),
    median(p50s[index] ?? []).toFixed(2),
  ]);
  printTable(caption, ["ended jobs", "p50 / empty", "p50 ms"], rows);
}

function seriesOf(name: string, sizes: readonly Sized[], figures: BySize): Series {
  const points = sizes.map(({ size }, index) => [size, median(figures[index] ?? [])] as const);
  // Nothing has no place on a logarithmic axis.
  return { name, points: points.filter(([size]) => size > 0) };
}

function chart(
  { svgDir }: BenchmarkOptions,
  name: string,
  title: string,
  yTitle: string,
  series: readonly Series[],
): void {
  if (svgDir === undefined) return;
  const values = series.flatMap(({ points }) => points.map(([, value]) => value));
  writeChart(svgDir, `scale-${name}`, {
    title,
    xTitle: "ended jobs on record",
    yTitle,
    yScale: Math.max(...values) > 20 * Math.min(...values) ? "log" : "linear",
    series,
    footer: describeMachine(tmpdir()),
  });
}
