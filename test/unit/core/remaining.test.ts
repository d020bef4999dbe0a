import { describe, expect, test, vi } from "vitest";
import type { RemainingProcesses } from "../../../src/core/ports.js";
import { Remaining } from "../../../src/core/remaining.js";
import { endedState, exited, FakePorts } from "./fake-ports.js";
import { someRecord } from "../../helpers/records.js";

/** Processes that end when the test says so. */
class FakeRemaining implements RemainingProcesses {
  left = 1;
  tell: () => void = () => {};
  readonly mark = "7";
  readonly stopWatching = vi.fn();
  readonly count = vi.fn(() => this.left);
  readonly onChange = vi.fn((listener: () => void) => {
    this.tell = listener;
    return this.stopWatching;
  });
  readonly signal = vi.fn(() => this.left > 0);
  readonly stop = vi.fn(async () => void (this.left = 0));
  readonly release = vi.fn();
}

describe("what a command has left behind", () => {
  test("is followed until the last process has ended, and let go of once", () => {
    const onNone = vi.fn();
    const remaining = new Remaining(onNone);
    const processes = new FakeRemaining();
    remaining.follow(processes);
    processes.tell();
    expect([remaining.count(), remaining.none.aborted]).toEqual([1, false]);
    processes.left = 0;
    processes.tell();
    processes.tell();
    expect([remaining.count(), remaining.none.aborted]).toEqual([0, true]);
    for (const once of [onNone, processes.release, processes.stopWatching]) {
      expect(once).toHaveBeenCalledTimes(1);
    }
  });

  test("that has ended before it was watched is noticed", async () => {
    const remaining = new Remaining(() => {});
    const processes = new FakeRemaining();
    remaining.follow(processes);
    processes.left = 0;
    await Promise.resolve();
    expect(remaining.none.aborted).toBe(true);
  });

  test("that cannot be looked at now is looked at again", () => {
    const remaining = new Remaining(() => {});
    const processes = new FakeRemaining();
    remaining.follow(processes);
    processes.count.mockImplementationOnce(() => {
      throw new Error("EMFILE");
    });
    processes.left = 0;
    processes.tell();
    expect(remaining.none.aborted).toBe(false);
    processes.tell();
    expect(remaining.none.aborted).toBe(true);
  });

  test("is nothing: nobody is asked, and nobody is told", () => {
    const onNone = vi.fn();
    const remaining = new Remaining(onNone);
    expect(remaining.none.aborted).toBe(false);
    remaining.follow(undefined);
    expect(remaining.none.aborted).toBe(true);
    expect(onNone).not.toHaveBeenCalled();
  });
});

describe("a job whose command has left something behind", () => {
  async function endedJob(options: object = {}) {
    const ports = new FakePorts();
    const manager = await ports.open();
    const { id } = await manager.start({ command: "x", ...options });
    const processes = new FakeRemaining();
    const fake = ports.job(id);
    fake.process.remaining.mockResolvedValue(processes);
    fake.end(0);
    await manager.wait(id);
    return { ports, manager, id, processes };
  }

  test("says so in its record, with what the next server needs", async () => {
    const { ports, manager, id } = await endedJob();
    expect(ports.records.get(id)).toMatchObject({ remaining: { mark: "7" } });
    expect(ports.records.get(id)?.remaining).not.toHaveProperty("stop");
    expect(await manager.get(id)).toMatchObject({ status: "completed", remainingProcesses: 1 });
    expect(ports.store.remember).not.toHaveBeenCalled();
  });

  test("is kept compactly once nothing is left", async () => {
    const { ports, manager, id, processes } = await endedJob();
    processes.left = 0;
    processes.tell();
    expect(ports.store.remember).toHaveBeenCalledTimes(1);
    expect(await manager.get(id)).not.toHaveProperty("remainingProcesses");
  });

  test("has the decision to end it on disk before anything is ended", async () => {
    const { ports, manager, id, processes } = await endedJob();
    processes.stop.mockImplementationOnce(async () => {
      expect(ports.records.get(id)?.remaining?.stop).toMatchObject({ gracePeriodMs: 100 });
      processes.left = 0;
    });
    const job = await manager.cancel(id, { includeRemaining: true, gracePeriodMs: 100 });
    expect(job).toMatchObject({ status: "completed" });
    expect(processes.stop).toHaveBeenCalledTimes(1);
  });

  test("has it with its end where that was asked for at Start", async () => {
    const { ports, manager, id, processes } = await endedJob({ endRemaining: true });
    expect(ports.records.get(id)?.remaining?.stop).toMatchObject({ gracePeriodMs: 5000 });
    await manager.wait(id, { until: { type: "no-remaining" } });
    expect(processes.stop).toHaveBeenCalledTimes(1);
  });

  test("is not ended where its decision cannot be written", async () => {
    const { ports, manager, id, processes } = await endedJob();
    ports.store.write.mockRejectedValueOnce(new Error("disk full"));
    await expect(manager.cancel(id, { includeRemaining: true })).rejects.toThrow();
    expect(processes.stop).not.toHaveBeenCalled();
  });

  test.each([undefined, { requestedTime: new Date(), gracePeriodMs: 50 }])(
    "is taken over by the next server, which goes on with %j",
    async (stop) => {
      const ports = new FakePorts();
      const processes = new FakeRemaining();
      const base = someRecord();
      const record = {
        ...base,
        state: endedState(),
        remaining: { mark: "6", ...(stop && { stop }) },
      };
      ports.records.set(base.spec.id, record);
      const fake = ports.job(base.spec.id);
      fake.observation = exited(0);
      fake.process.remaining.mockResolvedValue(processes);
      const manager = await ports.open();
      expect(fake.process.remaining).toHaveBeenCalledWith("6");
      expect(processes.stop).toHaveBeenCalledTimes(stop ? 1 : 0);
      if (stop) await manager.wait(base.spec.id, { until: { type: "no-remaining" } });
      else expect(await manager.get(base.spec.id)).toMatchObject({ remainingProcesses: 1 });
      await manager.close();
    },
  );

  test("whose end could not be looked at has ended all the same", async () => {
    const ports = new FakePorts();
    const manager = await ports.open();
    const { id } = await manager.start({ command: "x" });
    const fake = ports.job(id);
    fake.process.remaining.mockRejectedValue(new Error("EIO"));
    fake.end(3);
    expect(await manager.wait(id)).toMatchObject({ status: "failed", exitCode: 3 });
  });
});
