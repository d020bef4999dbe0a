import { setTimeout as sleep } from "node:timers/promises";
import type { ClientReadableStream } from "@grpc/grpc-js";
import { ProcmanService, Status, type WatchJobsResponse } from "../../gen/procman/v1/procman_pb.js";
import type { Job } from "../../src/index.js";
import { inParallel } from "../../src/platform/in-parallel.js";
import type { BenchmarkOptions } from "../benchmark-options.js";
import { GrpcClient } from "../grpc-client.js";
import { inTurns } from "../in-turns.js";
import { cpuSeconds } from "../process-figures.js";
import type { Scratch } from "../scratch.js";
import { ServerProcess } from "../server-process.js";
import { median, medianRatio, percentile } from "../statistics.js";
import { printTable } from "../table.js";

const RUNNING = 1000;
const SMOKE_RUNNING = 20;
const START_CONCURRENCY = 16;
/** Silent, and without end. */
const IDLE = { command: "sleep", args: ["100000"] };

function runningJobs({ running, isSmoke }: BenchmarkOptions): number {
  return running ?? (isSmoke ? SMOKE_RUNNING : RUNNING);
}

function startIdleJobs(server: ServerProcess, count: number): Promise<readonly Job[]> {
  const all = Array.from({ length: count }, () => IDLE);
  return inParallel(all, START_CONCURRENCY, (job) => server.client.start(job));
}

/** The server's CPU with silent running jobs, and with somebody who watches them. */
export async function idleCpu(scratch: Scratch, options: BenchmarkOptions): Promise<void> {
  const [windowMs, settleMs] = options.isSmoke ? [1000, 200] : [10_000, 3000];
  const count = runningJobs(options);
  const empty = await ServerProcess.start(scratch);
  const busy = await ServerProcess.start(scratch);
  await startIdleJobs(busy, count);
  const cases = [
    { name: "no jobs", server: empty, isWatched: false },
    { name: `${count} silent jobs`, server: busy, isWatched: false },
    { name: `${count} silent jobs, one WatchJobs`, server: busy, isWatched: true },
  ];
  const results = await inTurns(cases, options, async ({ server, isWatched }) => {
    const ends = isWatched ? await JobEnds.watch(server) : undefined;
    await sleep(settleMs);
    const [cpu, startMs] = [cpuSeconds(server.pid), performance.now()];
    await sleep(windowMs);
    const percent = ((cpuSeconds(server.pid) - cpu) / ((performance.now() - startMs) / 1000)) * 100;
    ends?.close();
    return percent;
  });
  const rows = cases.map(({ name }, index) => [
    name,
    `${median(results[index] ?? []).toFixed(2)} %`,
    `${Math.max(...(results[index] ?? [])).toFixed(2)} %`,
  ]);
  const caption = `CPU of a server, of one core (${options.rounds} x ${windowMs / 1000} s)`;
  printTable(caption, ["jobs", "median", "most"], rows);
  await empty.stop();
  await busy.stop();
}

/** From a command's end to the event of WatchJobs. The command is killed, so that its end is known. */
export async function exitNoticed(scratch: Scratch, options: BenchmarkOptions): Promise<void> {
  const count = runningJobs(options);
  const perRound = options.isSmoke ? 5 : 20;
  // The first round is not counted.
  const victims = perRound * (options.rounds + 1);
  const alone = await ServerProcess.start(scratch);
  const own = await ServerProcess.start(scratch);
  await startIdleJobs(own, count);
  const before = await ServerProcess.start(scratch);
  await startIdleJobs(before, count);
  const inherited = [...(await startIdleJobs(before, victims))];
  await before.shutDown();
  const { stateDir } = before;
  const heir = await ServerProcess.start(scratch, { stateDir });
  const startOne = (server: ServerProcess) => () => server.client.start(IDLE);
  const cases = [
    { name: "own job, no others", server: alone, victim: startOne(alone) },
    { name: `own job, ${count} others`, server: own, victim: startOne(own) },
    {
      name: `inherited job, ${count} others inherited`,
      server: heir,
      victim: async () => inherited.pop() as Job,
    },
  ];
  const results = await inTurns(cases, options, async ({ server, victim }) => {
    const ends = await JobEnds.watch(server);
    const latenciesMs: number[] = [];
    while (latenciesMs.length < perRound) {
      const job = await victim();
      // At no fixed time after a poll or a Start.
      await sleep(50 + 100 * Math.random());
      latenciesMs.push(await ends.killAndTime(job));
    }
    ends.close();
    return latenciesMs;
  });
  const rows = cases.map(({ name }, index) => {
    const rounds = results[index] ?? [];
    return [
      name,
      medianRatio(rounds.map(median), (results[0] ?? []).map(median)).toFixed(2),
      median(rounds.flat()).toFixed(2),
      percentile(rounds.flat(), 0.99).toFixed(1),
    ];
  });
  const caption = `From a command's end to the WatchJobs event (${options.rounds} x ${perRound}, ms)`;
  printTable(caption, ["job", "p50 / alone", "p50", "p99"], rows);
  for (const server of [alone, own, heir]) await server.stop();
}

/** When WatchJobs over gRPC tells of jobs' ends. */
class JobEnds {
  readonly #client: GrpcClient;
  readonly #call: ClientReadableStream<WatchJobsResponse>;
  readonly #waiting = new Map<string, (atMs: number) => void>();

  private constructor({ target }: ServerProcess) {
    this.#client = new GrpcClient(target);
    this.#call = this.#client.stream(ProcmanService.method.watchJobs, {});
  }

  static async watch(server: ServerProcess): Promise<JobEnds> {
    const ends = new JobEnds(server);
    await new Promise<void>((resolve, reject) => {
      ends.#call.on("data", ({ event }) => {
        if (event.case === "snapshot") resolve();
        if (event.case !== "changed" || !event.value.job) return;
        const { id, status } = event.value.job;
        if (status >= Status.COMPLETED) ends.#waiting.get(id)?.(performance.now());
      });
      // It ends by being cancelled, after which nobody waits for this.
      ends.#call.on("error", reject);
    });
    return ends;
  }

  async killAndTime({ id, ...job }: Job): Promise<number> {
    if (job.status !== "running") throw new Error(`job ${id} is ${job.status}`);
    const told = new Promise<number>((resolve) => this.#waiting.set(id, resolve));
    const killedMs = performance.now();
    process.kill(job.pid, "SIGKILL");
    const ms = (await told) - killedMs;
    this.#waiting.delete(id);
    return ms;
  }

  close(): void {
    this.#call.cancel();
    this.#client.close();
  }
}
