import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { keepLease } from "../../../src/contract/keep-lease.js";
import type { JobManager } from "../../../src/core/job-manager.js";
import { Lease } from "../../../src/core/lease.js";
import { eventually } from "../../helpers/eventually.js";
import { MemoryMachine } from "../../helpers/memory-ports.js";

describe("a lease", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  /** One of 4 s, and how often it has expired. */
  function lease() {
    const expired = vi.fn();
    return { lease: new Lease(4000, expired), expired };
  }

  test("runs out when it is not renewed, once and no sooner", () => {
    const { lease: one, expired } = lease();
    expect(one.expireTime.getTime()).toBe(Date.now() + 4000);
    vi.advanceTimersByTime(3999);
    expect(one.hasExpired).toBe(false);
    vi.advanceTimersByTime(1);
    expect(one.hasExpired).toBe(true);
    one.renew(4000);
    vi.advanceTimersByTime(100_000);
    expect(expired).toHaveBeenCalledTimes(1);
  });

  test("begins anew where it is renewed, as long as is said", () => {
    const { lease: one, expired } = lease();
    vi.advanceTimersByTime(3900);
    one.renew(8000);
    expect(one.expireTime.getTime()).toBe(Date.now() + 8000);
    vi.advanceTimersByTime(7999);
    expect(expired).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(expired).toHaveBeenCalledTimes(1);
  });

  test("is over where it is disposed", () => {
    const { lease: one, expired } = lease();
    one.dispose();
    vi.advanceTimersByTime(10_000);
    expect(expired).not.toHaveBeenCalled();
  });
});

test("of a process that was stopped, no more than a quarter of a lease counts", async () => {
  let hasExpired = false;
  const lease = new Lease(400, () => {
    hasExpired = true;
  });
  // As a stopped process does, this one notices nothing meanwhile.
  const untilMs = performance.now() + 1000;
  while (performance.now() < untilMs);
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(hasExpired).toBe(false);
  await eventually("the end of the lease", () => hasExpired);
  lease.dispose();
});

async function open(machine: MemoryMachine): Promise<JobManager> {
  const manager = await machine.open({ pollIntervalMs: 60_000 });
  onTestFinished(() => manager.close());
  return manager;
}

const HOUR_MS = 3_600_000;

describe("a job with a lease", () => {
  const machineOf = () => new MemoryMachine(async () => {});

  test("is cancelled, with the reason, when that was not renewed", async () => {
    const machine = machineOf();
    const manager = await open(machine);
    const job = await manager.start({ command: "x", leaseMs: 20 });
    expect(job.leaseExpireTime).toBeInstanceOf(Date);
    const error = "its lease of 20 ms was not renewed";
    const ended = await manager.wait(job.id);
    expect(ended).toMatchObject({ status: "cancelled", error, leaseMs: 20 });
    expect(ended.leaseExpireTime).toBeUndefined();
    expect(machine.recordOf(job.id)?.stop).toMatchObject({ kind: "cancel", expiredLeaseMs: 20 });
    await expect(manager.renewLease(job.id)).rejects.toMatchObject({ reason: "JOB_NOT_RUNNING" });
  });

  test("goes on while it is renewed, which writes nothing", async () => {
    const machine = machineOf();
    const manager = await open(machine);
    const { id } = await manager.start({ command: "x", leaseMs: HOUR_MS });
    await eventually("the running record", () => machine.recordOf(id)?.state.status === "running");
    let writes = 0;
    machine.onWritten = () => {
      writes += 1;
    };
    const first = await manager.renewLease(id);
    const second = await manager.renewLease(id, { leaseMs: HOUR_MS });
    expect(second.leaseExpireTime?.getTime()).toBeGreaterThanOrEqual(
      first.leaseExpireTime?.getTime() ?? Number.NaN,
    );
    expect(writes).toBe(0);
    await manager.renewLease(id, { leaseMs: 2 * HOUR_MS });
    expect(machine.recordOf(id)).toMatchObject({ renewedLeaseMs: 2 * HOUR_MS });
    expect(await manager.get(id)).toMatchObject({ leaseMs: 2 * HOUR_MS });
    // As it was asked for, so that its Start can be repeated.
    expect(machine.recordOf(id)?.spec.leaseMs).toBe(HOUR_MS);
    await manager.cancel(id);
  });

  test("has it still after a restart, as long as it was at last", async () => {
    const manager = await open(machineOf());
    const { id } = await manager.start({ command: "x", leaseMs: HOUR_MS });
    await manager.renewLease(id, { leaseMs: 2 * HOUR_MS });
    const next = await manager.restart(id);
    expect(next).toMatchObject({ previousId: id, leaseMs: 2 * HOUR_MS });
    expect(next.leaseExpireTime).toBeInstanceOf(Date);
    await manager.cancel(next.id);
  });

  test("has a whole lease with the next manager", async () => {
    const machine = machineOf();
    const first = await machine.open({ pollIntervalMs: 60_000 });
    const { id, leaseExpireTime } = await first.start({ command: "x", leaseMs: HOUR_MS });
    await first.close();
    const next = await open(machine);
    const after = await next.get(id);
    expect(after.leaseExpireTime?.getTime()).toBeGreaterThanOrEqual(
      leaseExpireTime?.getTime() ?? Number.NaN,
    );
    await next.cancel(id);
  });

  test("that is being ended, or has none, cannot be renewed", async () => {
    const manager = await open(machineOf());
    const { id } = await manager.start({ command: "x" });
    await expect(manager.renewLease(id)).rejects.toMatchObject({ reason: "NO_LEASE", jobId: id });
    await manager.cancel(id);
    const leased = await manager.start({ command: "x", leaseMs: HOUR_MS });
    await expect(manager.renewLease(leased.id, { leaseMs: 0 })).rejects.toMatchObject({
      violations: [{ field: "lease" }],
    });
    const cancelling = manager.cancel(leased.id);
    await eventually("the refusal", () =>
      manager.renewLease(leased.id).then(
        () => false,
        ({ reason }: { reason: string }) => reason === "JOB_NOT_RUNNING",
      ),
    );
    await cancelling;
  });

  test("is kept by keepLease until that is aborted, or the job has ended", async () => {
    const manager = await open(machineOf());
    const { id } = await manager.start({ command: "x", leaseMs: 150 });
    const leaving = new AbortController();
    const keeping = keepLease(manager, id, leaving.signal);
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect((await manager.get(id)).status).toBe("running");
    leaving.abort();
    await keeping;
    expect((await manager.wait(id)).status).toBe("cancelled");
    await keepLease(manager, id, new AbortController().signal);
    const { id: other } = await manager.start({ command: "x" });
    const none = keepLease(manager, other, new AbortController().signal);
    await expect(none).rejects.toMatchObject({ reason: "NO_LEASE" });
    await manager.cancel(other);
  });
});
