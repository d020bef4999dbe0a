import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { readExitRecord } from "../../src/engine/local/runner/runner-records.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

/** Every step between two file operations at which a server can die in the middle of a verb. */
const START_POINTS = [
  "create:drafted",
  "create:renamed",
  "start:created",
  "start:before-spawn",
  "start:spawned",
  "start:process-recorded",
];

/** Those of a server that has a journal already. */
const JOURNAL_POINTS = [
  "journal:written",
  "journal:synced",
  "journal:written@2",
  "journal:synced@2",
];

/** A Start's own record is written a moment after it was answered. */
const RECORDING_POINTS = ["atomic-file:written", "atomic-file:renamed"];

/** A server that will kill itself at the point, and does so during the call. */
async function crashDuring(server: TestServer, call: () => Promise<unknown>): Promise<void> {
  await expect(call()).rejects.toThrow();
  expect(await server.ended()).toBe("SIGKILL");
}

/** Calls until the server has killed itself. @returns how often that took */
async function crashWithin(
  server: TestServer,
  call: (attempt: number) => Promise<unknown>,
): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const hasAnswered = await call(attempt).then(
      () => true,
      () => false,
    );
    if (hasAnswered) continue;
    expect(await server.ended()).toBe("SIGKILL");
    return attempt;
  }
}

describe("a server that dies within Start", () => {
  test.each([...START_POINTS, ...JOURNAL_POINTS])(
    "at %s: the job is absent or followed, and runs once",
    async (point) => {
      const server = TestServer.prepare();
      await server.start({ env: { PROCMAN_CRASH_AT: point } });
      const request = (attempt: number) => ({
        command: "sh",
        args: ["-c", `echo ran >>runs-${attempt}; echo out; sleep 0.3; exit 5`],
        workDir: server.stateDir,
        requestId: `once-${attempt}`,
        labels: { attempt: `${attempt}` },
      });
      // The journal is made meanwhile.
      const attempt = await crashWithin(server, (each) => server.client.start(request(each)));
      await server.start();
      const before = await server.client.list({ labels: { attempt: `${attempt}` } });
      expect(before.jobs.length).toBeLessThanOrEqual(1);
      if (attempt === 1 && before.jobs.length === 0) {
        expect(readdirSync(join(server.stateDir, "jobs"))).toEqual([]);
      }
      const { job } = await server.client.start(request(attempt));
      if (before.jobs[0]) expect(job!.id).toBe(before.jobs[0].id);
      const { job: ended } = await server.client.wait({ id: job!.id });
      expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 5, error: "" });
      expect((await readOutput(server.client, job!.id)).toString()).toBe("out\n");
      expect(readFileSync(join(server.stateDir, `runs-${attempt}`), "utf8")).toBe("ran\n");
    },
  );
});

test.each(["journal:retired", "journal:files-synced"])(
  "a server that dies giving its journal up, at %s, has lost nothing, and makes another",
  async (point) => {
    const server = TestServer.prepare();
    const ids: string[] = [];
    const runsTrue = async () => {
      const { job } = await server.client.start({ command: "true" });
      await server.client.wait({ id: job!.id });
      ids.push(job!.id);
    };
    const hasEntries = () => {
      const path = join(server.stateDir, "journal/a");
      return existsSync(path) && readFileSync(path, "utf8").includes(`"${ids.at(-1)}"`);
    };
    await server.start();
    await eventually("entries in the journal", () => runsTrue().then(hasEntries));
    await server.kill();
    // What is left is retired at once, and what is added synced some seconds later.
    await server.start({ env: { PROCMAN_CRASH_AT: point }, ready: false });
    await eventually("the server to die", async () => {
      await runsTrue().catch(() => {});
      return server.hasEnded;
    });
    expect(await server.ended()).toBe("SIGKILL");
    await server.start();
    await eventually("entries in the journal", () => runsTrue().then(hasEntries));
    const { jobs } = await server.client.list({});
    expect(jobs.map(({ id }) => id)).toEqual(expect.arrayContaining(ids));
  },
);

test.each(RECORDING_POINTS)(
  "a server that dies recording that a command runs, at %s, finds it running",
  async (point) => {
    const server = TestServer.prepare();
    await server.start({ env: { PROCMAN_CRASH_AT: point } });
    const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
    expect(await server.ended()).toBe("SIGKILL");
    await server.start();
    const { job: after } = await server.client.get({ id: job!.id });
    expect(after).toMatchObject({ status: Status.RUNNING, pid: job!.pid });
    expect(after!.startedTime).toEqual(job!.startedTime);
    await server.client.cancel({ id: job!.id });
  },
);

describe("a server that dies within Cancel", () => {
  // The first atomic write is that of the running record.
  test.each([
    "atomic-file:written@2",
    "atomic-file:renamed@2",
    "stop:recorded",
    "stop:before-signal",
    "stop:signalled",
  ])("at %s: the cancel is carried on, or never was", async (point) => {
    const server = TestServer.prepare();
    await server.start({ env: { PROCMAN_CRASH_AT: point } });
    const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
    const record = join(server.stateDir, "jobs", job!.id, "state.json");
    await eventually("the record", () => readFileSync(record, "utf8").includes('"running"'));
    await crashDuring(server, () => server.client.cancel({ id: job!.id }));
    await server.start();
    if (point.startsWith("atomic-file:written")) {
      const { job: after } = await server.client.get({ id: job!.id });
      expect(after!.status).toBe(Status.RUNNING);
      await server.client.cancel({ id: job!.id });
    }
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({ status: Status.CANCELLED, signal: "SIGTERM" });
  });
});

describe("a server that dies as a lease runs out", () => {
  test.each([
    "lease:expired",
    "atomic-file:written@2",
    "atomic-file:renamed@2",
    "stop:recorded",
    "stop:before-signal",
    "stop:signalled",
  ])("at %s: the next one carries the end on, or grants a lease again", async (point) => {
    const server = TestServer.prepare();
    await server.start({ env: { PROCMAN_CRASH_AT: point } });
    const { job } = await server.client.start({
      command: "sleep",
      args: ["1000"],
      lease: { seconds: 0n, nanos: 500_000_000 },
    });
    expect(await server.ended()).toBe("SIGKILL");
    await server.start();
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({
      status: Status.CANCELLED,
      signal: "SIGTERM",
      error: "its lease of 500 ms was not renewed",
    });
  });
});

test("a lease that was renewed with another duration is that long for the next server", async () => {
  const server = TestServer.prepare();
  await server.start();
  const { job } = await server.client.start({
    command: "sleep",
    args: ["1000"],
    lease: { seconds: 1n },
  });
  const { job: renewed } = await server.client.renewLease({
    id: job!.id,
    lease: { seconds: 3600n },
  });
  expect(renewed!.lease?.seconds).toBe(3600n);
  await server.restart();
  const { job: after } = await server.client.get({ id: job!.id });
  expect(after).toMatchObject({ status: Status.RUNNING, lease: { seconds: 3600n } });
  const leftMs = Number(after!.leaseExpireTime!.seconds) * 1000 - Date.now();
  expect(leftMs).toBeGreaterThan(3_000_000);
  await server.client.cancel({ id: job!.id });
});

test("a server that dies between the command's end and that of its children ends these later", async () => {
  const server = TestServer.prepare();
  await server.start({ env: { PROCMAN_CRASH_AT: "stop:signalled" } });
  const { job } = await server.client.start({
    command: "bash",
    args: ["-c", "(trap '' TERM; echo $BASHPID; exec sleep 1000) & exec sleep 1000"],
  });
  const child = await eventually("the child", () =>
    Number(readFileSync(join(server.stateDir, "jobs", job!.id, "stdout.log"), "utf8")),
  );
  await crashDuring(server, () => server.client.cancel({ id: job!.id }));
  await eventually("the exit record", () =>
    readExitRecord(join(server.stateDir, "jobs", job!.id, "exit")),
  );
  expect(existsSync(`/proc/${child}/exe`)).toBe(true);
  await server.start();
  const { job: ended } = await server.client.wait({ id: job!.id });
  expect(ended).toMatchObject({ status: Status.CANCELLED, signal: "SIGTERM" });
  await eventually("the child's end", () => !existsSync(`/proc/${child}/exe`));
});

describe("a server that dies while it ends what a command has left behind", () => {
  /** Leaves a process that SIGTERM ends. */
  const command = { command: "sh", args: ["-c", "sleep 1000 & echo $!"] };

  async function expectOver(server: TestServer, id: string): Promise<void> {
    const log = join(server.stateDir, "jobs", id, "stdout.log");
    const pid = Number(readFileSync(log, "utf8"));
    await server.start();
    const until = { case: "noRemaining", value: true } as const;
    const { job } = await server.client.wait({ id, until });
    expect(job).toMatchObject({ status: Status.COMPLETED, exitCode: 0, remainingProcesses: 0 });
    expect(existsSync(`/proc/${pid}/exe`)).toBe(false);
    expect(existsSync(join(server.stateDir, "jobs", id, "stopping"))).toBe(false);
    await server.client.remove({ id });
  }

  test.each(["remaining:recorded", "stop:before-signal", "stop:signalled"])(
    "by Cancel, at %s: the next one carries it on",
    async (point) => {
      const server = TestServer.prepare();
      await server.start({ env: { PROCMAN_CRASH_AT: point } });
      const { job } = await server.client.start(command);
      const { id } = job!;
      await server.client.wait({ id });
      await crashDuring(server, () => server.client.cancel({ id, includeRemaining: true }));
      await expectOver(server, id);
    },
  );

  test.each(["stop:before-signal", "stop:signalled"])(
    "with the command, at %s: the next one carries it on",
    async (point) => {
      const server = TestServer.prepare();
      await server.start({ env: { PROCMAN_CRASH_AT: point } });
      // It must not end before Start has answered.
      const script = "until [ -e go ]; do sleep 0.02; done; sleep 1000 & echo $!";
      const { job } = await server.client.start({
        command: "sh",
        args: ["-c", script],
        workDir: server.stateDir,
        endRemaining: true,
      });
      writeFileSync(join(server.stateDir, "go"), "");
      expect(await server.ended()).toBe("SIGKILL");
      const exit = join(server.stateDir, "jobs", job!.id, "exit");
      await eventually("the exit record", () => readExitRecord(exit));
      await expectOver(server, job!.id);
    },
  );
});

describe("a server that dies within SendInput", () => {
  // @2 is within the second piece, @3 within the last, which closes the input.
  const points = ["expected", "appended", "before-ring"].map((name) => `input:${name}`);
  test.each(points.flatMap((name) => [`${name}@2`, `${name}@3`]))(
    "at %s: sent again, the piece comes once",
    async (point) => {
      const server = TestServer.prepare();
      await server.start({ env: { PROCMAN_CRASH_AT: point } });
      const { job } = await server.client.start({ command: "cat", stdin: true });
      const { id } = job!;
      const pieces = ["one ", "two ", "three"].map((text, n) => ({
        id,
        offset: BigInt(n * 4),
        data: new TextEncoder().encode(text),
        close: n === 2,
      }));
      let crashes = 0;
      for (const piece of pieces) {
        await server.client.sendInput(piece).catch(async () => {
          crashes += 1;
          expect(await server.ended()).toBe("SIGKILL");
          await server.start();
          await server.client.sendInput(piece);
        });
      }
      expect(crashes).toBe(1);
      const { job: ended } = await server.client.wait({ id });
      expect(ended).toMatchObject({ status: Status.COMPLETED });
      expect((await readOutput(server.client, id)).toString()).toBe("one two three");
    },
  );
});

// The first atomic write is that of the running record: these take longer than it waits.
test.each(["terminal:ended", "atomic-file:written@2", "atomic-file:renamed@2"])(
  "a server that dies ending the terminal of a command that has ended, at %s, learns that end again",
  async (point) => {
    const server = TestServer.prepare();
    await server.start({ env: { PROCMAN_CRASH_AT: point } });
    // script(1) ends by itself where nothing comes for 10 ms, which happens on a busy machine.
    const args = ["-c", "set -m; for i in 1 2 3; do nice -n -20 yes & done; sleep 0.1; exit 9"];
    let id = "";
    let isUp = true;
    for (let tries = 0; isUp && tries < 60; tries += 1) {
      const { job } = await server.client.start({ command: "bash", args, pty: true });
      ({ id } = job!);
      isUp = await server.client.wait({ id }).then(
        () => true,
        () => false,
      );
    }
    expect(await server.ended()).toBe("SIGKILL");
    await server.start();
    const { job: ended } = await server.client.wait({ id });
    expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 9 });
  },
);

test.each(["atomic-file:written", "atomic-file:renamed"])(
  "a server that dies recording the end, at %s, learns it again",
  async (point) => {
    const server = TestServer.prepare();
    await server.start({ env: { PROCMAN_CRASH_AT: point } });
    const request = { command: "sh", args: ["-c", "exit 9"], requestId: "once" };
    // It may die before the answer is out.
    await server.client.start(request).catch(() => {});
    expect(await server.ended()).toBe("SIGKILL");
    await server.start();
    const { job } = await server.client.start(request);
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 9 });
  },
);

test("a server that dies within Remove has removed the job", async () => {
  const server = TestServer.prepare();
  await server.start({ env: { PROCMAN_CRASH_AT: "remove:renamed" } });
  const { job } = await server.client.start({ command: "true" });
  await server.client.wait({ id: job!.id });
  await crashDuring(server, () => server.client.remove({ id: job!.id }));
  expect(existsSync(join(server.stateDir, "jobs", job!.id))).toBe(false);
  await server.start();
  expect((await server.client.list({})).jobs).toEqual([]);
  await eventually("the sweep", () => readdirSync(join(server.stateDir, "jobs")).length === 0);
});

test("a server that dies within Cleanup has removed whole jobs only", async () => {
  const server = TestServer.prepare();
  await server.start({ env: { PROCMAN_CRASH_AT: "remove:renamed@2" } });
  const { client } = server;
  const ids: string[] = [];
  // More than are removed side by side.
  for (let n = 0; n < 12; n += 1) {
    const { job } = await client.start({ command: "sh", args: ["-c", `echo ${n}; exit ${n}`] });
    await client.wait({ id: job!.id });
    ids.push(job!.id);
  }
  await crashDuring(server, () => client.cleanup({ olderThan: { seconds: 0n, nanos: 0 } }));
  await server.start();
  const { jobs } = await server.client.list({});
  expect(jobs.length).toBeGreaterThanOrEqual(4);
  expect(jobs.length).toBeLessThanOrEqual(10);
  for (const { id, exitCode } of jobs) {
    const n = ids.indexOf(id);
    expect(exitCode).toBe(n);
    expect((await readOutput(server.client, id)).toString()).toBe(`${n}\n`);
  }
});

describe("a server that dies writing the file of ended jobs", () => {
  async function expectJob(server: TestServer, id: string, request: { requestId: string }) {
    const { job } = await server.client.get({ id });
    expect(job).toMatchObject({ status: Status.FAILED, exitCode: 3, stdoutBytes: 4n });
    const { jobs, totalSize } = await server.client.list({ statuses: [Status.FAILED] });
    expect([jobs.map((each) => each.id), totalSize]).toEqual([[id], 1]);
    expect((await server.client.start(request)).job!.id).toBe(id);
  }

  test("at each point: the jobs are as they were", async () => {
    const server = TestServer.prepare();
    const request = { command: "sh", args: ["-c", "echo out; exit 3"], requestId: "once" };
    await server.start({ env: { PROCMAN_CRASH_AT: "ended-jobs:appended" } });
    const { job } = await server.client.start(request);
    expect(await server.ended()).toBe("SIGKILL");
    const file = join(server.stateDir, "ended-jobs");
    expect(readFileSync(file, "utf8")).toContain(job!.id);
    for (const point of ["ended-jobs:rewritten", "ended-jobs:replaced"]) {
      await server.start();
      await expectJob(server, job!.id, request);
      await server.kill();
      // So many lines of jobs that are gone are worth rewriting the file.
      appendFileSync(file, "of a job that is gone\n".repeat(10_001));
      await server.start({ env: { PROCMAN_CRASH_AT: point }, ready: false });
      expect(await server.ended()).toBe("SIGKILL");
    }
    expect(readFileSync(file, "utf8")).not.toContain("gone");
    await server.start();
    await expectJob(server, job!.id, request);
  });
});
