import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Job, Status } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const REASON = "this state directory is a copy: the job's processes belong to the original";

/** As `cp -a` makes it, with all times and modes. */
function copy(from: string, to = join(tempDir(), "copy")): string {
  execFileSync("cp", ["-a", from, to]);
  return to;
}

function fileOf(server: TestServer, id: string, name: string): string {
  return readFileSync(join(server.stateDir, "jobs", id, name), "utf8");
}

function placeOf(server: TestServer): string {
  return readFileSync(join(server.stateDir, "place"), "utf8");
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

async function startJob(server: TestServer, script: string, pty = false): Promise<Job> {
  const { job } = await server.client.start({ command: "bash", args: ["-c", script], pty });
  const { pid } = job as Job;
  // Where a job is given up that should not be, its directory does not name it any more.
  onTestFinished(() => {
    if (isAlive(pid)) process.kill(pid, "SIGKILL");
  });
  return job as Job;
}

async function jobOf(server: TestServer, id: string): Promise<Job> {
  const { job } = await server.client.get({ id });
  return job as Job;
}

async function cancelled(server: TestServer, id: string): Promise<Job> {
  const { job } = await server.client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 0 } });
  return job as Job;
}

/** The job is over, and no verb reaches the original's processes. */
async function expectDisowned(server: TestServer, id: string): Promise<void> {
  const job = await jobOf(server, id);
  expect(job).toMatchObject({ status: Status.ORPHANED, error: expect.stringContaining(REASON) });
  const refused = { code: "FailedPrecondition", reason: "JOB_NOT_RUNNING" };
  expect(await errorOf(server.client.signal({ id, signal: "KILL" }))).toMatchObject(refused);
  expect(await errorOf(cancelled(server, id))).toMatchObject(refused);
}

async function expectRunning(server: TestServer, { id, pid }: Job): Promise<void> {
  expect(await jobOf(server, id)).toMatchObject({ status: Status.RUNNING, pid });
  expect(isAlive(pid)).toBe(true);
}

describe.skipIf(process.platform !== "linux")("a copy of a state directory", () => {
  test("has none of the original's processes, and jobs of its own", async () => {
    const original = await TestServer.start();
    const jobs = [
      await startJob(original, "sleep 1000"),
      // Nothing that it has open tells whose it is.
      await startJob(original, "exec sleep 1000 >&- 2>&-"),
      await startJob(original, "sleep 1000", true),
    ];
    const left = await startJob(original, "sleep 1000 & echo $!");
    await original.client.wait({ id: left.id });
    const leftPid = Number(fileOf(original, left.id, "stdout.log"));
    onTestFinished(() => void process.kill(leftPid, "SIGKILL"));
    const at = await TestServer.start({ stateDir: copy(original.stateDir) });
    for (const { id } of jobs) await expectDisowned(at, id);
    const own = await startJob(at, "sleep 1000");
    await at.restart();
    for (const { id } of jobs) await expectDisowned(at, id);
    await expectRunning(at, own);
    for (const { id } of [...jobs, left]) await at.client.remove({ id });
    for (const job of jobs) await expectRunning(original, job);
    expect(isAlive(leftPid)).toBe(true);
    await original.restart();
    for (const job of jobs) await expectRunning(original, job);
    expect((await cancelled(original, jobs[0]!.id)).status).toBe(Status.CANCELLED);
    expect((await cancelled(at, own.id)).status).toBe(Status.CANCELLED);
  });

  test("is known as one also where its first server is killed before all is done", async () => {
    const original = await TestServer.start();
    const jobs = [await startJob(original, "sleep 1000"), await startJob(original, "sleep 1000")];
    await original.kill();
    const at = TestServer.prepare({ stateDir: copy(original.stateDir) });
    for (const point of ["atomic-file:written", "atomic-file:renamed", "atomic-file:renamed"]) {
      await at.start({ ready: false, env: { PROCMAN_CRASH_AT: point } });
      expect(await at.ended()).toBe("SIGKILL");
    }
    for (const { id } of jobs) expect(fileOf(at, id, "process")).toMatch(/^copied /);
    expect(placeOf(at)).toBe(placeOf(original));
    await at.start();
    for (const { id } of jobs) await expectDisowned(at, id);
    expect(placeOf(at)).not.toBe(placeOf(original));
    await original.start();
    for (const job of jobs) await expectRunning(original, job);
  });
});

describe("a state directory that is no copy", () => {
  test("keeps its jobs when it is moved, also its content alone", async () => {
    const home = await TestServer.start();
    const job = await startJob(home, "sleep 1000");
    await home.kill();
    const elsewhere = join(tempDir(), "elsewhere");
    const there = TestServer.prepare({ stateDir: elsewhere });
    const move = (from: string, to: string) => {
      mkdirSync(to, { recursive: true, mode: 0o700 });
      for (const name of readdirSync(from)) renameSync(join(from, name), join(to, name));
    };
    renameSync(home.stateDir, elsewhere);
    await there.start();
    await expectRunning(there, job);
    await there.kill();
    if (process.platform === "linux") move(elsewhere, home.stateDir);
    else renameSync(elsewhere, home.stateDir);
    await home.start();
    await expectRunning(home, job);
    expect((await cancelled(home, job.id)).status).toBe(Status.CANCELLED);
  });

  test("keeps them as one that an earlier version served, and learns their end as one that was restored", async () => {
    const server = await TestServer.start();
    const go = join(tempDir(), "go");
    const job = await startJob(server, `until [ -e ${go} ]; do sleep 0.05; done; exit 3`);
    await server.kill();
    rmSync(join(server.stateDir, "place"));
    await server.start();
    await expectRunning(server, job);
    await server.kill();
    // Some systems' cp takes no sockets.
    rmSync(server.socketPath);
    const backup = copy(server.stateDir);
    rmSync(server.stateDir, { recursive: true });
    copy(backup, server.stateDir);
    await server.start();
    await expectRunning(server, job);
    writeFileSync(go, "");
    await eventually("its end", async () => {
      const { status, exitCode } = await jobOf(server, job.id);
      return status === Status.FAILED && exitCode === 3;
    });
  });
});
