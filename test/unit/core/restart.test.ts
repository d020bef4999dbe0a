import { describe, expect, onTestFinished, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { deferred } from "../../helpers/deferred.js";
import { eventually } from "../../helpers/eventually.js";
import { someRecord } from "../../helpers/records.js";
import { endedState, exited, FakePorts, STARTED } from "./fake-ports.js";

const REQUEST = {
  command: "x",
  args: ["y"],
  env: { SECRET: "1" },
  labels: { team: "a" },
  name: "web",
  timeoutMs: 60_000,
};
const running = { status: "running", ...STARTED } as const;
const stop = { kind: "cancel", requestedTime: new Date(0), gracePeriodMs: 7 } as const;
const full = new ProcmanError("DISK_FULL", "no room");
const reason = (name: string, jobId?: string) =>
  expect.objectContaining({ reason: name, ...(jobId !== undefined && { jobId }) });

async function openManager(ports = new FakePorts()) {
  const manager = await ports.open();
  onTestFinished(() => manager.close());
  return { ports, manager };
}

/** A manager and a job that runs, started with a request_id of its own. */
async function withJob() {
  const { ports, manager } = await openManager();
  const { id } = await manager.start({ ...REQUEST, requestId: "first" });
  return { ports, manager, id, job: ports.job(id) };
}

function spec(record: JobRecord | undefined) {
  const { id: _, requestId: __, previousId: ___, ...rest } = record?.spec ?? someRecord().spec;
  return rest;
}

describe("restart", () => {
  test("ends a job and starts another one as it was started", async () => {
    const { ports, manager, id, job } = await withJob();
    const next = await manager.restart(id, { gracePeriodMs: 70, requestId: "again" });
    expect(job.process.stop).toHaveBeenCalledWith(70, expect.anything());
    expect(next).toMatchObject({ ...running, previousId: id, requestId: "again", name: "web" });
    expect(next.id).not.toBe(id);
    expect((await manager.get(id)).status).toBe("cancelled");
    expect(spec(ports.records.get(next.id))).toEqual(spec(ports.records.get(id)));
    expect((await manager.get(next.id, { includeEnv: true })).env).toEqual({ SECRET: "1" });
    expect((await manager.get("web")).id).toBe(next.id);
    expect((await manager.list({ name: "web" })).jobs.map((each) => each.id)).toEqual([
      next.id,
      id,
    ]);
  });

  test("starts another one also where the job has ended, and where it is removed meanwhile", async () => {
    const { ports, manager, id, job } = await withJob();
    job.end(3);
    await manager.wait(id);
    const next = await manager.restart("web");
    expect(next).toMatchObject({ previousId: id, requestId: "" });
    expect(job.process.stop).not.toHaveBeenCalled();
    await manager.remove(id);
    const third = await manager.restart(next.id);
    expect(third.previousId).toBe(next.id);
    expect(spec(ports.records.get(third.id))).toMatchObject({ env: { SECRET: "1" } });
  });

  test("is on record, with the id of the job to come, before the old one is ended", async () => {
    const { ports, manager, id, job } = await withJob();
    let intent: JobRecord | undefined;
    job.process.stop.mockImplementation(async () => {
      intent = ports.records.get(id);
      expect(await manager.remove(id).catch((error: unknown) => error)).toEqual(
        reason("JOB_RUNNING"),
      );
      job.observation = exited(143);
    });
    let atStart: JobRecord | undefined;
    ports.store.draft.mockImplementation((record) => {
      atStart = ports.records.get(id);
      return ports.draft(record);
    });
    const next = await manager.restart(id, { requestId: "again" });
    const restart = { newId: next.id, requestId: "again", requestedTime: expect.any(Date) as Date };
    expect(intent).toMatchObject({ stop: { kind: "cancel" }, restart });
    expect(atStart).toMatchObject({ state: { status: "cancelled" }, restart });
    expect(ports.records.get(id)).not.toHaveProperty("restart");
    await manager.remove(id);
  });

  test("may be asked for again, and then is the same", async () => {
    const { ports, manager, id } = await withJob();
    const options = { requestId: "again" };
    const [first, joined] = await Promise.all([
      manager.restart("web", options),
      manager.restart("web", options),
    ]);
    expect(joined.id).toBe(first.id);
    for (const given of ["web", id]) {
      expect((await manager.restart(given, options)).id).toBe(first.id);
    }
    expect(ports.records.size).toBe(2);
    const conflict = reason("REQUEST_ID_CONFLICT");
    await expect(manager.restart(first.id, options)).rejects.toEqual(conflict);
    await expect(manager.restart(id, { requestId: "first" })).rejects.toEqual(conflict);
    await expect(manager.start({ ...REQUEST, ...options })).rejects.toEqual(conflict);
    // The next server knows it too.
    await manager.close();
    const { manager: later } = await openManager(ports);
    expect((await later.restart("web", options)).id).toBe(first.id);
  });

  test("one after another, where there are several at once", async () => {
    const { manager, id } = await withJob();
    const answers = await Promise.all([1, 2, 3].map(() => manager.restart("web")));
    expect(answers.map(({ previousId }) => previousId)).toEqual([
      id,
      answers[0]?.id,
      answers[1]?.id,
    ]);
    const unended = await manager.list({ statuses: ["running"] });
    expect(unended.jobs.map((job) => job.id)).toEqual([answers[2]?.id]);
  });

  test("takes no name that another job bears by now", async () => {
    const { manager, id, job } = await withJob();
    job.end(0);
    await manager.wait(id);
    const other = await manager.start(REQUEST);
    await expect(manager.restart(id)).rejects.toEqual(reason("NAME_IN_USE", other.id));
  });

  test("keeps the name for the job to come", async () => {
    const { ports, manager, id, job } = await withJob();
    const ending = deferred();
    job.process.stop.mockImplementation(async () => {
      await ending.promise;
      job.observation = exited(143);
    });
    const restarting = manager.restart(id);
    await eventually("the stop", () => job.process.stop.mock.calls.length > 0);
    await expect(manager.start(REQUEST)).rejects.toEqual(reason("NAME_IN_USE", id));
    const found = manager.start({ ...REQUEST, ifRunning: "return" });
    ending.resolve();
    expect((await found).id).toBe((await restarting).id);
    expect(ports.records.size).toBe(2);
  });

  test("ends nothing for a command that cannot be run, or an argument that is wrong", async () => {
    const { ports, manager, id, job } = await withJob();
    const missing = new ProcmanError("COMMAND_NOT_FOUND", "no such command");
    ports.engine.prepare.mockRejectedValueOnce(missing);
    await expect(manager.restart(id)).rejects.toBe(missing);
    await expect(manager.restart(id, { gracePeriodMs: -1 })).rejects.toEqual(
      reason("INVALID_ARGUMENT"),
    );
    await expect(manager.restart(id, { requestId: "x".repeat(1025) })).rejects.toEqual(
      reason("INVALID_ARGUMENT"),
    );
    await expect(manager.restart("db")).rejects.toEqual(reason("JOB_NOT_FOUND", "db"));
    ports.store.write.mockRejectedValueOnce(full);
    await expect(manager.restart(id)).rejects.toBe(full);
    expect(job.process.stop).not.toHaveBeenCalled();
    expect((await manager.get(id)).status).toBe("running");
    expect(ports.records.get(id)).not.toHaveProperty("restart");
  });

  test("says so where the job could not be started, and leaves nothing to be carried on", async () => {
    const { ports, manager, id } = await withJob();
    ports.store.draft.mockImplementationOnce((record) => {
      const draft = ports.draft(record);
      draft.written = Promise.reject(full);
      return draft;
    });
    await expect(manager.restart(id, { requestId: "again" })).rejects.toBe(full);
    expect(ports.records.get(id)).toMatchObject({ state: { status: "cancelled" } });
    expect(ports.records.get(id)).not.toHaveProperty("restart");
    expect((await manager.restart(id, { requestId: "again" })).previousId).toBe(id);
  });

  test("goes on where its caller leaves", async () => {
    const { manager, id, job } = await withJob();
    const ending = deferred();
    job.process.stop.mockImplementation(async () => {
      await ending.promise;
      job.observation = exited(143);
    });
    const leave = new AbortController();
    const call = manager.restart(id, { signal: leave.signal });
    await eventually("the stop", () => job.process.stop.mock.calls.length > 0);
    leave.abort(new Error("gone"));
    await expect(call).rejects.toThrow("gone");
    ending.resolve();
    await eventually("the new job", async () => (await manager.get("web")).previousId === id);
  });

  test("is left to the next server where this one closes", async () => {
    const { ports, manager, id, job } = await withJob();
    job.process.stop.mockImplementation(
      (_grace, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error));
        }),
    );
    const call = manager.restart(id, { requestId: "again" });
    await eventually("the stop", () => job.process.stop.mock.calls.length > 0);
    const failure = expect(call).rejects.toEqual(reason("SHUTTING_DOWN"));
    await manager.close();
    await failure;
    expect(ports.records.get(id)).toMatchObject({ restart: { requestId: "again" } });
    expect(ports.records.size).toBe(1);
    job.process.stop.mockImplementation(async () => void (job.observation = exited(143)));
    const { manager: next } = await openManager(ports);
    const carriedOn = await next.restart("web", { requestId: "again" });
    expect(carriedOn).toMatchObject({ previousId: id, requestId: "again" });
    expect(ports.records.size).toBe(2);
    expect(ports.records.get(id)).not.toHaveProperty("restart");
  });
});

describe("a restart that was begun by a server that is gone", () => {
  const intent = { newId: "job2", requestId: "again", requestedTime: new Date(0) };

  /** What there is on record of the old job. */
  function portsWith(state: JobRecord["state"], spec: Partial<JobRecord["spec"]> = {}) {
    const ports = new FakePorts();
    const record = someRecord(state, { spec: { name: "web", ...spec }, stop, restart: intent });
    ports.records.set("job1", record);
    return ports;
  }

  test.each([
    ["the old job runs", running],
    ["it has ended", endedState()],
  ])("is carried on where %s, under an id that no runner can know", async (_, state) => {
    const ports = portsWith(state);
    const { manager } = await openManager(ports);
    const job = await eventually("the new job", async () => {
      const { jobs } = await manager.list({ statuses: ["running"] });
      return jobs.find(({ previousId }) => previousId === "job1");
    });
    expect(job).toMatchObject({ name: "web", requestId: "again" });
    expect(job.id).not.toBe("job2");
    expect(ports.records.get("job1")).not.toHaveProperty("restart");
    await manager.close();
    const { manager: later } = await openManager(ports);
    expect((await later.list()).totalSize).toBe(2);
  });

  test("is over where the new job is there, whatever has become of it", async () => {
    for (const state of [running, endedState()]) {
      const ports = portsWith(endedState());
      const spec = { id: "job2", name: "web", previousId: "job1", requestId: "again" };
      ports.records.set("job2", someRecord(state, { sequence: 2, spec }));
      const { manager } = await openManager(ports);
      expect(ports.records.get("job1")).not.toHaveProperty("restart");
      expect((await manager.list()).totalSize).toBe(2);
      expect((await manager.restart("job1", { requestId: "again" })).id).toBe("job2");
    }
  });

  test("starts nothing a second time for a record that cannot be read", async () => {
    const ports = portsWith(endedState());
    ports.store.load.mockResolvedValueOnce({
      ended: [],
      records: [...ports.records.values()],
      unreadable: [{ id: "job2", error: new Error("cut short") }],
    });
    const { manager } = await openManager(ports);
    expect((await manager.list()).totalSize).toBe(1);
    expect(ports.store.draft).not.toHaveBeenCalled();
  });

  test("has the name, and the request's id, from the first call on", async () => {
    const ports = portsWith(running);
    const ending = deferred();
    ports.job("job1").process.stop.mockImplementation(async () => {
      await ending.promise;
      ports.job("job1").observation = exited(143);
    });
    const { manager } = await openManager(ports);
    await expect(manager.start({ command: "x", name: "web" })).rejects.toEqual(
      reason("NAME_IN_USE", "job1"),
    );
    const joined = manager.restart("web", { requestId: "again" });
    await expect(manager.remove("job1")).rejects.toEqual(reason("JOB_RUNNING"));
    ending.resolve();
    expect((await joined).previousId).toBe("job1");
    expect(ports.records.size).toBe(2);
  });

  test("is logged, and over, where the new job cannot be started", async () => {
    const ports = portsWith(endedState());
    ports.engine.prepare.mockRejectedValueOnce(full);
    const { manager } = await openManager(ports);
    await eventually("the log", () => ports.log.error.mock.calls.length > 0);
    expect(ports.log.error.mock.calls[0]?.[0]).toEqual({ jobId: "job1", err: full });
    expect(ports.records.get("job1")).not.toHaveProperty("restart");
    expect((await manager.list()).totalSize).toBe(1);
  });
});
