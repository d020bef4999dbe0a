import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Job, Status, Stream } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import type { TestServer } from "../helpers/test-server.js";

/** What a run of kills came to. */
export interface Tally {
  kills: number;
  starts: number;
  acknowledged: number;
  cancelled: number;
  signalled: number;
  removed: number;
  cleanups: number;
  attaches: number;
  lists: number;
  bytesChecked: number;
}

/** One Start that was asked for, and what the model knows of it. */
interface Asked {
  readonly requestId: string;
  readonly lines: number;
  readonly exitCode: number;
  id?: string;
  /** Asked for, whether or not it was answered. */
  cancel: "no" | "asked" | "acknowledged";
  kill: boolean;
  remove: "no" | "asked" | "acknowledged";
}

const CLIENTS = 4;

/** Cleanups under way: what starts meanwhile may be removed by them. */
let cleaning = 0;

/**
 * Loads a server from several clients over short and long jobs, kills it with
 * -9 at random moments, restarts it, and holds what it then says against a
 * model. Throws at the first thing that is not as it must be.
 */
export async function crashRun(server: TestServer, kills: number, seed: number): Promise<Tally> {
  const random = randomFrom(seed);
  const tally: Tally = {
    kills: 0,
    starts: 0,
    acknowledged: 0,
    cancelled: 0,
    signalled: 0,
    removed: 0,
    cleanups: 0,
    attaches: 0,
    lists: 0,
    bytesChecked: 0,
  };
  let model: Asked[] = [];
  while (tally.kills < kills) {
    const stop = new AbortController();
    const loads = Array.from({ length: CLIENTS }, () =>
      load(server, model, tally, random, stop.signal),
    );
    await sleep(20 + random() * 600);
    await server.kill();
    tally.kills += 1;
    stop.abort();
    await Promise.all(loads);
    await server.start();
    await checkAcknowledged(server, model);
    if (tally.kills % 10 === 0 || tally.kills === kills) {
      await checkEnds(server, model, tally);
      model = [];
    }
  }
  return tally;
}

/** One client: random verbs until it is told to stop. What fails, fails with the server. */
async function load(
  server: TestServer,
  model: Asked[],
  tally: Tally,
  random: () => number,
  stop: AbortSignal,
): Promise<void> {
  const { client } = server;
  const pick = () => {
    const known = model.filter(({ id, remove }) => id !== undefined && remove === "no");
    return known[Math.floor(random() * known.length)];
  };
  while (!stop.aborted) {
    const dice = random();
    try {
      if (dice < 0.5) await startOne(server, model, tally, random);
      else if (dice < 0.65) await cancelOne(server, pick(), tally);
      else if (dice < 0.73) await killOne(server, pick(), tally);
      else if (dice < 0.8) await removeOne(server, pick(), tally);
      else if (dice < 0.82) await cleanUp(server, model, tally);
      else if (dice < 0.92) {
        const asked = pick();
        if (asked) await readOutput(client, asked.id as string);
        tally.attaches += 1;
      } else {
        await client.list({ pageSize: 1000 });
        tally.lists += 1;
      }
    } catch {
      // Refused (not running, not found) or cut off by the kill.
      await sleep(2);
    }
  }
}

async function startOne(
  server: TestServer,
  model: Asked[],
  tally: Tally,
  random: () => number,
): Promise<void> {
  const asked: Asked = {
    requestId: `r${tally.starts}`,
    lines: Math.floor(random() * 40),
    exitCode: Math.floor(random() * 4),
    cancel: "no",
    kill: false,
    remove: cleaning > 0 ? "asked" : "no",
  };
  tally.starts += 1;
  model.push(asked);
  const { job } = await server.client.start(requestOf(server, asked));
  asked.id = job!.id;
  tally.acknowledged += 1;
}

/** Writes a word a run, then numbered lines, some of them slowly. */
function requestOf(server: TestServer, { requestId, lines, exitCode }: Asked) {
  const script = `echo ${requestId} >>runs
    i=0; while [ $i -lt ${lines} ]; do i=$((i+1)); echo ${requestId} $i; [ $((i%10)) -ne 0 ] || sleep 0.05; done
    exit ${exitCode}`;
  return { command: "sh", args: ["-c", script], workDir: server.stateDir, requestId };
}

async function cancelOne(server: TestServer, asked: Asked | undefined, tally: Tally) {
  if (!asked) return;
  if (asked.cancel === "no") asked.cancel = "asked";
  const { job } = await server.client.cancel({ id: asked.id as string });
  if (job!.status !== Status.CANCELLED) throw new Error(`${job!.id} is ${Status[job!.status]}`);
  asked.cancel = "acknowledged";
  tally.cancelled += 1;
}

async function killOne(server: TestServer, asked: Asked | undefined, tally: Tally) {
  if (!asked) return;
  asked.kill = true;
  await server.client.signal({ id: asked.id as string, signal: "KILL" });
  tally.signalled += 1;
}

async function removeOne(server: TestServer, asked: Asked | undefined, tally: Tally) {
  if (!asked) return;
  if (asked.remove === "no") asked.remove = "asked";
  await server.client.remove({ id: asked.id as string });
  asked.remove = "acknowledged";
  tally.removed += 1;
}

/** Whatever has ended may go; what was told to have gone must have. */
async function cleanUp(server: TestServer, model: readonly Asked[], tally: Tally) {
  for (const asked of model) if (asked.remove === "no") asked.remove = "asked";
  cleaning += 1;
  try {
    const { removedIds } = await server.client.cleanup({ olderThan: { seconds: 0n, nanos: 0 } });
    for (const asked of model) {
      if (asked.id && removedIds.includes(asked.id)) asked.remove = "acknowledged";
    }
    tally.cleanups += 1;
  } finally {
    cleaning -= 1;
  }
}

/** Right after a restart: what was acknowledged is there, what was removed is not. */
async function checkAcknowledged(server: TestServer, model: readonly Asked[]): Promise<void> {
  const known = new Map((await allJobs(server)).map((job) => [job.id, job]));
  const ids = [...known.values()].map(({ requestId }) => requestId);
  check(new Set(ids).size === ids.length, "a request_id has two jobs");
  for (const asked of model) {
    if (asked.id === undefined) continue;
    const job = known.get(asked.id);
    if (asked.remove === "acknowledged") check(!job, `removed job ${asked.id} is back`);
    if (asked.remove === "no") check(job, `acknowledged job ${asked.id} is lost`);
    check(job?.status !== Status.ORPHANED, `job ${asked.id} is orphaned: ${job?.error}`);
  }
}

/** Once all have ended: every end and every byte is as the model says. */
async function checkEnds(server: TestServer, model: Asked[], tally: Tally): Promise<void> {
  const { client } = server;
  const runs = countRuns(server);
  const jobs = await allJobs(server);
  for (const { id } of jobs) await client.wait({ id });
  await eventually("every job's processes to be gone", async () => {
    const { jobs: live } = await client.list({ statuses: [Status.RUNNING] });
    return live.length === 0;
  });
  const byRequest = new Map((await allJobs(server)).map((job) => [job.requestId, job]));
  for (const asked of model) {
    const ran = runs.get(asked.requestId) ?? 0;
    check(ran <= 1, `${asked.requestId} ran ${ran} times`);
    const job = byRequest.get(asked.requestId);
    if (!job) {
      // Absent: it was removed, or its Start was never acknowledged and nothing ran.
      const mayBeAbsent = asked.remove !== "no" || (asked.id === undefined && ran === 0);
      check(mayBeAbsent, `${asked.requestId} is absent, and ran ${ran} times`);
      continue;
    }
    await checkEnd(server, job, asked, tally);
  }
  for (const { id } of await allJobs(server)) await client.remove({ id });
}

async function checkEnd(server: TestServer, job: Job, asked: Asked, tally: Tally): Promise<void> {
  const what = `${asked.requestId} (${job.id}): ${Status[job.status]} ${job.exitCode} ${job.error}`;
  const whole = Array.from({ length: asked.lines }, (_, n) => `${asked.requestId} ${n + 1}\n`).join(
    "",
  );
  const output = (await readOutput(server.client, job.id)).toString();
  const errors = await readOutput(server.client, job.id, Stream.STDERR);
  check(errors.length === 0, `${what}: stderr has ${errors.toString()}`);
  tally.bytesChecked += output.length;
  switch (job.status) {
    case Status.CANCELLED:
      check(asked.cancel !== "no", `${what}: nobody cancelled it`);
      check(whole.startsWith(output), `${what}: output is not a beginning`);
      return;
    case Status.COMPLETED:
    case Status.FAILED: {
      check(asked.cancel !== "acknowledged", `${what}: its cancel was acknowledged`);
      if (asked.kill && job.signal === "SIGKILL") {
        check(whole.startsWith(output), `${what}: output is not a beginning`);
        return;
      }
      check(job.exitCode === asked.exitCode, `${what}: wants exit code ${asked.exitCode}`);
      check(output === whole, `${what}: output differs`);
      return;
    }
    default:
      check(false, what);
  }
}

async function allJobs(server: TestServer): Promise<Job[]> {
  const jobs: Job[] = [];
  let pageToken = "";
  do {
    const page = await server.client.list({ pageSize: 1000, pageToken });
    jobs.push(...page.jobs);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return jobs;
}

function countRuns(server: TestServer): Map<string, number> {
  const counts = new Map<string, number>();
  let text = "";
  try {
    text = readFileSync(join(server.stateDir, "runs"), "utf8");
  } catch {
    return counts;
  }
  for (const word of text.split("\n")) counts.set(word, (counts.get(word) ?? 0) + 1);
  return counts;
}

function check(condition: unknown, what: string): asserts condition {
  if (!condition) throw new Error(what);
}

/** mulberry32: small, and the same everywhere for a seed. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
