import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { TestServer } from "../helpers/test-server.js";

/** Every step within Restart at which a server can die; those of a Start are the second one's. */
const POINTS = [
  // The first atomic write is that of the running record.
  "atomic-file:renamed@2",
  "stop:recorded",
  "stop:before-signal",
  "stop:signalled",
  "atomic-file:written@3",
  "atomic-file:renamed@3",
  "restart:ended",
  "create:drafted@2",
  "create:renamed@2",
  "start:created@2",
  "start:before-spawn@2",
  "start:spawned@2",
  "start:process-recorded@2",
  "restart:started",
  "atomic-file:written@4",
  "atomic-file:renamed@4",
  "restart:recorded",
];

const AGAIN = { id: "web", requestId: "again" };

/** A server that has died within the Restart of a job, and what there is of it. */
async function crashedWithin(point: string) {
  const server = TestServer.prepare();
  await server.start({ env: { PROCMAN_CRASH_AT: point } });
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", "echo $SECRET >>runs; exec sleep 1000"],
    env: { SECRET: "ran" },
    workDir: server.stateDir,
    name: "web",
    requestId: "once",
  });
  const { id } = job!;
  const record = join(server.stateDir, "jobs", id, "state.json");
  await eventually("the record", () => readFileSync(record, "utf8").includes('"running"'));
  const runs = () => readFileSync(join(server.stateDir, "runs"), "utf8");
  await eventually("the first run", () => runs() === "ran\n");
  await expect(server.client.restart(AGAIN)).rejects.toThrow();
  expect(await server.ended()).toBe("SIGKILL");
  return { server, id, runs };
}

/** The old job has ended, and there is one new one, which has run once. */
async function expectRestarted(server: TestServer, id: string, runs: () => string): Promise<void> {
  const { job } = await server.client.restart(AGAIN);
  expect(job).toMatchObject({ name: "web", previousId: id, requestId: "again" });
  const { jobs } = await server.client.list({});
  expect(jobs.map((each) => [each.id, each.status])).toEqual([
    [job!.id, Status.RUNNING],
    [id, Status.CANCELLED],
  ]);
  await eventually("the second run", () => runs().length > "ran\n".length);
  expect(runs()).toBe("ran\nran\n");
  await server.client.cancel({ id: "web", gracePeriod: { seconds: 0n, nanos: 0 } });
  // What was begun is over, for later servers too.
  await server.restart();
  expect((await server.client.list({})).jobs).toHaveLength(2);
  await server.client.remove({ id });
  expect((await server.client.restart(AGAIN)).job!.id).toBe(job!.id);
}

describe("a server that dies within Restart", () => {
  test.each(POINTS)("at %s: the next one carries it on, and the job runs once", async (point) => {
    const { server, id, runs } = await crashedWithin(point);
    await server.start();
    // By itself, also where nobody calls again.
    await eventually("the new job", async () => {
      const { jobs } = await server.client.list({ statuses: [Status.RUNNING], name: "web" });
      return jobs.some(({ previousId }) => previousId === id);
    });
    await expectRestarted(server, id, runs);
  });

  test.each(["stop:recorded", "restart:ended", "start:spawned@2", "restart:started"])(
    "at %s: a call that is repeated at once joins it",
    async (point) => {
      const { server, id, runs } = await crashedWithin(point);
      await server.start();
      await expectRestarted(server, id, runs);
    },
  );

  test("before it is on record: it never was", async () => {
    const { server, id, runs } = await crashedWithin("atomic-file:written@2");
    await server.start();
    const { jobs } = await server.client.list({});
    expect(jobs.map((each) => [each.id, each.status])).toEqual([[id, Status.RUNNING]]);
    await expectRestarted(server, id, runs);
  });

  test("and within carrying it on, again and again: the job runs once", async () => {
    const { server, id, runs } = await crashedWithin("restart:ended");
    for (const point of [
      "create:drafted",
      "create:renamed",
      "start:before-spawn",
      "create:renamed",
    ]) {
      await server.start({ env: { PROCMAN_CRASH_AT: point }, ready: false });
      expect(await server.ended()).toBe("SIGKILL");
    }
    await server.start();
    await expectRestarted(server, id, runs);
  });
});

test("names are one job's each, also after a server was killed", async () => {
  const server = await TestServer.start();
  const request = { command: "sleep", args: ["1000"], name: "web" };
  const { job } = await server.client.start(request);
  await server.restart();
  await expect(server.client.start(request)).rejects.toThrow(
    `web is the name of job ${job!.id}, which has not ended`,
  );
  await server.client.cancel({ id: "web" });
  const { job: next } = await server.client.start(request);
  await server.restart();
  expect((await server.client.get({ id: "web" })).job!.id).toBe(next!.id);
  await server.client.cancel({ id: "web" });
  await server.client.start({ command: "true", name: "db" });
  const { job: ended } = await server.client.wait({ id: "db" });
  await server.restart("SIGTERM");
  // Where its record need not be read.
  expect(readFileSync(join(server.stateDir, "ended-jobs"), "utf8")).toContain(ended!.id);
  expect((await server.client.get({ id: "db" })).job!.id).toBe(ended!.id);
});
