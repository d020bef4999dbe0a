import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { freePort } from "../helpers/free-port.js";
import { isRoot, needsCgroup } from "../helpers/machine.js";
import { asOrdinaryUser } from "../helpers/ordinary-user.js";
import { readOutput } from "../helpers/output.js";
import { endProcess, isRunning } from "../helpers/strangers.js";
import { TestServer } from "../helpers/test-server.js";

const NO_GRACE = { seconds: 0n, nanos: 0 };

/** Leaves a process behind in the job's group; its pid is the first line of output. */
const IN_GROUP = "sleep 1000 & echo $!; exit 3";
/** And one in a session of its own. */
const BOTH = `setsid sleep 1000 & ${IN_GROUP}`;

const shared = TestServer.shared();

/** Runs a script, and returns its job once it has ended. */
async function ended(script: string, rest: object = {}, server = shared) {
  const { job } = await server.client.start({ command: "sh", args: ["-c", script], ...rest });
  const { id } = job!;
  const { job: last } = await server.client.wait({ id });
  onTestFinished(async () => {
    for (const pid of await pidsOf(id, server)) await endProcess(pid);
  });
  return { id, job: last!, cgroup: cgroupOf(id, server) };
}

async function pidsOf(id: string, server = shared): Promise<number[]> {
  const output = (await readOutput(server.client, id).catch(() => "")).toString();
  return output.split("\n").map(Number).filter(Boolean);
}

function cgroupOf(id: string, server = shared): string {
  const record = readFileSync(join(server.stateDir, "jobs", id, "process"), "utf8");
  return /^cgroup (.*)$/m.exec(record)?.[1] ?? "";
}

const remains = async (id: string, server = shared) =>
  (await server.client.get({ id })).job!.remainingProcesses;

/** Nothing is left of it, and of its cgroup neither. */
async function expectNone(id: string, cgroup: string, server = shared): Promise<void> {
  expect(await remains(id, server)).toBe(0);
  if (cgroup !== "") await eventually("the cgroup's end", () => !existsSync(cgroup));
}

describe("what a command has left behind", () => {
  test("is counted, is not reached by accident, and is ended where that is asked for", async ({
    skip,
  }) => {
    const { client } = shared;
    const { id, job, cgroup } = await ended(BOTH);
    needsCgroup(cgroup !== "", skip);
    expect(job).toMatchObject({ status: Status.FAILED, exitCode: 3, remainingProcesses: 2 });
    const { jobs } = await client.list({});
    expect(jobs.find((each) => each.id === id)?.remainingProcesses).toBe(2);
    expect(await errorOf(client.cancel({ id }))).toMatchObject({ reason: "JOB_NOT_RUNNING" });
    const signal = client.signal({ id, signal: "KILL" });
    expect(await errorOf(signal)).toMatchObject({ reason: "JOB_NOT_RUNNING" });
    expect(await errorOf(client.remove({ id }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "JOB_HAS_PROCESSES",
    });
    const { removedIds } = await client.cleanup({ olderThan: NO_GRACE });
    expect(removedIds).not.toContain(id);
    expect(await remains(id)).toBe(2);

    const { job: cancelled } = await client.cancel({ id, includeRemaining: true });
    // How the command ended does not change.
    expect(cancelled).toMatchObject({ status: Status.FAILED, exitCode: 3, remainingProcesses: 0 });
    await expectNone(id, cgroup);
    const again = client.cancel({ id, includeRemaining: true });
    expect(await errorOf(again)).toMatchObject({ reason: "JOB_NOT_RUNNING" });
    await client.remove({ id });
  });

  test("gets signals, whatever its group is", async ({ skip }) => {
    const { client } = shared;
    const script = `
      loop='trap "echo $0 >>told" USR1; touch $0.ready; while :; do sleep 0.05; done'
      sh -c "$loop" one & setsid sh -c "$loop" two &
      until [ -e one.ready ] && [ -e two.ready ]; do sleep 0.02; done`;
    const { id, cgroup } = await ended(script, { workDir: shared.stateDir });
    const told = join(shared.stateDir, "told");
    needsCgroup(cgroup !== "", skip);
    await client.signal({ id, signal: "USR1", includeRemaining: true });
    await eventually("both to be told", () => {
      const lines = existsSync(told) ? readFileSync(told, "utf8").trim().split("\n") : [];
      return lines.toSorted().join() === "one,two";
    });
    const { job } = await client.get({ id });
    expect(job).toMatchObject({ status: Status.COMPLETED, lastSignal: "SIGUSR1" });
    await client.remove({ id, includeRemaining: true });
    expect(existsSync(cgroup)).toBe(false);
  });

  test("is noticed to end by itself: its job can be removed, and WatchJobs tells", async ({
    skip,
  }) => {
    const { client } = shared;
    const { id, cgroup } = await ended(IN_GROUP, { name: "leaves" });
    needsCgroup(cgroup !== "", skip);
    const leave = new AbortController();
    onTestFinished(() => leave.abort());
    const events = client.watchJobs({ name: "leaves" }, { signal: leave.signal });
    const waiting = client.wait({ id, until: { case: "noRemaining", value: true } });
    for await (const { event } of events) {
      if (event.case === "snapshot") {
        expect(event.value.jobs[0]?.remainingProcesses).toBe(1);
        const [pid] = await pidsOf(id);
        process.kill(pid!, "SIGKILL");
      } else if (event.case === "changed") {
        expect(event.value.job).toMatchObject({ remainingProcesses: 0, status: Status.FAILED });
        break;
      }
    }
    expect((await waiting).job!.remainingProcesses).toBe(0);
    await expectNone(id, cgroup);
    await client.remove({ id });
  });

  test("does not end a wait for its end before it has ended", async ({ skip }) => {
    const { client } = shared;
    const { id, cgroup } = await ended(IN_GROUP);
    needsCgroup(cgroup !== "", skip);
    const until = { case: "noRemaining", value: true } as const;
    const { job } = await client.wait({ id, until, timeout: { seconds: 0n, nanos: 1e8 } });
    expect(job).toMatchObject({ status: Status.FAILED, remainingProcesses: 1 });
    const { job: other } = await client.start({ command: "true" });
    const { job: none } = await client.wait({ id: other!.id, until });
    expect(none).toMatchObject({ status: Status.COMPLETED, remainingProcesses: 0 });
    const refused = client.wait({ id, until: { case: "noRemaining", value: false } });
    expect(await errorOf(refused)).toMatchObject({ fields: ["no_remaining"] });
  });

  test("is reached by filters, and ended with its job's removal", async ({ skip }) => {
    const { client } = shared;
    const labels = { batch: "left" };
    const first = await ended(IN_GROUP, { labels });
    needsCgroup(first.cgroup !== "", skip);
    const second = await ended(IN_GROUP, { labels });
    await client.wait({ id: (await ended("exit 0", { labels })).id });
    const selection = { labels };
    expect(await client.cancelJobs({ selection })).toMatchObject({ doneSize: 0, failedSize: 0 });
    const signal = "CONT";
    const continued = await client.signalJobs({ selection, signal, includeRemaining: true });
    expect(continued).toMatchObject({ doneSize: 2, failedSize: 0 });
    const refused = await client.removeJobs({ selection: { ids: [first.id] } });
    expect(refused.results[0]?.failure?.reason).toBe("JOB_HAS_PROCESSES");
    const cancelled = await client.cancelJobs({
      selection: { ids: [first.id] },
      includeRemaining: true,
    });
    expect(cancelled).toMatchObject({ doneSize: 1, failedSize: 0 });
    await expectNone(first.id, first.cgroup);
    const removed = await client.removeJobs({
      selection,
      gracePeriod: NO_GRACE,
      includeRemaining: true,
    });
    expect(removed).toMatchObject({ doneSize: 3, failedSize: 0 });
    expect(existsSync(second.cgroup)).toBe(false);
  });

  test("is ended before the job is started again, so that its port is free", async ({ skip }) => {
    const { client } = shared;
    const server = `require("net").createServer().listen(Number(process.env.PORT), "127.0.0.1")`;
    const script = `
      ${process.execPath} -e '${server}' &
      echo $!
      while ! ${process.execPath} -e 'require("net").connect(Number(process.env.PORT), "127.0.0.1").on("connect", () => process.exit()).on("error", () => process.exit(1))'; do :; done`;
    const port = await freePort();
    const { id, cgroup } = await ended(script, { env: { PORT: String(port) } });
    needsCgroup(cgroup !== "", skip);
    expect(await remains(id)).toBe(1);
    const { job } = await client.restart({ id });
    await expectNone(id, cgroup);
    const { job: again } = await client.wait({ id: job!.id });
    expect(again).toMatchObject({
      status: Status.COMPLETED,
      stderrBytes: 0n,
      remainingProcesses: 1,
    });
    await client.remove({ id: job!.id, includeRemaining: true });
  });
});

describe("end_remaining", () => {
  test("ends it, politely, once the command has ended, whose end is told at once", async ({
    skip,
  }) => {
    const { client } = shared;
    const said = join(shared.stateDir, "bye");
    const script = `
      (trap 'while [ ! -e ${said}.may ]; do sleep 0.02; done; echo bye >${said}; exit' TERM
        echo ready; while :; do sleep 0.02; done) &
      setsid sleep 1000 &
      while [ ! -s /dev/stdout ]; do sleep 0.02; done; exit 4`;
    const { id, job, cgroup } = await ended(script, { endRemaining: true });
    needsCgroup(cgroup !== "", skip);
    expect(job).toMatchObject({ status: Status.FAILED, exitCode: 4, endRemaining: true });
    // It is being ended, and takes its time.
    expect(job.remainingProcesses).toBeGreaterThan(0);
    writeFileSync(`${said}.may`, "");
    const { job: last } = await client.wait({ id, until: { case: "noRemaining", value: true } });
    expect(last).toMatchObject({ status: Status.FAILED, exitCode: 4, remainingProcesses: 0 });
    expect(readFileSync(said, "utf8")).toBe("bye\n");
    await expectNone(id, cgroup);
  });

  test("holds for a job that is started again", async () => {
    const { id } = await ended("exit 0", { endRemaining: true });
    const { job } = await shared.client.restart({ id });
    expect(job!.endRemaining).toBe(true);
  });
});

describe("after the server was killed, what is left", () => {
  test("of a job that had ended is known, and so is its end", async ({ skip }) => {
    const server = await TestServer.start();
    const { id, cgroup } = await ended(BOTH, {}, server);
    needsCgroup(cgroup !== "", skip);
    await server.restart();
    expect(await remains(id, server)).toBe(2);
    await server.client.cancel({ id, includeRemaining: true });
    await expectNone(id, cgroup, server);
    // Nobody is asked again.
    await server.restart();
    expect(await remains(id, server)).toBe(0);
    await server.client.remove({ id });
  });

  test("of a job that ended meanwhile is known, or ended where that was asked for", async ({
    skip,
  }) => {
    const server = await TestServer.start();
    const script = `until [ -e go ]; do sleep 0.02; done; ${IN_GROUP}`;
    const request = { command: "sh", args: ["-c", script], workDir: server.stateDir };
    const { job: kept } = await server.client.start(request);
    const { job: ending } = await server.client.start({ ...request, endRemaining: true });
    needsCgroup(cgroupOf(kept!.id, server) !== "", skip);
    await server.kill();
    writeFileSync(join(server.stateDir, "go"), "");
    for (const { id } of [kept!, ending!]) {
      const path = join(server.stateDir, "jobs", id, "exit");
      await eventually("the exit record", () => /^\d/.test(readFileSync(path, "utf8")));
    }
    await server.start();
    const none = { case: "noRemaining", value: true } as const;
    const { job: over } = await server.client.wait({ id: ending!.id, until: none });
    expect(over).toMatchObject({ status: Status.FAILED, exitCode: 3, remainingProcesses: 0 });
    expect(await remains(kept!.id, server)).toBe(1);
    // The last one ends while no server runs.
    await server.kill();
    const [pid] = await eventually("its pid", () => {
      const log = join(server.stateDir, "jobs", kept!.id, "stdout.log");
      return [Number(readFileSync(log, "utf8"))];
    });
    await endProcess(pid);
    await server.start();
    await expectNone(kept!.id, cgroupOf(kept!.id, server), server);
  });
});

test.skipIf(!isRoot())("with a session alone, what is left in it is known and ended", async () => {
  const server = await TestServer.start(asOrdinaryUser());
  const script = `
    setsid sh -c 'echo $$; touch gone; exec sleep 1000' &
    until [ -e gone ]; do sleep 0.02; done
    sleep 1000 & echo $!`;
  const { id, job, cgroup } = await ended(script, { workDir: server.stateDir }, server);
  expect(cgroup).toBe("");
  // The one that has left the session is lost.
  expect(job.remainingProcesses).toBe(1);
  const [lost, inSession] = await pidsOf(id, server);
  await server.restart();
  expect(await remains(id, server)).toBe(1);
  expect(await errorOf(server.client.remove({ id }))).toMatchObject({
    reason: "JOB_HAS_PROCESSES",
  });
  await server.client.cancel({ id, includeRemaining: true });
  expect([lost!, inSession!].map(isRunning)).toEqual([true, false]);
  expect(await remains(id, server)).toBe(0);
  await server.client.remove({ id });
});
