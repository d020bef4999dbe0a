import { describe, expect, test } from "vitest";
import { Containment, type Job, type Usage } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import { eventually } from "../helpers/eventually.js";
import { TestServer } from "../helpers/test-server.js";

/** Computes until it has used half a second, and says so; then waits. */
const BUSY = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done; echo done; sleep 1000 & wait";

const seconds = (time: Usage["cpuTime"]) => Number(time?.seconds ?? 0) + (time?.nanos ?? 0) / 1e9;

describe.runIf(process.platform === "linux")("what a job uses", () => {
  const server = TestServer.shared();
  const get = async (id: string) => (await server.client.get({ id })).job as Job;
  const start = async (script: string) =>
    (await server.client.start({ command: "sh", args: ["-c", script] })).job!.id;

  test("is told by Get while it runs, and kept when it has ended, also over a restart", async () => {
    const id = await start(BUSY);
    const usage = await eventually("some CPU time", async () => {
      const { usage } = await get(id);
      return usage?.lastOutputTime && usage.processes === 2 ? usage : undefined;
    });
    expect(seconds(usage.cpuTime)).toBeGreaterThan(0.05);
    expect(Number(usage.memoryBytes)).toBeGreaterThan(100_000);
    expect(Number(usage.memoryBytes)).toBeLessThan(100_000_000);
    expect(usage.measuredTime).toBeDefined();

    await server.client.cancel({ id });
    const ended = await get(id);
    expect(seconds(ended.usage?.cpuTime)).toBeGreaterThan(0.05);
    expect(ended.usage?.lastOutputTime).toEqual(usage.lastOutputTime);
    expect(ended.usage?.memoryBytes).toBeUndefined();
    expect(ended.usage?.processes).toBeUndefined();
    await server.kill();
    await server.start();
    expect((await get(id)).usage).toEqual(ended.usage);
  });

  test("counts the children that have ended", async () => {
    const id = await start("sh -c 'i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done'; echo; cat");
    const { job } = await server.client.wait({ id });
    expect(seconds(job?.usage?.cpuTime)).toBeGreaterThan(0.05);
  });

  test("is told by List and WatchJobs where it is asked for", async () => {
    const id = await start("exec sleep 1000");
    const listed = async (includeUsage: boolean) => {
      const { jobs } = await server.client.list({ includeUsage });
      return jobs.find((job) => job.id === id)?.usage;
    };
    expect(await listed(false)).toBeUndefined();
    expect(await listed(true)).toMatchObject({ processes: 1, memoryBytes: expect.any(BigInt) });
    const client = createProcmanClient({ socketPath: server.socketPath });
    try {
      const told: unknown[] = [];
      for await (const event of client.watchJobs({ includeUsage: true })) {
        if (event.type === "snapshot") told.push(event.jobs.find((job) => job.id === id)?.usage);
        if (event.type === "changed" && event.job.id === id) told.push(event.job.usage);
        if (told.length === 2) break;
      }
      const usage = {
        processes: 1,
        memoryBytes: expect.any(Number),
        measuredTime: expect.any(Date),
      };
      expect(told).toEqual([expect.objectContaining(usage), expect.objectContaining(usage)]);
    } finally {
      await client.close();
    }
  });

  test("counts what has left the session where the job has a cgroup, and not without one", async () => {
    const id = await start("setsid sleep 1000 & sleep 1000");
    const inCgroup = (await get(id)).containment === Containment.CGROUP;
    await eventually("its processes", async () => {
      const { usage } = await get(id);
      return usage?.processes === (inCgroup ? 3 : 2);
    });
  });
});
