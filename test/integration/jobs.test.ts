import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

/** For tests that mind only the jobs they start. */
const shared = TestServer.shared();

async function ended(server: TestServer, script = "true"): Promise<string> {
  const { job } = await server.client.start({ command: "sh", args: ["-c", script] });
  await server.client.wait({ id: job!.id });
  return job!.id;
}

async function running(server: TestServer): Promise<string> {
  return (await server.client.start({ command: "sleep", args: ["1000"] })).job!.id;
}

/** A letter, such as T for stopped: ps(1). */
function processState(pid: number): string {
  return execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).slice(0, 1);
}

test("Get tells the exit code 42", async () => {
  const server = shared;
  const id = await ended(server, "exit 42");
  const { job } = await server.client.get({ id });
  expect(job).toMatchObject({ status: Status.FAILED, exitCode: 42, error: "" });
  expect(job!.completedTime).toBeDefined();
});

test.each(["nonesuch", "../../etc", "..", "a/b", "a\0b", "%2e%2e"])(
  "the id %j is unknown to every verb",
  async (id) => {
    const { client } = shared;
    const calls = [
      () => client.get({ id }),
      () => client.wait({ id }),
      () => client.signal({ id, signal: "TERM" }),
      () => client.cancel({ id }),
      () => client.remove({ id }),
      () => readOutput(client, id),
    ];
    for (const call of calls) {
      expect(await errorOf(call())).toMatchObject({ code: "NotFound", reason: "JOB_NOT_FOUND" });
    }
  },
);

test("an empty id is an argument error", async () => {
  const { client } = shared;
  expect(await errorOf(client.get({}))).toMatchObject({
    code: "InvalidArgument",
    reason: "INVALID_ARGUMENT",
    fields: ["id"],
  });
});

test("of many that remove a job at once one does, and the others find none", async () => {
  const { client } = shared;
  const id = await ended(shared);
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      errorOf(client.remove({ id })).then(
        ({ reason }) => reason,
        () => "removed",
      ),
    ),
  );
  expect(answers.filter((answer) => answer === "removed")).toHaveLength(1);
  expect(new Set(answers)).toEqual(new Set(["removed", "JOB_NOT_FOUND"]));
});

describe("Wait", () => {
  test("returns the job as it is when the timeout passes first", async () => {
    const server = shared;
    const id = await running(server);
    for (const nanos of [0, 50_000_000]) {
      const { job } = await server.client.wait({ id, timeout: { seconds: 0n, nanos } });
      expect(job!.status).toBe(Status.RUNNING);
    }
  });

  test("refuses a negative timeout", async () => {
    const server = shared;
    const id = await running(server);
    const call = server.client.wait({ id, timeout: { seconds: -1n, nanos: 0 } });
    expect(await errorOf(call)).toMatchObject({ reason: "INVALID_ARGUMENT", fields: ["timeout"] });
  });
});

describe("Signal", () => {
  test.each(["USR1", "SIGUSR1", "sigusr1"])("%s reaches the job's processes", async (signal) => {
    const server = shared;
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", "trap 'echo got; exit 0' USR1; echo ready; while :; do sleep 0.02; done"],
    });
    const id = job!.id;
    await eventually("the trap", async () => {
      const seen = await server.client.get({ id });
      return seen.job!.stdoutBytes > 0n;
    });
    await server.client.signal({ id, signal });
    const { job: after } = await server.client.wait({ id });
    expect(after!.status).toBe(Status.COMPLETED);
    expect((await readOutput(server.client, id)).toString()).toBe("ready\ngot\n");
  });

  test("a job can be stopped and continued, and killed", async () => {
    const server = shared;
    const id = await running(server);
    for (const [signal, state] of [
      ["STOP", "T"],
      ["CONT", "S"],
    ] as const) {
      const { job } = await server.client.signal({ id, signal });
      expect(job!.status).toBe(Status.RUNNING);
      await eventually(`its state after ${signal}`, () => processState(job!.pid) === state);
    }
    await server.client.signal({ id, signal: "KILL" });
    const { job } = await server.client.wait({ id });
    expect(job).toMatchObject({ status: Status.FAILED, signal: "SIGKILL", exitCode: 137 });
  });

  test.each(["", "NOPE", "SIG", "0", "99", "TERM\n"])("%j is no signal", async (signal) => {
    const server = shared;
    const id = await running(server);
    expect(await errorOf(server.client.signal({ id, signal }))).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_ARGUMENT",
      fields: ["signal"],
    });
  });

  test("an ended job takes none", async () => {
    const server = shared;
    const id = await ended(server);
    expect(await errorOf(server.client.signal({ id, signal: "TERM" }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "JOB_NOT_RUNNING",
    });
  });
});

describe("Remove", () => {
  test("deletes an ended job with its files", async () => {
    const server = await TestServer.start();
    const id = await ended(server);
    await server.client.remove({ id });
    expect(existsSync(join(server.stateDir, "jobs", id))).toBe(false);
    expect(await errorOf(server.client.get({ id }))).toMatchObject({ reason: "JOB_NOT_FOUND" });
    await server.restart();
    expect((await server.client.list({})).jobs).toEqual([]);
  });

  test("refuses a running job", async () => {
    const server = await TestServer.start();
    const id = await running(server);
    expect(await errorOf(server.client.remove({ id }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "JOB_RUNNING",
    });
    expect((await server.client.get({ id })).job!.status).toBe(Status.RUNNING);
  });
});

describe("Cleanup", () => {
  test("removes jobs that ended longer ago than asked, and no others", async () => {
    const server = await TestServer.start();
    const old = [await ended(server), await ended(server)];
    const live = await running(server);
    const hour = { seconds: 3600n, nanos: 0 };
    expect((await server.client.cleanup({ olderThan: hour })).removedIds).toEqual([]);
    expect((await server.client.cleanup({})).removedIds).toEqual([]);
    const { removedIds } = await server.client.cleanup({ olderThan: { seconds: 0n, nanos: 0 } });
    expect(removedIds.sort()).toEqual(old.sort());
    expect((await server.client.list({})).jobs.map(({ id }) => id)).toEqual([live]);
  });

  test("takes the server's cleanup age where it is told none", async () => {
    const server = await TestServer.start({
      args: ["--listen", "127.0.0.1:0", "--cleanup-age", "1ms"],
    });
    const id = await ended(server);
    const removed = await eventually("it to be old", async () => {
      const { removedIds } = await server.client.cleanup({});
      return removedIds.length > 0 ? removedIds : undefined;
    });
    expect(removed).toEqual([id]);
  });

  test("refuses a negative age", async () => {
    const { client } = shared;
    const call = client.cleanup({ olderThan: { seconds: -5n, nanos: 0 } });
    expect(await errorOf(call)).toMatchObject({
      reason: "INVALID_ARGUMENT",
      fields: ["older_than"],
    });
  });
});

test("Refresh has nothing to tell when nothing has changed", async () => {
  const server = await TestServer.start();
  await running(server);
  await ended(server);
  expect((await server.client.refresh({})).jobs).toEqual([]);
});

test("Refresh tells of a job that has ended without anybody being told", async () => {
  const server = await TestServer.start();
  const { client } = server;
  await running(server);
  // The server polls for that, and may be first.
  await eventually("Refresh to be first", async () => {
    const { job } = await client.start({ command: "sleep", args: ["1000"] });
    const record = readFileSync(join(server.stateDir, "jobs", job!.id, "process"), "utf8");
    for (const line of record.split("\n").slice(1, 3)) process.kill(Number.parseInt(line, 10), 9);
    const { jobs } = await client.refresh({});
    if (jobs.length === 0) return false;
    expect(jobs).toHaveLength(1);
    expect(jobs[0]).toMatchObject({ id: job!.id, status: Status.ORPHANED, pid: job!.pid });
    expect((await client.refresh({})).jobs).toEqual([]);
    return true;
  });
});

test("environment values are told only to a Get that asks for them", async () => {
  const server = shared;
  const { job } = await server.client.start({ command: "true", env: { SECRET: "s3cret" } });
  await server.client.wait({ id: job!.id });
  const { jobs } = await server.client.list({});
  for (const seen of [job!, (await server.client.get({ id: job!.id })).job!, jobs[0]!]) {
    expect(seen.env).toEqual({ SECRET: "" });
  }
  const asked = await server.client.get({ id: job!.id, includeEnv: true });
  expect(asked.job!.env).toEqual({ SECRET: "s3cret" });
});

test("a signal can be named by its number, and the job tells the last one that was sent", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
  const id = job!.id;
  expect(job).toMatchObject({ lastSignal: "" });
  const unknown = await errorOf(server.client.signal({ id, signal: "99" }));
  expect(unknown).toMatchObject({ reason: "INVALID_ARGUMENT" });
  const { job: stopped } = await server.client.signal({ id, signal: "CONT" });
  expect(stopped).toMatchObject({ lastSignal: "SIGCONT" });
  await server.client.signal({ id, signal: "2" });
  const { job: ended } = await server.client.wait({ id });
  const told = { status: Status.FAILED, signal: "SIGINT", lastSignal: "SIGINT" };
  expect(ended).toMatchObject(told);
  const sentMs = timestampMs(ended!.lastSignalTime!);
  expect(sentMs).toBeGreaterThanOrEqual(timestampMs(ended!.startedTime!) - 1000);
  await server.restart();
  expect((await server.client.get({ id })).job).toEqual(ended);
});
