import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Containment, Output, Status } from "../../gen/procman/v1/procman_pb.js";
import { formatRecord, parseRecord } from "../../src/storage/job-record.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

/**
 * Jobs' directories as versions of procman have left them. `v1-*` are what
 * version 1 writes, `older-*` lack what it fills in, `newer-*` have what it does
 * not know. A file that is here is never changed: a new version adds its own.
 */
const JOBS = join(import.meta.dirname, "jobs");
const ids = readdirSync(JOBS);
const v1 = ids.filter((id) => id.startsWith("v1-"));

function recordText(jobsDir: string, id: string): string {
  return readFileSync(join(jobsDir, id, "state.json"), "utf8");
}

function recordOf(server: TestServer, id: string): Record<string, unknown> {
  return JSON.parse(recordText(join(server.stateDir, "jobs"), id)) as Record<string, unknown>;
}

/** A server on a state directory that holds these jobs. */
async function serve(wanted: readonly string[]): Promise<TestServer> {
  const server = TestServer.prepare();
  for (const id of wanted) addJob(server, id);
  await server.start();
  return server;
}

/** Logs are bytes and have no version: they are made here. */
function addJob(server: TestServer, id: string): void {
  const dir = join(server.stateDir, "jobs", id);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  cpSync(join(JOBS, id), dir, { recursive: true });
  writeFileSync(join(dir, "stdout.log"), `output of ${id}\n`);
  writeFileSync(join(dir, "stderr.log"), "");
}

const start = { command: "sh", workDir: "/tmp", env: { LANG: "C" } };
const ended = { cpuTime: { seconds: 1n, nanos: 750_000_000 }, signal: "", error: "" };

/** What a server says of each job, also where the job went on after the record was written. */
const EXPECTED: Record<string, object> = {
  "v1-pending-that-ran": { ...start, ...ended, status: Status.COMPLETED, pid: 4101, exitCode: 0 },
  "v1-running-that-ended": { ...start, ...ended, status: Status.FAILED, pid: 4201, exitCode: 3 },
  "v1-running-with-pipes": {
    ...start,
    ...ended,
    status: Status.FAILED,
    pid: 5001,
    exitCode: 3,
    output: Output.PIPE,
  },
  "v1-running-before-a-reboot": {
    ...start,
    status: Status.ORPHANED,
    pid: 4301,
    error: "the machine was restarted while the command ran",
    timeout: { seconds: 90n },
  },
  "v1-running-to-be-cancelled": {
    ...start,
    ...ended,
    status: Status.CANCELLED,
    exitCode: 143,
    signal: "SIGTERM",
  },
  "v1-completed": {
    ...start,
    ...ended,
    status: Status.COMPLETED,
    exitCode: 0,
    mergeOutput: true,
    output: Output.FILE,
  },
  "v1-failed": { ...start, ...ended, status: Status.FAILED, exitCode: 137, signal: "SIGKILL" },
  "v1-failed-by-timeout": {
    ...start,
    ...ended,
    status: Status.FAILED,
    exitCode: 143,
    signal: "SIGTERM",
    error: "timed out after 1500 ms",
    timeout: { seconds: 1n, nanos: 500_000_000 },
  },
  "v1-cancelled": {
    ...start,
    ...ended,
    status: Status.CANCELLED,
    exitCode: 143,
    signal: "SIGTERM",
    containment: Containment.CGROUP,
  },
  "v1-named-cancelled": {
    ...start,
    ...ended,
    status: Status.CANCELLED,
    exitCode: 143,
    signal: "SIGTERM",
    name: "web",
    previousId: "v1-restarted",
  },
  // What was to be started in its place is there.
  "v1-restarted": { ...start, status: Status.CANCELLED, exitCode: 143, name: "web" },
  "v1-orphaned": { ...start, status: Status.ORPHANED, pid: 4901, signal: "" },
  "v1-orphaned-without-process": {
    ...start,
    status: Status.ORPHANED,
    pid: 0,
    containment: Containment.UNSPECIFIED,
    error: "the record of its process was deleted",
  },
  "older-completed": {
    command: "true",
    args: [],
    env: {},
    labels: {},
    requestId: "",
    status: Status.COMPLETED,
    pid: 51,
    exitCode: 0,
    containment: Containment.SESSION,
    mergeOutput: false,
  },
  "older-running": { status: Status.COMPLETED, pid: 4211, containment: Containment.SESSION },
  "older-orphaned": { status: Status.ORPHANED, error: "gone", pid: 0 },
  "newer-completed": { command: "train", args: ["--fast"], status: Status.COMPLETED, exitCode: 0 },
  "newer-running": { command: "train", status: Status.CANCELLED, exitCode: 143 },
};

const NOT_SERVED = ["v1-pending", "newer-status"];

test("every checked-in job is expected here", () => {
  expect([...Object.keys(EXPECTED), ...NOT_SERVED].sort()).toEqual([...ids].sort());
});

/** Fields that have come since. */
const ADDED = { output: "file", pty: false, stdin: false };

test.each(v1)("%s is what this version writes, field for field", (id) => {
  const text = recordText(JOBS, id);
  const written = formatRecord(parseRecord(text));
  expect(JSON.parse(written)).toEqual({ ...ADDED, ...JSON.parse(text) });
});

describe("a server on jobs of other versions", () => {
  test("serves them all, with their output, also after it has rewritten them", async () => {
    const server = await serve(ids);
    for (let round = 0; round < 2; round += 1) {
      const { jobs } = await server.client.list({});
      expect(jobs.map(({ id }) => id).sort()).toEqual(Object.keys(EXPECTED).sort());
      for (const [id, expected] of Object.entries(EXPECTED)) {
        const { job } = await server.client.get({ id, includeEnv: true });
        expect(job, id).toMatchObject({ id, ...expected });
        expect(jobs.find((listed) => listed.id === id)).toMatchObject({ ...expected, env: {} });
        expect((await readOutput(server.client, id)).toString()).toBe(`output of ${id}\n`);
      }
      const { jobs: labelled } = await server.client.list({ labels: { kind: "v1-failed" } });
      expect(labelled.map(({ id }) => id)).toEqual(["v1-failed"]);
      await server.restart();
    }
  });

  test("removes a job that is on record but was never started", async () => {
    const server = await serve(["v1-pending", "v1-completed"]);
    const { jobs } = await server.client.list({});
    expect(jobs.map(({ id }) => id)).toEqual(["v1-completed"]);
    expect(existsSync(join(server.stateDir, "jobs", "v1-pending"))).toBe(false);
  });

  test("leaves records of ended jobs as they are", async () => {
    const server = await serve(ids);
    for (const id of ids.filter((id) => /^[^-]+-(completed|failed|cancelled|orphaned)/.test(id))) {
      expect(recordText(join(server.stateDir, "jobs"), id)).toBe(recordText(JOBS, id));
    }
  });

  test("still knows their request ids", async () => {
    const server = await serve(["v1-completed", "v1-failed"]);
    const request = {
      command: "sh",
      args: ["-c", "echo hello; exit 0"],
      env: { LANG: "C" },
      workDir: "/tmp",
      mergeOutput: true,
      requestId: "request-v1-completed",
    };
    const labels = { suite: "compat", kind: "v1-completed" };
    const { job } = await server.client.start({ ...request, labels });
    expect(job!.id).toBe("v1-completed");
    expect(await errorOf(server.client.start(request))).toMatchObject({
      reason: "REQUEST_ID_CONFLICT",
    });
  });

  test("still knows their names", async () => {
    const server = await serve(["v1-named-cancelled", "v1-restarted"]);
    const { job } = await server.client.get({ id: "web" });
    expect(job!.id).toBe("v1-named-cancelled");
    const { jobs } = await server.client.list({ name: "web" });
    expect(jobs.map(({ id }) => id)).toEqual(["v1-named-cancelled", "v1-restarted"]);
    expect(recordOf(server, "v1-restarted")).not.toHaveProperty("restart");
  });

  test("gives new jobs a later place than theirs", async () => {
    const server = await serve(["v1-completed", "newer-completed", "older-completed"]);
    const { job } = await server.client.start({ command: "true" });
    const { jobs } = await server.client.list({});
    expect(jobs.map(({ id }) => id)).toEqual([
      job!.id,
      "newer-completed",
      "v1-completed",
      "older-completed",
    ]);
  });
});

describe("fields of a newer version", () => {
  test("survive when this version writes down how the job ended", async () => {
    const server = await serve(["newer-running"]);
    const before = JSON.parse(recordText(JOBS, "newer-running")) as object;
    expect(recordOf(server, "newer-running")).toEqual({
      ...ADDED,
      ...before,
      status: "cancelled",
      exitCode: 143,
      signal: "SIGTERM",
      cpuTimeMs: 1750,
      usage: {
        cpuTimeMs: 1750,
        lastOutputTime: expect.any(String),
        measuredTime: expect.any(String),
      },
      completedTime: expect.any(String),
      revision: expect.any(Number),
    });
  });

  test.each(["cancelled", "completed"])("survive in a live job that is %s", async (status) => {
    const server = await TestServer.start();
    const script = "while [ ! -e done ]; do sleep 0.02; done";
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", script],
      workDir: server.stateDir,
    });
    const { id } = job!;
    await server.kill();
    const path = join(server.stateDir, "jobs", id, "state.json");
    const newer = { ...recordOf(server, id), version: 2, gpu: { count: 2 }, tags: ["a"], note: "" };
    writeFileSync(path, JSON.stringify(newer));
    await server.start();
    if (status === "cancelled") await server.client.cancel({ id });
    else {
      writeFileSync(join(server.stateDir, "done"), "");
      await server.client.wait({ id });
    }
    expect(recordOf(server, id)).toMatchObject({
      ...newer,
      status,
      revision: expect.any(Number),
    });
    await server.restart();
    const { job: after } = await server.client.get({ id });
    expect(after!.exitCode).toBe(status === "cancelled" ? 143 : 0);
  });
});

describe("a record that cannot be read", () => {
  /** Makes the record of v1-failed what is given, next to a whole one. */
  async function serveBroken(text: string): Promise<TestServer> {
    const server = TestServer.prepare();
    addJob(server, "v1-failed");
    addJob(server, "v1-completed");
    writeFileSync(join(server.stateDir, "jobs", "v1-failed", "state.json"), text);
    await server.start();
    return server;
  }

  async function expectLeftAlone(server: TestServer, id: string, text: string): Promise<void> {
    const unreadable = { code: "DataLoss", reason: "RECORD_UNREADABLE" };
    expect(await errorOf(server.client.get({ id }))).toMatchObject(unreadable);
    expect(await errorOf(server.client.remove({ id }))).toMatchObject(unreadable);
    await server.client.cleanup({ olderThan: { seconds: 0n, nanos: 0 } });
    await server.restart();
    expect(await errorOf(server.client.get({ id }))).toMatchObject(unreadable);
    expect(recordText(join(server.stateDir, "jobs"), id)).toBe(text);
    expect(existsSync(join(server.stateDir, "jobs", id, "stdout.log"))).toBe(true);
  }

  const whole = recordText(JOBS, "v1-failed");

  test.each([
    ["cut short", whole.slice(0, whole.length / 2)],
    ["empty", ""],
    ["of another job", recordText(JOBS, "v1-orphaned")],
    ["all zeros, as a file system may leave it", "\0".repeat(whole.length)],
  ])("%s: it is left in place and the others are served", async (_how, text) => {
    const server = await serveBroken(text);
    const { jobs, totalSize } = await server.client.list({});
    expect(jobs.map(({ id }) => id)).toEqual(["v1-completed"]);
    expect(totalSize).toBe(1);
    expect(server.log).toContain("v1-failed");
    await expectLeftAlone(server, "v1-failed", text);
  });

  test("because a newer version has a status that is not known here: likewise", async () => {
    const server = await serve(["newer-status", "v1-completed"]);
    await expectLeftAlone(server, "newer-status", recordText(JOBS, "newer-status"));
    const { unreadable } = await server.client.list({});
    expect(unreadable).toMatchObject([
      { id: "newer-status", error: expect.stringContaining("status") as string },
    ]);
  });

  test("it is listed with the reason, and removed only when that is asked for", async () => {
    const server = await serveBroken("{");
    const id = "v1-failed";
    const listed = async (filter: Parameters<typeof server.client.list>[0]) => {
      const { jobs, unreadable, unreadableSize } = await server.client.list(filter);
      return { jobs: jobs.length, unreadable, unreadableSize };
    };
    const told = { id, error: expect.stringContaining("JSON") as string };
    const withIt = { jobs: 1, unreadable: [told], unreadableSize: 1 };
    const without = { jobs: 1, unreadable: [], unreadableSize: 0 };
    expect(await listed({})).toMatchObject(withIt);
    expect(await listed({ statuses: [Status.COMPLETED] })).toMatchObject(without);
    expect(await errorOf(server.client.remove({ id }))).toMatchObject({
      reason: "RECORD_UNREADABLE",
    });
    await server.restart();
    expect(await listed({})).toMatchObject(withIt);
    await server.client.remove({ id, unreadable: true });
    const gone = { reason: "JOB_NOT_FOUND" };
    expect(await errorOf(server.client.remove({ id, unreadable: true }))).toMatchObject(gone);
    expect(await errorOf(server.client.get({ id }))).toMatchObject(gone);
    expect(await listed({})).toMatchObject(without);
    expect(existsSync(join(server.stateDir, "jobs", id))).toBe(false);
    await server.restart();
    expect(await listed({})).toMatchObject(without);
    // Asking for it changes nothing for a job whose record can be read.
    await server.client.remove({ id: "v1-completed", unreadable: true });
    expect(await listed({})).toMatchObject({ ...without, jobs: 0 });
  });

  test("it is not removed while its command runs", async () => {
    const server = await TestServer.start();
    const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
    const { id, pid } = job!;
    await server.kill();
    const dir = join(server.stateDir, "jobs", id);
    writeFileSync(join(dir, "state.json"), "");
    await server.start();
    const remove = () => server.client.remove({ id, unreadable: true });
    const running = { code: "FailedPrecondition", reason: "JOB_RUNNING" };
    expect(await errorOf(remove())).toMatchObject(running);
    if (process.platform === "linux") {
      const record = join(dir, "process");
      renameSync(record, `${record}-lost`);
      try {
        expect(await errorOf(remove())).toMatchObject(running);
      } finally {
        renameSync(`${record}-lost`, record);
      }
    }
    process.kill(pid, "SIGKILL");
    await eventually("the removal", async () => {
      await remove();
      return true;
    });
    expect(existsSync(dir)).toBe(false);
  });
});
