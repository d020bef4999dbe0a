import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Job, Status } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import type { TestServer } from "../helpers/test-server.js";
import {
  cpuSeconds,
  openDescriptors,
  privateKib,
  rssKib,
  zombieChildren,
} from "./process-figures.js";

export interface LoadOptions {
  /** Jobs that run at once. */
  readonly jobs: number;
  /** Clients that follow a silent job each, to its end; a tenth as many more follow one that talks. */
  readonly followers: number;
  /** How long jobs end and are replaced. */
  readonly seconds: number;
}

/** What a run came to. Times in milliseconds, memory in KiB. */
export interface LoadReport {
  readonly startsPerSecond: number;
  /** CPU of the server while nothing happens, in per cent of one core. */
  readonly idleCpuPercent: number;
  /** Of the server: before any job, with all jobs, each quarter of the time, after all jobs. */
  readonly rss: readonly number[];
  readonly runnerPrivate: number;
  readonly exits: number;
  /** From the exit record to the client's event by the wall clock, jobs ending one by one. */
  readonly noticed: Latency;
  /** The same with all jobs ending at once. */
  readonly noticedAtOnce: Latency;
  readonly descriptorsBefore: number;
  readonly descriptorsAfter: number;
  readonly followedBytes: number;
}

interface Latency {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const SILENT = { command: "sleep", args: ["100000"] };
const TALKER = { command: "sh", args: ["-c", "while :; do echo a line; sleep 1; done"] };
const START_CONCURRENCY = 8;
const CHURN_PAUSE_MS = 50;
const SIGTERM_EXIT_CODE = 143;

/**
 * Keeps many jobs running and followed, lets some end and starts others in their
 * place, then ends all at once. Throws when an exit is missed, a follower does
 * not get to the end of its job's output, or the server keeps a descriptor or a
 * zombie.
 */
export async function loadRun(server: TestServer, options: LoadOptions): Promise<LoadReport> {
  const load = new Load(server);
  await server.settle();
  const descriptorsBefore = openDescriptors(server.pid);
  const rss = [rssKib(server.pid)];

  const startedAt = performance.now();
  await load.watchJobs();
  const talkers = Math.ceil(options.followers / 10);
  const silent = options.jobs - talkers;
  const followed = await load.startJobs(Math.min(options.followers, Math.ceil(silent / 2)), SILENT);
  const others = await load.startJobs(silent - followed.length, SILENT);
  const startsPerSecond = (silent / (performance.now() - startedAt)) * 1000;
  const runnerPrivate = load.runnerPrivate(others);

  await load.follow(options.followers, followed);
  const idleCpuPercent = await load.idleCpuPercent(Math.max(2, options.seconds / 10));
  rss.push(rssKib(server.pid));

  await load.follow(talkers, await load.startJobs(talkers, TALKER));
  for (let quarter = 0; quarter < 4; quarter += 1) {
    await load.churn(others, options.seconds / 4);
    rss.push(rssKib(server.pid));
  }
  const noticed = await load.exitLatency();
  load.endAll();
  const noticedAtOnce = await load.exitLatency();
  const followedBytes = await load.followersEnded();

  await load.leave();
  await server.client.cleanup({ olderThan: { seconds: 0n, nanos: 0 } });
  await eventually("no zombie", () => zombieChildren(server.pid).length === 0);
  // Connections that a client keeps are closed some seconds after their last use.
  await eventually(
    `${openDescriptors(server.pid)} descriptors to be ${descriptorsBefore} again`,
    () => openDescriptors(server.pid) <= descriptorsBefore,
    60_000,
  );
  rss.push(rssKib(server.pid));
  return {
    startsPerSecond,
    idleCpuPercent,
    rss,
    runnerPrivate,
    exits: load.exits,
    noticed,
    noticedAtOnce,
    descriptorsBefore,
    descriptorsAfter: openDescriptors(server.pid),
    followedBytes,
  };
}

class Load {
  exits = 0;
  readonly #server: TestServer;
  /** Jobs that have not been ended, by id. */
  readonly #live = new Map<string, Job>();
  /** When the event of a job's end came, by id. */
  readonly #ended = new Map<string, { job: Job; atMs: number }>();
  /** Ended, but not looked at yet. */
  #toCheck: Job[] = [];
  readonly #followers: Promise<number>[] = [];
  #opened = 0;
  readonly #leaving = new AbortController();
  #watching: Promise<void> = Promise.resolve();

  constructor(server: TestServer) {
    this.#server = server;
  }

  async watchJobs(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#watching = this.#noteEnds(resolve);
      this.#watching.catch(reject);
    });
  }

  async startJobs(count: number, what: typeof SILENT): Promise<Job[]> {
    const { client } = this.#server;
    const started: Job[] = [];
    const startAll = async () => {
      while (count > 0) {
        count -= 1;
        const { job } = await client.start(what);
        started.push(job as Job);
        this.#live.set(job!.id, job as Job);
      }
    };
    await Promise.all(Array.from({ length: START_CONCURRENCY }, startAll));
    return started;
  }

  /** Resolves when all that many follow a job. */
  async follow(count: number, jobs: readonly Job[]): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      const { id } = jobs[n % jobs.length] as Job;
      this.#followers.push(this.#followOne(id));
    }
    const opened = () => this.#opened === this.#followers.length;
    await Promise.race([eventually("the followers", opened, 60_000), Promise.all(this.#followers)]);
  }

  async idleCpuPercent(seconds: number): Promise<number> {
    const { pid } = this.#server;
    const [before, startedAt] = [cpuSeconds(pid), performance.now()];
    await sleep(seconds * 1000);
    return ((cpuSeconds(pid) - before) / (performance.now() - startedAt)) * 100_000;
  }

  /** Memory of its own that a job's runner has, on average over some jobs. */
  runnerPrivate(jobs: readonly Job[]): number {
    const sizes = jobs.slice(0, 20).map(({ id }) => privateKib(this.#runnerPid(id)));
    return sizes.reduce((sum, size) => sum + size, 0) / sizes.length;
  }

  /** Ends one of the jobs after another, and starts another one for each. */
  async churn(jobs: Job[], seconds: number): Promise<void> {
    for (const until = performance.now() + seconds * 1000; performance.now() < until; ) {
      const job = jobs.shift();
      if (!job) return;
      this.#end(job);
      jobs.push(...(await this.startJobs(1, SILENT)));
      await sleep(CHURN_PAUSE_MS);
    }
  }

  endAll(): void {
    for (const job of this.#live.values()) this.#end(job);
  }

  /** Of the exits since the last call, once each has been told of. */
  async exitLatency(): Promise<Latency> {
    const jobs = this.#toCheck;
    this.#toCheck = [];
    await eventually(
      "every exit to be told of",
      () => jobs.every(({ id }) => this.#ended.has(id)),
      60_000,
    );
    const latencies = jobs.map(({ id }) => {
      const { job, atMs } = this.#ended.get(id) as { job: Job; atMs: number };
      if (job.status !== Status.FAILED || job.exitCode !== SIGTERM_EXIT_CODE) {
        throw new Error(`${id} is ${Status[job.status]} with exit code ${job.exitCode}`);
      }
      return atMs - statSync(join(this.#server.stateDir, "jobs", id, "exit")).mtimeMs;
    });
    this.exits += jobs.length;
    return latencyOf(latencies);
  }

  /** The bytes that all followers got; each checks its own. */
  async followersEnded(): Promise<number> {
    const bytes = await Promise.all(this.#followers);
    return bytes.reduce((sum, count) => sum + count, 0);
  }

  async leave(): Promise<void> {
    this.#leaving.abort();
    await this.#watching;
  }

  #end(job: Job): void {
    process.kill(job.pid, "SIGTERM");
    this.#live.delete(job.id);
    this.#toCheck.push(job);
  }

  async #noteEnds(onSnapshot: () => void): Promise<void> {
    const { signal } = this.#leaving;
    try {
      for await (const { event } of this.#server.client.watchJobs({}, { signal })) {
        if (event.case === "snapshot") onSnapshot();
        const job = event.case === "changed" ? event.value.job : undefined;
        if (!job || job.status === Status.RUNNING || job.status === Status.PENDING) continue;
        if (this.#ended.has(job.id)) throw new Error(`${job.id} ended twice`);
        this.#ended.set(job.id, { job, atMs: Date.now() });
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #followOne(id: string): Promise<number> {
    let bytes = 0;
    for await (const { event } of this.#server.client.attach({ id, follow: true })) {
      if (event.case === "opened") this.#opened += 1;
      if (event.case === "chunk") bytes += event.value.data.length;
      if (event.case !== "ended") continue;
      const { job } = event.value;
      if (job?.status !== Status.FAILED || job.stdoutBytes !== BigInt(bytes)) {
        throw new Error(`a follower of ${id} got ${bytes} bytes of ${job?.stdoutBytes}`);
      }
      return bytes;
    }
    throw new Error(`a follower of ${id} was not told of its end`);
  }

  #runnerPid(id: string): number {
    const record = readFileSync(join(this.#server.stateDir, "jobs", id, "process"), "utf8");
    return Number(record.split("\n")[1]?.split(" ")[0]);
  }
}

function latencyOf(values: number[]): Latency {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}
