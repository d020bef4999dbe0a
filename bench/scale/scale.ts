import { type BenchmarkOptions, selectParts } from "../benchmark-options.js";
import type { Scratch } from "../scratch.js";
import { cleanup } from "./cleanup.js";
import { makeEndedJobs, runExample } from "./ended-jobs.js";
import { eventLoop } from "./event-loop.js";
import {
  getLatency,
  listLatency,
  ready,
  type Served,
  serve,
  type Sized,
  startLatency,
} from "./growth.js";
import { exitNoticed, idleCpu } from "./running.js";

const PARTS = ["ready", "start", "list", "get", "loop", "cleanup", "idle", "exit"] as const;

type Part = (typeof PARTS)[number];

/** Those that need state directories with ended jobs. */
const OF_ENDED_JOBS: readonly Part[] = ["ready", "start", "list", "get", "loop", "cleanup"];
/** Of these, those that measure running servers in turns. */
const SIDE_BY_SIDE: readonly Part[] = ["start", "list", "get"];

const SIZES = [10, 100, 1000, 10_000, 100_000];
const SMOKE_SIZES = [10, 100];

/** What many jobs do to everything else: ended ones on record, and running ones. */
export async function scale(scratch: Scratch, options: BenchmarkOptions): Promise<void> {
  const parts = selectParts(PARTS, options);
  if (OF_ENDED_JOBS.some((part) => parts.has(part))) await ofEndedJobs(scratch, parts, options);
  if (parts.has("idle")) await idleCpu(scratch, options);
  if (parts.has("exit")) await exitNoticed(scratch, options);
}

async function ofEndedJobs(
  scratch: Scratch,
  parts: ReadonlySet<Part>,
  options: BenchmarkOptions,
): Promise<void> {
  const sizes = await makeSizes(scratch, options.sizes ?? (options.isSmoke ? SMOKE_SIZES : SIZES));
  const [empty, largest] = [sizes[0] as Sized, sizes.at(-1) as Sized];
  if (parts.has("ready")) await ready(scratch, sizes, options);
  if (SIDE_BY_SIDE.some((part) => parts.has(part))) {
    const served: Served[] = [];
    for (const sized of sizes) served.push(await serve(scratch, sized));
    if (parts.has("start")) await startLatency(served, options);
    if (parts.has("list")) await listLatency(scratch, served, options);
    if (parts.has("get")) await getLatency(scratch, served, options);
    for (const { server } of served) await server.stop();
  }
  if (parts.has("loop")) await eventLoop(scratch, [empty, largest], options);
  // Last: half of the jobs are gone after it.
  if (parts.has("cleanup")) await cleanup(scratch, largest, options);
}

/** The first one has no jobs. */
async function makeSizes(scratch: Scratch, sizes: readonly number[]): Promise<readonly Sized[]> {
  const example = await runExample(scratch);
  const made: Sized[] = [];
  for (const size of [0, ...sizes.toSorted((a, b) => a - b)]) {
    if (size >= 10_000) console.log(`making ${size} ended jobs`);
    made.push({ size, stateDir: await makeEndedJobs(scratch, example, size) });
  }
  return made;
}
