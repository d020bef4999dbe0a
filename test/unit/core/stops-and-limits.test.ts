import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import type { JobManager } from "../../../src/core/job-manager.js";
import type { StartOptions } from "../../../src/contract/procman.js";
import { eventually } from "../../helpers/eventually.js";
import { MemoryMachine } from "../../helpers/memory-ports.js";

const machineOf = () => new MemoryMachine(async () => {});

async function open(machine: MemoryMachine): Promise<JobManager> {
  const manager = await machine.open({ pollIntervalMs: 60_000 });
  onTestFinished(() => manager.close());
  return manager;
}

async function startJob(manager: JobManager, options: Partial<StartOptions> = {}) {
  const { id } = await manager.start({ command: "x", ...options });
  return id;
}

/** What has to be so after a number of turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn += 1) await new Promise(setImmediate);
}

describe("a command that ends by itself", () => {
  test.each([0, 3])(
    "with %i as the cancel is being recorded is not made a cancelled one",
    async (exitCode) => {
      const machine = machineOf();
      const manager = await open(machine);
      const id = await startJob(manager);
      machine.onWritten = ({ stop }) => {
        if (stop) machine.exit(id, exitCode);
      };
      await expect(manager.cancel(id)).rejects.toMatchObject({ reason: "JOB_NOT_RUNNING" });
      const status = exitCode === 0 ? "completed" : "failed";
      expect(await manager.get(id)).toMatchObject({ status, exitCode });
      // Nor by the next server.
      expect(machine.recordOf(id)).toMatchObject({ state: { status, exitCode } });
      expect(machine.recordOf(id)).not.toHaveProperty("stop");
    },
  );

  test("before the cancel was asked for, unseen, leaves nothing to cancel", async () => {
    const machine = machineOf();
    const manager = await open(machine);
    const id = await startJob(manager);
    const stops: unknown[] = [];
    machine.onWritten = ({ stop }) => stops.push(...(stop ? [stop] : []));
    machine.tellsOfExits = false;
    machine.exit(id, 0);
    await expect(manager.cancel(id)).rejects.toMatchObject({ reason: "JOB_NOT_RUNNING" });
    expect((await manager.get(id)).status).toBe("completed");
    expect(stops).toEqual([]);
  });

  test("unseen can be removed at once", async () => {
    const machine = machineOf();
    machine.tellsOfExits = false;
    const manager = await open(machine);
    const id = await startJob(manager);
    machine.exit(id, 0);
    await manager.remove(id);
    expect(machine.recordOf(id)).toBeUndefined();
    expect((await manager.list()).jobs).toEqual([]);
  });

  test("as its time limit is being recorded has not timed out", async () => {
    const machine = machineOf();
    const manager = await open(machine);
    machine.onWritten = ({ spec, stop }) => {
      if (stop) machine.exit(spec.id, 0);
    };
    const id = await startJob(manager, { timeoutMs: 1 });
    const job = await manager.wait(id);
    expect(job.status).toBe("completed");
    expect(machine.recordOf(id)).not.toHaveProperty("stop");
  });
});

describe("of two reasons to end a command the first counts", () => {
  /** A job that is being stopped for one reason, and does not end by that. */
  async function stopping(options: Partial<StartOptions>) {
    const machine = machineOf();
    const manager = await open(machine);
    machine.isStubborn = true;
    const id = await startJob(manager, options);
    const stopsAre = (count: number) =>
      eventually(`${count} stops`, () => machine.gracesMs.length === count);
    return { machine, manager, id, stopsAre, first: () => machine.recordOf(id)?.stop };
  }

  test("a time limit that passes after a Cancel", async () => {
    const { machine, manager, id, stopsAre, first } = await stopping({ timeoutMs: 50 });
    const cancelled = manager.cancel(id, { gracePeriodMs: 60_000 });
    await stopsAre(1);
    const stop = first();
    expect(stop).toMatchObject({ kind: "cancel", gracePeriodMs: 60_000 });
    await stopsAre(2);
    machine.exit(id, 143);
    expect(await cancelled).toMatchObject({ status: "cancelled" });
    expect(first()).toEqual(stop);
  });

  test("a Cancel after the time limit has passed", async () => {
    const { machine, manager, id, stopsAre, first } = await stopping({ timeoutMs: 1 });
    await stopsAre(1);
    const stop = first();
    expect(stop).toMatchObject({ kind: "timeout" });
    const cancelled = manager.cancel(id, { gracePeriodMs: 0 });
    await stopsAre(2);
    machine.exit(id, 143);
    expect(await cancelled).toMatchObject({ status: "failed", error: "timed out after 1 ms" });
    expect(first()).toEqual(stop);
  });

  test("a second Cancel: what is on record stays, and its grace is the engine's to weigh", async () => {
    const { machine, manager, id, stopsAre, first } = await stopping({});
    const calls = [manager.cancel(id, { gracePeriodMs: 60_000 })];
    await stopsAre(1);
    const stop = first();
    calls.push(manager.cancel(id, { gracePeriodMs: 7 }));
    await stopsAre(2);
    expect(machine.gracesMs).toEqual([60_000, 7]);
    machine.exit(id, 0);
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    expect(statuses).toEqual(["cancelled", "cancelled"]);
    expect(first()).toEqual(stop);
  });

  test("also where the second one comes after a restart", async () => {
    const { machine, manager, id, stopsAre, first } = await stopping({});
    const cancelled = manager.cancel(id, { gracePeriodMs: 60_000 });
    await stopsAre(1);
    const stop = first();
    const refused = expect(cancelled).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    await manager.close();
    await refused;
    const next = await open(machine);
    // The next server carries it on, with the grace on record.
    await stopsAre(2);
    expect(machine.gracesMs).toEqual([60_000, 60_000]);
    const again = next.cancel(id, { gracePeriodMs: 7 });
    await stopsAre(3);
    machine.exit(id, 143);
    expect((await again).status).toBe("cancelled");
    expect(first()).toEqual(stop);
  });
});

describe("a time limit", () => {
  test("that was nearly used up before the restart has only the rest of it", async () => {
    const machine = machineOf();
    const first = await machine.open({ pollIntervalMs: 60_000 });
    const id = await startJob(first, { timeoutMs: 3_600_000 });
    await first.close();
    machine.ageMs = 3_600_000 - 20;
    const second = await open(machine);
    await eventually("the time limit", () => machine.recordOf(id)?.stop?.kind === "timeout");
    expect(await second.wait(id)).toMatchObject({ status: "failed", exitCode: 143 });
  });

  test("that was not used up before the restart still has the rest of it", async () => {
    const machine = machineOf();
    const first = await machine.open({ pollIntervalMs: 60_000 });
    const id = await startJob(first, { timeoutMs: 3_600_000 });
    await first.close();
    machine.ageMs = 3_500_000;
    const second = await open(machine);
    await turns(20);
    expect(machine.recordOf(id)).not.toHaveProperty("stop");
    expect((await second.get(id)).status).toBe("running");
  });

  test("passed while no server ran: the command is ended at once", async () => {
    const machine = machineOf();
    const first = await machine.open({ pollIntervalMs: 60_000 });
    const id = await startJob(first, { timeoutMs: 3_600_000 });
    await first.close();
    machine.ageMs = 2 * 3_600_000;
    const second = await open(machine);
    const job = await second.wait(id, { timeoutMs: 20_000 });
    expect(job).toMatchObject({ status: "failed", error: "timed out after 3600000 ms" });
  });
});

describe("times beyond what one timer can take", () => {
  const LONGEST_TIMER_MS = 2 ** 31 - 1;

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test.each([LONGEST_TIMER_MS, 2 ** 31, 2 ** 32 + 7, 3 * 2 ** 31])(
    "a job's limit of %i ms is kept to the millisecond",
    async (timeoutMs) => {
      const machine = machineOf();
      const manager = await open(machine);
      const id = await startJob(manager, { timeoutMs });
      await vi.advanceTimersByTimeAsync(timeoutMs - 1);
      expect(machine.recordOf(id)).not.toHaveProperty("stop");
      await vi.advanceTimersByTimeAsync(1);
      await turns(20);
      const error = `timed out after ${timeoutMs} ms`;
      expect(await manager.get(id)).toMatchObject({ status: "failed", error });
    },
  );

  test("a Wait of that long does not return before", async () => {
    const machine = machineOf();
    const manager = await open(machine);
    const id = await startJob(manager);
    const timeoutMs = 2 ** 32 + 7;
    let isOver = false;
    const waiting = manager.wait(id, { timeoutMs }).then((job) => {
      isOver = true;
      return job;
    });
    await vi.advanceTimersByTimeAsync(timeoutMs - 1);
    await turns(20);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect((await waiting).status).toBe("running");
  });
});
