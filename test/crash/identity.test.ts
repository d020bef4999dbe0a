import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Containment, type Job, Status } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { isRoot, needsCgroup } from "../helpers/machine.js";
import { readOutput } from "../helpers/output.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const onLinux = describe.skipIf(process.platform !== "linux");

/** The file in which a job's runner wrote who it and the command are. */
function processFile(server: TestServer, id: string): string {
  return join(server.stateDir, "jobs", id, "process");
}

/** Its lines: boot id, the runner's stat, the command's stat, the cgroup. */
function processLines(server: TestServer, id: string): string[] {
  return readFileSync(processFile(server, id), "utf8").split("\n");
}

function runnerPid(server: TestServer, id: string): number {
  return Number(processLines(server, id)[1]?.split(" ")[0]);
}

/** A process that lives: zombies do not. */
function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

async function killProcess(pid: number): Promise<void> {
  process.kill(pid, "SIGKILL");
  await eventually(`the end of process ${pid}`, () => !isRunning(pid));
}

/** A process that is nobody's job, leader of its own session and group. */
async function stranger(): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  await once(child, "spawn");
  return child as ChildProcess & { readonly pid: number };
}

/** Says of a job that its runner and command are the process of that pid, an instant before it was. */
function claimForJob(server: TestServer, id: string, pid: number): void {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1").trim().split(" ");
  stat[21] = String(Number(stat[21]) - 1);
  const [bootId, , , ...rest] = processLines(server, id);
  writeFileSync(
    processFile(server, id),
    [bootId, stat.join(" "), stat.join(" "), ...rest].join("\n"),
  );
  const record = join(server.stateDir, "jobs", id, "state.json");
  const state = JSON.parse(readFileSync(record, "utf8")) as object;
  writeFileSync(record, JSON.stringify({ ...state, pid }));
}

async function startJob(server: TestServer, script: string): Promise<Job> {
  const { job } = await server.client.start({ command: "bash", args: ["-c", script] });
  return job as Job;
}

async function jobOf(server: TestServer, id: string): Promise<Job> {
  const { job } = await server.client.get({ id });
  return job as Job;
}

async function expectOrphaned(server: TestServer, id: string, reason: string): Promise<void> {
  const job = await jobOf(server, id);
  expect(job.status).toBe(Status.ORPHANED);
  expect(job.error).toContain(reason);
  expect(job.exitCode).toBeUndefined();
  expect(job.signal).toBe("");
  expect(job.completedTime).toBeDefined();
}

/** Every verb that would signal is refused. */
async function expectRefused(server: TestServer, id: string): Promise<void> {
  const refused = { code: "FailedPrecondition", reason: "JOB_NOT_RUNNING" };
  expect(await errorOf(server.client.signal({ id, signal: "KILL" }))).toMatchObject(refused);
  expect(await errorOf(server.client.cancel({ id }))).toMatchObject(refused);
  const noGrace = { seconds: 0n, nanos: 0 };
  expect(await errorOf(server.client.cancel({ id, gracePeriod: noGrace }))).toMatchObject(refused);
}

onLinux("another process has the job's pid", () => {
  test("after a restart: the job is orphaned, and the stranger is left alone", async () => {
    const server = await TestServer.start();
    const { id, pid } = await startJob(server, "sleep 1000");
    await server.kill();
    await killProcess(runnerPid(server, id));
    await killProcess(pid);
    const other = await stranger();
    claimForJob(server, id, other.pid);
    await server.start();
    await expectOrphaned(server, id, `process ${other.pid}`);
    await expectRefused(server, id);
    await server.client.remove({ id });
    expect(isRunning(other.pid)).toBe(true);
  });

  test("under a running server: a signal does not reach the stranger", async () => {
    const server = await TestServer.start();
    const [signalled, cancelled] = [
      await startJob(server, "sleep 1000"),
      await startJob(server, "sleep 1000"),
    ];
    const other = await stranger();
    for (const { id, pid } of [signalled, cancelled]) {
      const runner = runnerPid(server, id);
      claimForJob(server, id, other.pid);
      await killProcess(runner);
      await killProcess(pid);
    }
    const refused = { reason: "JOB_NOT_RUNNING" };
    const { client } = server;
    expect(await errorOf(client.signal({ id: signalled.id, signal: "KILL" }))).toMatchObject(
      refused,
    );
    expect(await errorOf(client.cancel({ id: cancelled.id }))).toMatchObject(refused);
    await expectOrphaned(server, signalled.id, `process ${other.pid}`);
    await expectOrphaned(server, cancelled.id, `process ${other.pid}`);
    expect(isRunning(other.pid)).toBe(true);
  });

  test("after a reboot: the same pid and start time of another boot are another process", async () => {
    const server = await TestServer.start();
    const { id, pid } = await startJob(server, "sleep 1000");
    const lines = processLines(server, id);
    await server.kill();
    onTestFinished(async () => killProcess(pid));
    const otherBoot = "00000000-0000-4000-8000-000000000000";
    writeFileSync(processFile(server, id), [otherBoot, ...lines.slice(1)].join("\n"));
    await server.start();
    await expectOrphaned(server, id, "the machine was restarted");
    await expectRefused(server, id);
    expect(isRunning(pid)).toBe(true);
  });
});

onLinux("a runner that was killed", () => {
  const loop = "trap 'echo got it' USR1; echo ready; while [ ! -e done ]; do sleep 0.02; done";

  async function startLoop(server: TestServer): Promise<Job> {
    const { job } = await server.client.start({
      command: "bash",
      args: ["-c", loop],
      workDir: server.stateDir,
    });
    await eventually("the trap", async () => (await jobOf(server, job!.id)).stdoutBytes > 0n);
    return job as Job;
  }

  test("leaves a job that runs, is signalled, and whose end is then not known", async () => {
    const server = await TestServer.start();
    const { id, pid } = await startLoop(server);
    await killProcess(runnerPid(server, id));
    await server.client.refresh({});
    expect(await jobOf(server, id)).toMatchObject({ status: Status.RUNNING, pid });
    await server.restart();
    expect(await jobOf(server, id)).toMatchObject({ status: Status.RUNNING, pid });
    await server.client.signal({ id, signal: "USR1" });
    await eventually("the signal", async () =>
      readFileSync(join(server.stateDir, "jobs", id, "stdout.log"), "utf8").includes("got it"),
    );
    writeFileSync(join(server.stateDir, "done"), "");
    await server.client.wait({ id });
    await expectOrphaned(server, id, "is gone and left no record of how the command ended");
    // What it wrote is all there.
    expect((await readOutput(server.client, id)).toString()).toBe("ready\ngot it\n");
  });

  test("leaves a job that Cancel ends, though nobody can say with which exit code", async () => {
    const server = await TestServer.start();
    const { id, pid } = await startLoop(server);
    await killProcess(runnerPid(server, id));
    const { job } = await server.client.cancel({ id });
    expect(isRunning(pid)).toBe(false);
    expect(job!.status).toBe(Status.ORPHANED);
    await expectOrphaned(server, id, "is gone and left no record of how the command ended");
  });

  test("together with its command while no server runs: orphaned, with the reason", async () => {
    const server = await TestServer.start();
    const { id, pid } = await startLoop(server);
    const runner = runnerPid(server, id);
    await server.kill();
    await killProcess(runner);
    await killProcess(pid);
    await server.start();
    await expectOrphaned(server, id, `process ${runner}`);
    await expectRefused(server, id);
    // It was learnt once and stays so.
    const before = await jobOf(server, id);
    await server.restart();
    expect(await jobOf(server, id)).toEqual(before);
  });
});

test.skipIf(process.platform !== "linux" || !isRoot())(
  "Cancel ends a job where /proc shows a user no processes but their own",
  async () => {
    const uid = 54323;
    const stateDir = join(tempDir(), "state");
    mkdirSync(stateDir, { mode: 0o700 });
    chownSync(stateDir, uid, uid);
    chmodSync(join(stateDir, ".."), 0o755);
    const hide = 'mount -t proc -o hidepid=1 proc /proc && exec "$@"';
    const asUser = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const wrapper = ["unshare", "--mount", "sh", "-c", hide, "sh", ...asUser];
    const server = await TestServer.start({ stateDir, wrapper });
    const { id, pid } = await startJob(server, "trap '' TERM; while :; do sleep 0.05; done");
    const { job } = await server.client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 1e8 } });
    expect(job!.status).toBe(Status.CANCELLED);
    expect(isRunning(pid)).toBe(false);
  },
);

test.skipIf(process.platform !== "linux" || !isRoot())(
  "Cancel returns though the job has a process that may not be signalled",
  async () => {
    const uid = 54324;
    const dir = tempDir();
    const stateDir = join(dir, "state");
    mkdirSync(stateDir, { mode: 0o700 });
    chownSync(stateDir, uid, uid);
    chmodSync(dir, 0o755);
    const setuid = join(dir, "suset");
    copyFileSync("/usr/bin/setpriv", setuid);
    chmodSync(setuid, 0o4755);
    const wrapper = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const server = await TestServer.start({ stateDir, wrapper });
    const script = `${setuid} --reuid=0 --clear-groups sleep 1000 & echo $!; sleep 1000`;
    const { id } = await startJob(server, script);
    const path = join(stateDir, "jobs", id, "stdout.log");
    const pid = await eventually("the pid", () => Number(readFileSync(path, "utf8")));
    onTestFinished(() => killProcess(pid));
    await eventually("its new user", () =>
      /^Uid:\t0/m.test(readFileSync(`/proc/${pid}/status`, "latin1")),
    );
    const { job } = await server.client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 1e8 } });
    expect(job!.status).toBe(Status.CANCELLED);
    expect(isRunning(pid)).toBe(true);
  },
);

onLinux("a cgroup", () => {
  test("of a job is left by a server that the job has started", async ({ skip }) => {
    const first = await TestServer.start();
    const { id, containment } = await startJob(first, "sleep 1000");
    needsCgroup(containment === Containment.CGROUP, skip);
    const cgroup = cgroupOf(first, id);
    const within = `echo $$ >${cgroup}/cgroup.procs && exec "$@"`;
    const second = await TestServer.start({ wrapper: ["sh", "-c", within, "sh"] });
    expect(readFileSync(`/proc/${second.pid}/cgroup`, "utf8")).not.toContain(basename(cgroup));
    const job = await startJob(second, "sleep 1000");
    expect(dirname(cgroupOf(second, job.id))).toBe(dirname(cgroup));
    await first.client.cancel({ id });
    expect((await jobOf(second, job.id)).status).toBe(Status.RUNNING);
    expect(isRunning(second.pid)).toBe(true);
  });

  function cgroupOf({ stateDir }: TestServer, id: string): string {
    const record = readFileSync(join(stateDir, "jobs", id, "process"), "utf8");
    return /^cgroup (.*)$/m.exec(record)?.[1] ?? "";
  }

  test("that a server has left empty is deleted by the next", async ({ skip }) => {
    const server = await TestServer.start();
    const { id, containment } = await startJob(server, "sleep 1000");
    needsCgroup(containment === Containment.CGROUP, skip);
    const jobs = cgroupOf(server, id);
    const parent = dirname(jobs);
    const ofServer = (pid: number) =>
      readdirSync(parent).filter((name) => name.startsWith(`procman-s${pid}x`));
    const { pid } = server;
    await server.kill();
    // As of a job that was being started.
    mkdirSync(join(parent, `procman-s${pid}xabc`));
    expect(ofServer(pid)).toContain(basename(jobs));
    await server.start();
    expect(ofServer(pid)).toEqual([basename(jobs)]);
  });
});

onLinux("a grandchild that called setsid", () => {
  const script = "setsid bash -c 'trap \"\" TERM; echo $$; while :; do sleep 0.1; done' & wait";

  async function grandchildOf(server: TestServer, id: string): Promise<number> {
    const path = join(server.stateDir, "jobs", id, "stdout.log");
    const pid = await eventually("the grandchild", () =>
      Number(/^(\d+)\n/.exec(readFileSync(path, "utf8"))?.[1]),
    );
    onTestFinished(() => {
      if (isRunning(pid)) process.kill(pid, "SIGKILL");
    });
    return pid;
  }

  const cancelIn100Ms = { gracePeriod: { seconds: 0n, nanos: 100_000_000 } };

  test("is ended with a job that has a cgroup", async ({ skip }) => {
    const server = await TestServer.start();
    const { id, containment } = await startJob(server, script);
    needsCgroup(containment === Containment.CGROUP, skip);
    const pid = await grandchildOf(server, id);
    const { job } = await server.client.cancel({ id, ...cancelIn100Ms });
    expect(job!.status).toBe(Status.CANCELLED);
    expect(isRunning(pid)).toBe(false);
  });

  test("outlives a job that has a session only, which the job says of itself", async ({ skip }) => {
    if (!isRoot()) skip("needs root, to be another user who may make no cgroup");
    const uid = 54322;
    const stateDir = join(tempDir(), "state");
    mkdirSync(stateDir, { mode: 0o700 });
    chownSync(stateDir, uid, uid);
    chmodSync(join(stateDir, ".."), 0o755);
    const wrapper = ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];
    const server = await TestServer.start({ stateDir, wrapper });
    const { id, pid: commandPid, containment } = await startJob(server, script);
    expect(containment).toBe(Containment.SESSION);
    const pid = await grandchildOf(server, id);
    const { job } = await server.client.cancel({ id, ...cancelIn100Ms });
    expect(job).toMatchObject({ status: Status.CANCELLED, containment: Containment.SESSION });
    expect(isRunning(commandPid)).toBe(false);
    expect(isRunning(pid)).toBe(true);
    await killProcess(pid);
  });
});
