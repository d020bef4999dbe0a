import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { jobNotFound, ProcmanError } from "../../../src/contract/errors.js";
import { NO_OUTPUT } from "../../../src/contract/job.js";
import type { StartOptions } from "../../../src/contract/procman.js";
import { type EndedJob, endedJob } from "../../../src/core/ended-jobs.js";
import type { JobManagerOptions } from "../../../src/core/job-manager.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { eventually } from "../../helpers/eventually.js";
import { collect } from "../../helpers/errors.js";
import { someRecord } from "../../helpers/records.js";
import { ALIVE, endedState, exited, FakePorts, STARTED } from "./fake-ports.js";

async function openManager(options: Partial<JobManagerOptions> = {}, ports = new FakePorts()) {
  const manager = await ports.open(options);
  onTestFinished(() => manager.close());
  return { ports, manager };
}

/** A manager and a job that runs. */
async function withJob(
  startOptions: Partial<StartOptions> = {},
  options: Partial<JobManagerOptions> = {},
) {
  const { ports, manager } = await openManager(options);
  const { id } = await manager.start({ command: "x", ...startOptions });
  return { ports, manager, id, job: ports.job(id) };
}

/** How the next job's directory is written. */
function nextDraft(ports: FakePorts) {
  const draft = ports.draft(someRecord());
  ports.store.draft.mockReturnValueOnce(draft);
  return draft;
}

/** A manager that has taken over a job. */
async function withAdopted(record: ReturnType<typeof someRecord>, ports = new FakePorts()) {
  ports.records.set("job1", record);
  const { manager } = await openManager({}, ports);
  return { ports, manager, job: ports.job("job1") };
}

const running = { status: "running", ...STARTED } as const;
const fault = new Error("I/O error");
const full = new ProcmanError("DISK_FULL", "no room");
const reason = (name: string) => expect.objectContaining({ reason: name });
const stop = { kind: "cancel", requestedTime: new Date(), gracePeriodMs: 7 } as const;

describe("start", () => {
  test("runs the command in a directory of its own, and returns the job", async () => {
    const { ports, manager } = await openManager();
    const job = await manager.start({ command: "x", args: ["y"], env: { SECRET: "1" } });
    expect(job).toMatchObject({ ...running, command: "x", args: ["y"], workDir: "/srv" });
    expect(job.id).toMatch(/^[0-9a-z]{12}$/);
    expect(ports.engine.prepare).toHaveBeenCalledWith(expect.objectContaining({ id: job.id }));
    const [dir] = ports.job(job.id).start.mock.calls[0] ?? [];
    expect(dir?.path).toBe(`/jobs/${job.id}`);
    // Until then the next server would learn it from the job's processes.
    await eventually("the record", () => ports.records.get(job.id)?.state.status === "running");
    expect(ports.records.get(job.id)?.state).toEqual(running);
  });

  test("numbers the jobs, going on after the highest number on record", async () => {
    const ports = new FakePorts();
    for (const sequence of [7, 3]) {
      const record = someRecord(endedState(), { sequence, spec: { id: `j${sequence}` } });
      ports.records.set(record.spec.id, record);
    }
    const { manager } = await openManager({}, ports);
    for (const sequence of [8, 9]) {
      const { id } = await manager.start({ command: "x" });
      expect(ports.records.get(id)?.sequence).toBe(sequence);
    }
    const fresh = await withJob();
    expect(fresh.ports.records.get(fresh.id)?.sequence).toBe(1);
  });

  test("does nothing for a caller who has left, or after a close", async () => {
    const { ports, manager } = await openManager();
    const signal = AbortSignal.abort(fault);
    await expect(manager.start({ command: "x", signal })).rejects.toBe(fault);
    await manager.close();
    await expect(manager.start({ command: "x" })).rejects.toEqual(reason("SHUTTING_DOWN"));
    expect(ports.engine.prepare).not.toHaveBeenCalled();
  });

  test("leaves no trace of a command that cannot be run", async () => {
    const { ports, manager } = await openManager();
    const draft = nextDraft(ports);
    ports.engine.prepare.mockRejectedValueOnce(full);
    await expect(manager.start({ command: "x" })).rejects.toBe(full);
    expect(draft.discard).toHaveBeenCalled();
    expect(draft.publish).not.toHaveBeenCalled();

    ports.engine.prepare.mockResolvedValueOnce({ start: () => Promise.reject(fault) });
    await expect(
      manager.start({ command: "x", requestId: "r", logLimitBytes: 65_536 }),
    ).rejects.toBe(fault);
    const [id = ""] = ports.store.remove.mock.calls[0] ?? [];
    expect(ports.records.size).toBe(0);
    expect(ports.job(id).logs.dispose).toHaveBeenCalled();
    await expect(manager.get(id)).rejects.toEqual(reason("JOB_NOT_FOUND"));
    expect((await manager.list()).totalSize).toBe(0);
    // It can be tried again.
    await manager.start({ command: "y", requestId: "r" });
  });

  test("runs nothing whose record is not on disk", async () => {
    const { ports, manager } = await openManager();
    const draft = nextDraft(ports);
    draft.written = Promise.reject(full);
    await expect(manager.start({ command: "x" })).rejects.toBe(full);
    expect(draft.publish).not.toHaveBeenCalled();
    expect((await manager.list()).totalSize).toBe(0);
  });

  test("is answered when the job's directory is on disk, and not otherwise", async () => {
    const { ports, manager } = await openManager();
    let onDisk: () => void = () => {};
    nextDraft(ports).publish.mockReturnValue(new Promise((resolve) => (onDisk = resolve)));
    let isAnswered = false;
    const starting = manager.start({ command: "x" }).then(() => (isAnswered = true));
    await new Promise(setImmediate);
    expect(isAnswered).toBe(false);
    onDisk();
    await starting;

    nextDraft(ports).publish.mockRejectedValue(full);
    await expect(manager.start({ command: "x" })).rejects.toBe(full);
    expect(ports.store.remove).toHaveBeenCalledTimes(1);
    expect((await manager.list()).totalSize).toBe(1);
  });

  test("says so where even that trace cannot be removed", async () => {
    const { ports, manager } = await openManager();
    ports.engine.prepare.mockResolvedValueOnce({ start: () => Promise.reject(fault) });
    ports.store.remove.mockRejectedValueOnce(full);
    await expect(manager.start({ command: "x" })).rejects.toBe(fault);
    const [jobId] = ports.records.keys();
    expect(ports.log.error.mock.calls).toEqual([
      [{ jobId, err: full }, "removing a job that did not start failed"],
    ]);
  });

  test("keeps the end of its logs where it has a limit, or the manager has one", async () => {
    const { job, manager } = await withJob({ logLimitBytes: 65_536 });
    expect(job.logs.retain.mock.calls[0]?.[0]).toBe(65_536);
    const unlimited = await withJob();
    expect(unlimited.job.logs.retain).not.toHaveBeenCalled();
    const byDefault = await withJob({}, { defaultLogLimitBytes: 70_000 });
    expect(byDefault.job.logs.retain.mock.calls[0]?.[0]).toBe(70_000);
    expect((await byDefault.manager.get(byDefault.id)).logLimitBytes).toBe(70_000);
    expect((await manager.list()).jobs[0]?.logLimitBytes).toBe(65_536);
  });
});

describe("get", () => {
  test("tells the values of environment variables only to those who ask", async () => {
    const { manager, id } = await withJob({ env: { SECRET: "1" } });
    expect((await manager.get(id)).env).toEqual({ SECRET: "" });
    expect((await manager.get(id, { includeEnv: true })).env).toEqual({ SECRET: "1" });
  });

  test("tells what was written, and the progress", async () => {
    const { manager, id, job } = await withJob();
    expect(await manager.get(id)).not.toHaveProperty("progress");
    const progress = { percent: 5, unit: "", text: "5%" };
    job.logs.sizes.mockResolvedValue({ ...NO_OUTPUT, stdoutBytes: 3, stderrFirstOffset: 2 });
    job.logs.progress.mockResolvedValue(progress);
    expect(await manager.get(id)).toMatchObject({
      stdoutBytes: 3,
      stderrBytes: 0,
      stdoutFirstOffset: 0,
      stderrFirstOffset: 2,
      progress,
    });
  });

  test("knows no other jobs, and none after a close", async () => {
    const { manager, id } = await withJob();
    await expect(manager.get("x")).rejects.toMatchObject({ reason: "JOB_NOT_FOUND", jobId: "x" });
    await manager.close();
    await expect(manager.get(id)).rejects.toEqual(reason("SHUTTING_DOWN"));
  });
});

describe("list", () => {
  async function withFive() {
    const { manager } = await openManager();
    const ids: string[] = [];
    for (const team of ["a", "b", "a", "b", "a"]) {
      ids.unshift((await manager.start({ command: "x", labels: { team } })).id);
    }
    return { manager, ids };
  }
  const idsOf = (page: { jobs: readonly { id: string }[] }) => page.jobs.map(({ id }) => id);

  test("gives the newest first, on as many pages as it takes", async () => {
    const { manager, ids } = await withFive();
    const all = await manager.list({ pageSize: 5 });
    expect(all).toMatchObject({ totalSize: 5, nextPageToken: "" });
    expect(idsOf(all)).toEqual(ids);
    const first = await manager.list({ pageSize: 2 });
    const second = await manager.list({ pageSize: 2, pageToken: first.nextPageToken });
    const third = await manager.list({ pageSize: 2, pageToken: second.nextPageToken });
    expect([first, second, third].map(idsOf)).toEqual([ids.slice(0, 2), ids.slice(2, 4), [ids[4]]]);
    expect([first, second, third].map(({ totalSize }) => totalSize)).toEqual([5, 5, 5]);
    expect(third.nextPageToken).toBe("");
  });

  test("gives those that match", async () => {
    const { manager, ids } = await withFive();
    const filter = { labels: { team: "b" } };
    const page = await manager.list({ ...filter, pageSize: 1 });
    expect(page.totalSize).toBe(2);
    expect(idsOf(page)).toEqual([ids[1]]);
    const { nextPageToken: pageToken } = page;
    expect(idsOf(await manager.list({ ...filter, pageSize: 1, pageToken }))).toEqual([ids[3]]);
    await expect(manager.list({ pageToken })).rejects.toEqual(reason("INVALID_PAGE_TOKEN"));
    expect((await manager.list({ statuses: ["completed"] })).totalSize).toBe(0);
    expect(await manager.list({ statuses: ["completed"] })).toMatchObject({ nextPageToken: "" });
  });
});

describe("a name", () => {
  test("stands for the newest job that bears it, also after a restart of the server", async () => {
    const { ports, manager } = await openManager();
    const ids: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      const { id } = await manager.start({ command: "x", name: "web", requestId: `r${n}` });
      ids.push(id);
      if (n === 2) break;
      ports.job(id).end(n);
      await manager.wait(id);
    }
    expect((await manager.get("web")).id).toBe(ids[2]);
    await manager.signal("web", "HUP");
    expect(ports.job(ids[2] ?? "").process.signal).toHaveBeenCalledWith("HUP");
    const inUse = { reason: "NAME_IN_USE", jobId: ids[2] };
    await expect(manager.start({ command: "y", name: "web" })).rejects.toMatchObject(inUse);
    expect((await manager.start({ command: "x", name: "web", requestId: "r0" })).id).toBe(ids[0]);
    await manager.close();

    const { manager: later } = await openManager({}, ports);
    expect((await later.get("web")).id).toBe(ids[2]);
    await expect(later.start({ command: "y", name: "web" })).rejects.toMatchObject(inUse);
    ports.job(ids[2] ?? "").end(0);
    await later.wait("web");
    expect((await later.get("web")).id).toBe(ids[2]);
    await later.remove(ids[2] ?? "");
    expect((await later.get("web")).id).toBe(ids[1]);
    const { jobs, totalSize } = await later.list({ name: "web", pageSize: 1 });
    expect([jobs.map(({ id }) => id), totalSize]).toEqual([[ids[1]], 2]);
    expect((await later.list({ name: "db" })).totalSize).toBe(0);
  });

  test("is no id for Remove, which says whose it is", async () => {
    const { manager, id, job } = await withJob({ name: "web" });
    job.end(0);
    await manager.wait(id);
    await expect(manager.remove("web")).rejects.toMatchObject({
      reason: "JOB_NOT_FOUND",
      message: `web is a name, and no job's id; the newest job of that name is ${id}`,
    });
    await manager.remove(id);
    await expect(manager.remove("web")).rejects.toMatchObject({ message: 'no job "web"' });
  });

  test("cannot be the id of a job, and an id comes before a name", async () => {
    const { ports, manager, id } = await withJob();
    const wrong = { reason: "INVALID_ARGUMENT", message: "name: must not be the id of a job" };
    await expect(manager.start({ command: "x", name: id })).rejects.toMatchObject(wrong);
    ports.records.set("job1", someRecord(endedState(), { spec: { name: "job2" } }));
    ports.records.set("job2", someRecord(endedState(), { spec: { id: "job2" } }));
    await manager.close();
    const { manager: later } = await openManager({}, ports);
    expect((await later.get("job2")).id).toBe("job2");
    await later.remove("job2");
    expect((await later.get("job2")).id).toBe("job1");
  });

  test("is found with what runs, and the request_id is then not taken for that job's", async () => {
    const { manager, id, job } = await withJob({ name: "web", requestId: "first" });
    const again = { command: "y", name: "web", requestId: "second", ifRunning: "return" } as const;
    expect((await manager.start(again)).id).toBe(id);
    expect((await manager.start(again)).id).toBe(id);
    job.end(0);
    await manager.wait(id);
    const next = await manager.start(again);
    expect(next.id).not.toBe(id);
    expect((await manager.start(again)).id).toBe(next.id);
  });

  test("of a job that is gone from the disk stands for the one before", async () => {
    const ports = new FakePorts();
    const records = [1, 2].map((sequence) =>
      someRecord(endedState(), { sequence, spec: { id: `job${sequence}`, name: "web" } }),
    );
    const ended = records.map((record) => endedJob(record) as EndedJob);
    ports.store.load.mockResolvedValue({ ended, records: [], unreadable: [] });
    ports.records.set("job1", records[0] as JobRecord);
    const { manager } = await openManager({}, ports);
    expect((await manager.get("web")).id).toBe("job1");
  });
});

describe("output", () => {
  const chunk = { stream: "stdout", offset: 0, data: Uint8Array.of(1) } as const;
  const line = { stream: "stdout", text: "a", offset: 0, nextOffset: 2, terminator: "lf" } as const;

  test("comes as chunks, between what the job was and what it has become", async () => {
    const { manager, id, job } = await withJob();
    job.chunks = [chunk, { ...chunk, offset: 1 }];
    const options = { stdoutOffset: 3, follow: true, signal: new AbortController().signal };
    const events = await collect(manager.attach(id, options, { transientData: true }));
    expect(events.map(({ type }) => type)).toEqual(["opened", "chunk", "chunk", "ended"]);
    expect(events[0]).toMatchObject({ job: { id } });
    expect(events[1]).toEqual({ type: "chunk", ...chunk });
    expect(events[3]).toMatchObject({ job: { id } });
    expect(job.logs.resolveStart).toHaveBeenCalledWith(options);
    const [from, reading] = job.logs.chunks.mock.calls[0] ?? [];
    expect(from).toEqual({ stdout: 0 });
    expect(reading).toMatchObject({ transientData: true, signal: options.signal });
    expect(reading?.ended?.aborted).toBe(false);
  });

  test("ends where it ends now, unless it is followed", async () => {
    const { manager, id, job } = await withJob();
    await collect(manager.attach(id));
    expect(job.logs.chunks.mock.calls[0]?.[1]).toEqual({ transientData: false });
  });

  test("comes as lines, which are followed", async () => {
    const { manager, id, job } = await withJob();
    job.lines = [line];
    const events = await collect(manager.watch(id, { tailLines: 1 }));
    const [running] = (await manager.list()).jobs;
    expect(events).toEqual([
      { type: "opened", job: running },
      { type: "line", ...line },
      { type: "ended", job: running },
    ]);
    const wanted = { tailLines: 1, follow: true, wholeLines: true };
    expect(job.logs.resolveStart).toHaveBeenCalledWith(wanted);
    const [, reading] = job.logs.lines.mock.calls[0] ?? [];
    expect(Object.keys(reading ?? {})).toEqual(["ended"]);
    job.end(0);
    await eventually("the end", () => reading?.ended?.aborted);
    const { signal } = new AbortController();
    await collect(manager.watch(id, { signal }));
    expect(job.logs.lines.mock.calls[1]?.[1]).toEqual({ ended: reading?.ended, signal });
  });

  test("of a job that is not there is none", async () => {
    const { manager } = await openManager();
    await expect(collect(manager.attach("x"))).rejects.toEqual(reason("JOB_NOT_FOUND"));
    await expect(collect(manager.watch("x"))).rejects.toEqual(reason("JOB_NOT_FOUND"));
  });
});

describe("wait", () => {
  test("ends with the job", async () => {
    const { manager, id, job } = await withJob();
    const waiting = manager.wait(id);
    job.end(3);
    const waited = await waiting;
    expect(waited).toMatchObject({ status: "failed", exitCode: 3 });
    expect(waited).not.toHaveProperty("outcome");
  });

  test("tells what has come", async () => {
    const { manager, id, job } = await withJob();
    job.process.listeningPort.mockResolvedValue(80);
    const outcome = { type: "port", port: 80 } as const;
    expect(await manager.wait(id, { until: { type: "port", port: 0 } })).toMatchObject({ outcome });
  });

  test("fails when the caller leaves, or the manager is closed", async () => {
    const { manager, id } = await withJob();
    const leaving = new AbortController();
    const waiting = manager.wait(id, { signal: leaving.signal });
    const other = manager.wait(id);
    leaving.abort(fault);
    await expect(waiting).rejects.toBe(fault);
    await Promise.all([expect(other).rejects.toEqual(reason("SHUTTING_DOWN")), manager.close()]);
  });
});

describe("signal", () => {
  test("reaches the job's processes", async () => {
    const { manager, id, job } = await withJob();
    expect(await manager.signal(id, "HUP")).toMatchObject({ id, status: "running" });
    expect(job.process.signal).toHaveBeenCalledWith("HUP");
  });

  test("needs a name, and a job that runs", async () => {
    const { manager, id, job } = await withJob();
    await expect(manager.signal(id, "")).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
      violations: [{ field: "signal", description: "must not be empty" }],
    });
    // It has ended, and nobody has noticed.
    job.observation = exited(0);
    job.process.signal.mockResolvedValueOnce(false);
    await expect(manager.signal(id, "HUP")).rejects.toMatchObject({
      reason: "JOB_NOT_RUNNING",
      jobId: id,
    });
    expect((await manager.get(id)).status).toBe("completed");
    await expect(manager.signal(id, "HUP")).rejects.toEqual(reason("JOB_NOT_RUNNING"));
    expect(job.process.signal).toHaveBeenCalledTimes(1);
  });
});

describe("cancel", () => {
  test("ends the job, with five seconds of grace unless others are asked for", async () => {
    const { manager, id, job } = await withJob();
    expect(await manager.cancel(id)).toMatchObject({ status: "cancelled", exitCode: 143 });
    expect(job.process.stop.mock.calls[0]?.[0]).toBe(5000);
    const hasty = await withJob();
    await hasty.manager.cancel(hasty.id, { gracePeriodMs: 0 });
    expect(hasty.job.process.stop.mock.calls[0]?.[0]).toBe(0);
    expect(hasty.ports.records.get(hasty.id)?.stop).toMatchObject({
      kind: "cancel",
      gracePeriodMs: 0,
    });
    await expect(manager.cancel(id, { gracePeriodMs: -1 })).rejects.toMatchObject({
      violations: [{ field: "grace_period" }],
    });
  });

  test("lets go of what the kernel and this process hold for the job", async () => {
    const { manager, id, job } = await withJob();
    await manager.cancel(id);
    expect(job.process.release).toHaveBeenCalled();
    expect(job.stopWatching).toHaveBeenCalled();
  });

  test("waits until the exit is recorded", async () => {
    const { manager, id, job } = await withJob();
    let looks = 0;
    job.process.stop.mockImplementation(async () => {
      job.process.inspect.mockImplementation(async () => {
        looks += 1;
        return looks < 4 ? ALIVE : exited(143);
      });
    });
    expect(await manager.cancel(id)).toMatchObject({ status: "cancelled" });
    expect(looks).toBe(4);
  });

  test("of what the disk has no room for does nothing", async () => {
    const { ports, manager, id, job } = await withJob();
    ports.store.write.mockRejectedValueOnce(full);
    await expect(manager.cancel(id)).rejects.toBe(full);
    expect(job.process.stop).not.toHaveBeenCalled();
    expect((await manager.get(id)).status).toBe("running");
  });

  test("goes on when the caller leaves, and what then fails is logged", async () => {
    const { ports, manager, id, job } = await withJob();
    let fail: (error: Error) => void = () => {};
    job.process.stop.mockImplementation(() => new Promise((_, reject) => (fail = reject)));
    const leaving = new AbortController();
    const cancelled = manager.cancel(id, { signal: leaving.signal });
    await eventually("the stop", () => job.process.stop.mock.calls.length > 0);
    leaving.abort(new Error("left"));
    await expect(cancelled).rejects.toThrow("left");
    expect(ports.log.error).not.toHaveBeenCalled();
    fail(fault);
    await eventually("the log", () => ports.log.error.mock.calls.length > 0);
    expect(ports.log.error).toHaveBeenCalledWith(
      { jobId: id, err: fault },
      "an operation on a job failed",
    );
  });

  test("that fails says so, once", async () => {
    const { ports, manager, id, job } = await withJob();
    job.process.stop.mockRejectedValueOnce(fault);
    await expect(manager.cancel(id)).rejects.toBe(fault);
    expect(ports.log.error).not.toHaveBeenCalled();
  });

  test("waits for the last output of a command that has ended by itself", async () => {
    const { manager, id, job } = await withJob();
    job.observation = { ...ALIVE, isEnding: true };
    const cancelled = expect(manager.cancel(id)).rejects.toEqual(reason("JOB_NOT_RUNNING"));
    await eventually("another look", () => job.process.inspect.mock.calls.length > 3);
    expect(job.process.drainOrKill).toHaveBeenCalled();
    job.observation = exited(0);
    await cancelled;
    expect(await manager.get(id)).toMatchObject({ status: "completed", exitCode: 0 });
    expect(job.process.stop).not.toHaveBeenCalled();
  });
});

describe("sendInput", () => {
  const data = Buffer.from("hello");

  test("reaches the command", async () => {
    const { manager, id, job } = await withJob({ stdin: true });
    expect(await manager.sendInput(id, { data, sender: "me", offset: 2 })).toEqual({
      nextOffset: 5,
    });
    const piece = { sender: "me", offset: 2, data, close: false };
    expect(job.process.sendInput.mock.calls[0]?.[0]).toEqual(piece);
  });

  test("needs a job that takes input, and input that can be", async () => {
    const { manager, id, job } = await withJob();
    await expect(manager.sendInput(id, { data })).rejects.toMatchObject({
      reason: "INPUT_NOT_OPEN",
      jobId: id,
      message: `job ${id} takes no input: it was started without stdin`,
    });
    await expect(manager.sendInput(id, { offset: -1 })).rejects.toEqual(reason("INVALID_ARGUMENT"));
    expect(job.process.sendInput).not.toHaveBeenCalled();
  });

  test("says whether the job has ended, where the input is closed", async () => {
    const { manager, id, job } = await withJob({ stdin: true });
    const closed = new ProcmanError("INPUT_NOT_OPEN", "closed");
    job.process.sendInput.mockRejectedValue(closed);
    await expect(manager.sendInput(id, { data })).rejects.toBe(closed);
    job.observation = exited(0);
    await expect(manager.sendInput(id, { data })).rejects.toEqual(reason("JOB_NOT_RUNNING"));
    for (const error of [fault, full]) {
      job.process.sendInput.mockRejectedValue(error);
      await expect(manager.sendInput(id, { data })).rejects.toBe(error);
    }
  });

  test("ends when the caller leaves, or the manager is closed", async () => {
    const { manager, id, job } = await withJob({ stdin: true });
    job.process.sendInput.mockImplementation(
      (_, signal) =>
        new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason as Error)),
        ),
    );
    const leaving = new AbortController();
    const sent = manager.sendInput(id, { data, signal: leaving.signal });
    const other = manager.sendInput(id, { data });
    leaving.abort(fault);
    await expect(sent).rejects.toBe(fault);
    await Promise.all([expect(other).rejects.toEqual(reason("SHUTTING_DOWN")), manager.close()]);
  });
});

describe("resizeWindow", () => {
  const size = { rows: 5, columns: 6 };

  test("reaches the terminal", async () => {
    const { manager, id, job } = await withJob({ pty: true });
    expect(await manager.resizeWindow(id, size)).toMatchObject({ id });
    expect(job.process.resize).toHaveBeenCalledWith(size);
  });

  test("needs a size, a terminal, and a job that runs", async () => {
    const { manager, id, job } = await withJob();
    const zero = { rows: 0, columns: 1 };
    await expect(manager.resizeWindow(id, zero)).rejects.toEqual(reason("INVALID_ARGUMENT"));
    expect(job.process.resize).not.toHaveBeenCalled();
    job.process.resize.mockResolvedValue(false);
    await expect(manager.resizeWindow(id, size)).rejects.toMatchObject({
      reason: "NO_TERMINAL",
      jobId: id,
      message: `job ${id} has no terminal`,
    });
    job.observation = exited(0);
    for (let call = 0; call < 2; call += 1) {
      await expect(manager.resizeWindow(id, size)).rejects.toEqual(reason("JOB_NOT_RUNNING"));
    }
    expect(job.process.resize).toHaveBeenCalledTimes(2);
  });
});

describe("remove", () => {
  test("deletes an ended job's files, and lets go of the rest", async () => {
    const { ports, manager, id, job } = await withJob({ requestId: "r", logLimitBytes: 65_536 });
    // It has ended, and nobody has noticed.
    job.observation = exited(0);
    await manager.remove(id);
    expect(ports.records.size).toBe(0);
    expect(job.process.release).toHaveBeenCalled();
    expect(job.logs.dispose).toHaveBeenCalled();
    await expect(manager.get(id)).rejects.toEqual(reason("JOB_NOT_FOUND"));
    expect((await manager.start({ command: "y", requestId: "r" })).id).not.toBe(id);
  });

  test("leaves a job alone that runs, or whose remaining processes are being ended", async () => {
    const { ports, manager, id, job } = await withJob();
    const refused = (message: string) => ({ reason: "JOB_RUNNING", jobId: id, message });
    await expect(manager.remove(id)).rejects.toMatchObject(refused(`job ${id} is running`));
    job.observation = exited(0);
    job.process.isStopping = true;
    await expect(manager.remove(id)).rejects.toMatchObject(
      refused(`job ${id} has processes that are being ended`),
    );
    expect(ports.store.remove).not.toHaveBeenCalled();
    job.process.isStopping = false;
    await manager.remove(id);
  });

  test("by two is done once", async () => {
    const { ports, manager, id, job } = await withJob();
    job.observation = exited(0);
    const [first, second] = await Promise.allSettled([manager.remove(id), manager.remove(id)]);
    expect(first.status).toBe("fulfilled");
    expect(second).toMatchObject({ status: "rejected", reason: { reason: "JOB_NOT_FOUND" } });
    expect(ports.store.remove).toHaveBeenCalledTimes(1);
  });

  test("that fails can be tried again, and the job is as it was", async () => {
    const { ports, manager, id, job } = await withJob();
    job.observation = exited(0);
    ports.store.remove.mockRejectedValueOnce(fault);
    await expect(manager.remove(id)).rejects.toBe(fault);
    job.logs.sizes.mockResolvedValue({ ...NO_OUTPUT, stdoutBytes: 9 });
    expect(await manager.get(id)).toMatchObject({ status: "completed", stdoutBytes: 9 });
    await manager.remove(id);
  });

  test("shows the output as it was, while the files are being deleted", async () => {
    const { ports, manager, id, job } = await withJob();
    job.observation = exited(0);
    job.logs.sizes.mockResolvedValue({ ...NO_OUTPUT, stdoutBytes: 9 });
    let removed: () => void = () => {};
    ports.store.remove.mockImplementationOnce(() => new Promise((resolve) => (removed = resolve)));
    const removing = manager.remove(id);
    await eventually("the removal", () => ports.store.remove.mock.calls.length > 0);
    job.logs.sizes.mockResolvedValue(NO_OUTPUT);
    expect(await manager.get(id)).toMatchObject({ stdoutBytes: 9 });
    removed();
    await removing;
  });
});

describe("cleanup", () => {
  /** Jobs that ended so many seconds ago, and one that runs. */
  async function withEnded(...agoSeconds: number[]) {
    const ports = new FakePorts();
    for (const ago of agoSeconds) {
      const id = `ended${ago}`;
      ports.records.set(id, someRecord(endedState(ago * 1000), { spec: { id } }));
    }
    const { manager } = await openManager({}, ports);
    await manager.start({ command: "x" });
    return { ports, manager };
  }

  test("removes ended jobs of an age, by default the manager's", async () => {
    const { manager } = await withEnded(10, 50, 70);
    expect(await manager.cleanup()).toEqual(["ended70"]);
    expect(await manager.cleanup({ olderThanMs: 40_000 })).toEqual(["ended50"]);
    expect(await manager.cleanup({ olderThanMs: 0 })).toEqual(["ended10"]);
    expect((await manager.list()).totalSize).toBe(1);
    await expect(manager.cleanup({ olderThanMs: -1 })).rejects.toMatchObject({
      violations: [{ field: "older_than" }],
    });
  });

  test("fails where it can remove none, and else tells which it has removed", async () => {
    const { ports, manager } = await withEnded(1, 2, 3);
    ports.store.remove.mockRejectedValue(fault);
    await expect(manager.cleanup({ olderThanMs: 0 })).rejects.toBe(fault);
    expect(ports.log.error).not.toHaveBeenCalled();
    const remove = async (id: string) => {
      if (id === "ended2") throw fault;
      ports.records.delete(id);
    };
    ports.store.remove.mockImplementation(remove);
    expect(await manager.cleanup({ olderThanMs: 0 })).toEqual(["ended1", "ended3"]);
    expect(ports.log.error.mock.calls).toEqual([
      [{ jobId: "ended2", err: fault }, "an operation on a job failed"],
    ]);
  });

  test("tries no more where it cannot remove any", async () => {
    const { ports, manager } = await withEnded(...Array.from({ length: 50 }, (_, n) => n));
    ports.store.remove.mockRejectedValue(fault);
    await expect(manager.cleanup({ olderThanMs: 0 })).rejects.toBe(fault);
    expect(ports.store.remove.mock.calls.length).toBeLessThan(20);
  });

  test("removes about as many as it was told to, and the rest the next time", async () => {
    const { manager } = await withEnded(...Array.from({ length: 30 }, (_, n) => n));
    const first = await manager.cleanup({ olderThanMs: 0 }, 20);
    const second = await manager.cleanup({ olderThanMs: 0 }, 20);
    // Those that were under way come on top.
    expect(first.length).toBeGreaterThanOrEqual(20);
    expect(first.length).toBeLessThan(30);
    expect(new Set([...first, ...second]).size).toBe(30);
  });

  test("leaves a job whose record cannot be read any more", async () => {
    const ports = new FakePorts();
    const records = [1, 2].map((n) => someRecord(endedState(), { spec: { id: `ended${n}` } }));
    for (const record of records) ports.records.set(record.spec.id, record);
    const ended = records.map((record) => endedJob(record) as EndedJob);
    ports.store.load.mockResolvedValue({ ended, records: [], unreadable: [] });
    const { manager } = await openManager({}, ports);
    ports.store.read.mockImplementationOnce(() => {
      throw new ProcmanError("RECORD_UNREADABLE", "no JSON");
    });
    expect(await manager.cleanup({ olderThanMs: 0 })).toEqual(["ended2"]);
    await expect(manager.get("ended1")).rejects.toEqual(reason("RECORD_UNREADABLE"));
  });

  test("does not mind that others remove the same", async () => {
    const { ports, manager } = await withEnded(1, 2);
    ports.store.remove.mockRejectedValueOnce(jobNotFound("ended1"));
    expect(await manager.cleanup({ olderThanMs: 0 })).toEqual(["ended2"]);
  });

  test("takes no job to be older than it has seen it ended", async () => {
    const { manager, id, job } = await withJob();
    const waiting = manager.wait(id);
    job.observation = { ...exited(0), completedTime: new Date(Date.now() - 3_600_000) };
    job.onEnd();
    await waiting;
    expect(await manager.cleanup({ olderThanMs: 60_000 })).toEqual([]);
  });

  test("takes a job that ended in the future to have just ended", async () => {
    const { manager } = await withEnded(-3600);
    expect(await manager.cleanup({ olderThanMs: 1 })).toEqual([]);
    expect(await manager.cleanup({ olderThanMs: 0 })).toEqual(["ended-3600"]);
  });
});

describe("refresh", () => {
  test("returns the jobs that have become something else unseen", async () => {
    const { ports, manager, id, job } = await withJob();
    const other = await manager.start({ command: "y" });
    expect(await manager.refresh()).toEqual([]);
    job.observation = exited(0);
    expect(await manager.refresh()).toMatchObject([{ id, status: "completed" }]);
    expect(await manager.refresh()).toEqual([]);
    expect(ports.records.get(id)?.state.status).toBe("completed");
    const looks = job.process.inspect.mock.calls.length;
    await manager.refresh();
    expect(job.process.inspect).toHaveBeenCalledTimes(looks);
    expect((await manager.get(other.id)).status).toBe("running");
  });

  test("of one job that fails keeps the others from nothing", async () => {
    const { ports, manager, id, job } = await withJob();
    const other = await manager.start({ command: "y" });
    job.process.inspect.mockRejectedValue(fault);
    ports.job(other.id).observation = exited(0);
    expect(await manager.refresh()).toMatchObject([{ id: other.id, status: "completed" }]);
    expect(ports.log.error).toHaveBeenCalledWith(
      { jobId: id, err: fault },
      "an operation on a job failed",
    );
    await manager.close();
    await expect(manager.refresh()).rejects.toEqual(reason("SHUTTING_DOWN"));
  });
});

describe("close", () => {
  test("lets go of everything once, and last of the state directory", async () => {
    const { ports, manager, job } = await withJob({ logLimitBytes: 65_536 });
    await Promise.all([manager.close(), manager.close()]);
    await manager.close();
    expect(ports.onClosed).toHaveBeenCalledTimes(1);
    expect(ports.logs.close).toHaveBeenCalledTimes(1);
    expect(job.process.close).toHaveBeenCalledTimes(1);
    expect(job.stopWatching).toHaveBeenCalled();
    expect(job.logs.dispose).toHaveBeenCalled();
    expect(job.process.stop).not.toHaveBeenCalled();
  });

  test("waits for what is under way", async () => {
    const { ports, manager, job } = await withJob();
    let finish: () => void = () => {};
    const held = new Promise<void>((resolve) => (finish = resolve));
    job.process.close.mockReturnValue(held);
    const closing = manager.close();
    await new Promise(setImmediate);
    expect(ports.onClosed).not.toHaveBeenCalled();
    finish();
    await closing;
    expect(ports.onClosed).toHaveBeenCalled();
  });
});

describe("taking over", () => {
  test("finds the jobs as they are, and says how many there are", async () => {
    const { ports, manager } = await withAdopted(someRecord(running, { spec: { requestId: "r" } }));
    expect(await manager.get("job1")).toMatchObject(running);
    expect(ports.log.info.mock.calls).toEqual([[{ jobs: 1 }, "took over the jobs on record"]]);
    const options = { command: "true", workDir: "/", requestId: "r" };
    expect((await manager.start(options)).id).toBe("job1");
    expect((await manager.list()).totalSize).toBe(1);
  });

  test("notices what has become of a job meanwhile", async () => {
    const ports = new FakePorts();
    ports.job("job1").observation = exited(3);
    const { manager, job } = await withAdopted(someRecord(running), ports);
    expect(await manager.get("job1")).toMatchObject({ status: "failed", exitCode: 3 });
    expect(job.process.onEnd).not.toHaveBeenCalled();
    expect(ports.records.get("job1")?.state.status).toBe("failed");
  });

  test("leaves records alone that cannot be read", async () => {
    const ports = new FakePorts();
    const unreadable = [{ id: "bad", error: fault }];
    ports.store.load.mockResolvedValue({ ended: [], records: [], unreadable });
    const { manager } = await openManager({}, ports);
    await expect(manager.get("bad")).rejects.toMatchObject({
      reason: "RECORD_UNREADABLE",
      jobId: "bad",
      message: "the record of job bad cannot be read",
      cause: fault,
    });
    expect(ports.log.error.mock.calls).toEqual([
      [{ jobId: "bad", err: fault }, "a job's record cannot be read; it is left in place"],
    ]);
    expect((await manager.list()).totalSize).toBe(0);
  });

  test("removes a job that never ran, and no other", async () => {
    const ports = new FakePorts();
    ports.job("job1").process.abandon.mockResolvedValue(true);
    const { manager, job } = await withAdopted(someRecord(), ports);
    await expect(manager.get("job1")).rejects.toEqual(reason("JOB_NOT_FOUND"));
    expect(ports.records.size).toBe(0);
    expect(ports.log.warn.mock.calls).toEqual([
      [{ jobId: "job1" }, "removed a job that was never started"],
    ]);
    expect(job.process.inspect).not.toHaveBeenCalled();

    const started = await withAdopted(someRecord());
    expect((await started.manager.get("job1")).status).toBe("running");
    const runs = new FakePorts();
    runs.job("job1").process.abandon.mockResolvedValue(true);
    const known = await withAdopted(someRecord(running), runs);
    expect((await known.manager.get("job1")).status).toBe("running");
  });

  test("watches a job also where it cannot be inspected now", async () => {
    const ports = new FakePorts();
    ports.job("job1").process.inspect.mockRejectedValueOnce(fault);
    const { manager, job } = await withAdopted(someRecord(running), ports);
    expect(ports.log.error).toHaveBeenCalledWith(
      { jobId: "job1", err: fault },
      "inspecting a job failed",
    );
    job.end(5);
    expect(await manager.wait("job1")).toMatchObject({ exitCode: 5 });
  });

  test("carries on a stop, also of what an ended job has left behind", async () => {
    const alive = await withAdopted(someRecord(running, { stop }));
    expect(await alive.manager.wait("job1")).toMatchObject({ status: "cancelled" });
    expect(alive.job.process.stop.mock.calls[0]?.[0]).toBe(7);

    for (const state of [endedState(), running]) {
      const ports = new FakePorts();
      ports.job("job1").observation = exited(0);
      ports.job("job1").process.hasUnfinishedStop.mockReturnValue(true);
      const { job } = await withAdopted(someRecord(state, { stop }), ports);
      await eventually("the stop", () => job.process.stop.mock.calls.length > 0);
      await eventually("its end", () => job.process.release.mock.calls.length > 0);
    }
  });

  test("carries on no stop that has come to its end, or was never asked for", async () => {
    for (const [state, rest, isUnfinished] of [
      [endedState(), { stop }, false],
      [endedState(), {}, true],
      [running, { stop }, false],
      [running, {}, true],
    ] as const) {
      const ports = new FakePorts();
      ports.job("job1").observation = exited(0);
      ports.job("job1").process.hasUnfinishedStop.mockReturnValue(isUnfinished);
      const { job } = await withAdopted(someRecord(state, rest), ports);
      await new Promise(setImmediate);
      expect(job.process.stop).not.toHaveBeenCalled();
    }
  });

  test("keeps the end of an ended job's logs too", async () => {
    const { job } = await withAdopted(someRecord(endedState(), { defaultLogLimitBytes: 65_536 }));
    const [limitBytes, ended] = job.logs.retain.mock.calls[0] ?? [];
    expect([limitBytes, ended?.aborted]).toEqual([65_536, true]);
  });

  test("says so where a stop cannot be carried on", async () => {
    const ports = new FakePorts();
    ports.job("job1").process.stop.mockRejectedValueOnce(fault);
    await withAdopted(someRecord(running, { stop }), ports);
    await eventually("the log", () => ports.log.error.mock.calls.length > 0);
    expect(ports.log.error).toHaveBeenCalledWith(
      { jobId: "job1", err: fault },
      "resuming a job's stop failed",
    );
  });
});

describe("a running job", () => {
  test("is inspected whenever it may have ended", async () => {
    const { ports, manager, id, job } = await withJob();
    const looks = job.process.inspect.mock.calls.length;
    job.onEnd();
    await eventually("a look", () => job.process.inspect.mock.calls.length > looks);
    expect((await manager.get(id)).status).toBe("running");
    job.process.inspect.mockRejectedValueOnce(fault);
    job.onEnd();
    await eventually("the log", () => ports.log.error.mock.calls.length > 0);
    expect(ports.log.error).toHaveBeenCalledWith(
      { jobId: id, err: fault },
      "inspecting a job failed",
    );
    job.end(0);
    expect((await manager.wait(id)).status).toBe("completed");
    expect(job.process.release).toHaveBeenCalled();
    expect(job.stopWatching).toHaveBeenCalledTimes(1);
  });

  test("that ended before anybody watched is noticed", async () => {
    const { ports, manager } = await openManager();
    ports.engine.prepare.mockImplementationOnce(async ({ id }) => {
      ports.job(id).observation = exited(4);
      return { start: (dir) => ports.job(id).start(dir) };
    });
    const { id } = await manager.start({ command: "x" });
    expect(await manager.wait(id)).toMatchObject({ exitCode: 4 });
  });

  test("says nothing of what fails because the manager is closed", async () => {
    const { ports, manager, job } = await withJob();
    const closing = manager.close();
    job.onEnd();
    await closing;
    await new Promise(setImmediate);
    expect(ports.log.error).not.toHaveBeenCalled();
  });
});

describe("a time limit", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());
  const turns = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  };

  test("ends the job with the usual grace", async () => {
    const { manager, id, job } = await withJob({ timeoutMs: 1000 });
    await vi.advanceTimersByTimeAsync(999);
    expect(job.process.stop).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await turns();
    expect(job.process.stop.mock.calls[0]?.[0]).toBe(5000);
    expect(await manager.get(id)).toMatchObject({ status: "failed", error: /1000 ms/ });
  });

  test("that cannot be kept now is kept as soon as it can", async () => {
    const { ports, manager, id, job } = await withJob({ timeoutMs: 10 });
    ports.store.write.mockRejectedValueOnce(full);
    await vi.advanceTimersByTimeAsync(10);
    await turns();
    expect(ports.log.error.mock.calls).toEqual([
      [{ jobId: id, err: full }, "ending a job at its time limit failed"],
    ]);
    expect(job.process.stop).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(60_000);
    await turns();
    expect((await manager.get(id)).status).toBe("failed");
  });

  test("is forgotten at the job's end and the manager's close", async () => {
    const { manager, id, job } = await withJob({ timeoutMs: 1000 });
    job.end(0);
    await manager.wait(id);
    await vi.advanceTimersByTimeAsync(999);
    const other = await withJob({ timeoutMs: 1000 });
    await vi.advanceTimersByTimeAsync(500);
    expect(vi.getTimerCount()).toBe(1);
    await other.manager.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of a job that ends just then is no failure", async () => {
    const { ports, manager, id, job } = await withJob({ timeoutMs: 10 });
    job.observation = exited(0);
    await vi.advanceTimersByTimeAsync(10);
    await turns();
    expect((await manager.get(id)).status).toBe("completed");
    expect(ports.log.error).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
