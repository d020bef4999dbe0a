import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { jobNotFound, ProcmanError } from "../../../src/contract/errors.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { SavedRecord } from "../../../src/core/saved-record.js";
import { someRecord } from "../../helpers/records.js";
import { FakePorts, STARTED } from "./fake-ports.js";

const before = someRecord();
const next = someRecord({ status: "running", ...STARTED });
const later = someRecord({ status: "running", ...STARTED, pid: 43 });

function savedRecord() {
  const { store, log, records } = new FakePorts();
  const exclusively = vi.fn(async (write: () => Promise<void>) => write());
  const options = { store, log, pollIntervalMs: 500, exclusively };
  const record = new SavedRecord(before, options);
  const onDisk = (): JobRecord | undefined => records.get("job1");
  return { record, store, log, exclusively, onDisk };
}

const full = new ProcmanError("DISK_FULL", "no room");
const gone = jobNotFound("job1");

beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
afterEach(() => void vi.useRealTimers());

describe("an intent", () => {
  test("counts once it is on disk", async () => {
    const { record, onDisk } = savedRecord();
    expect(record.value).toBe(before);
    await record.write(next);
    expect([record.value, onDisk()]).toEqual([next, next]);
  });

  test("that cannot be written is none", async () => {
    const { record, store } = savedRecord();
    store.write.mockRejectedValueOnce(full);
    await expect(record.write(next)).rejects.toBe(full);
    expect(record.value).toBe(before);
  });

  test("needs no file where the job's directory was deleted", async () => {
    const { record, store } = savedRecord();
    store.write.mockRejectedValueOnce(gone);
    await record.write(next);
    expect(record.value).toBe(next);
  });
});

describe("what the job has become", () => {
  test("is on disk", async () => {
    const { record, log, onDisk } = savedRecord();
    await record.replace(next);
    expect([record.value, onDisk()]).toEqual([next, next]);
    expect(log.error).not.toHaveBeenCalled();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is true also while it cannot be written, and is written as soon as it can", async () => {
    const { record, store, log, exclusively, onDisk } = savedRecord();
    store.write.mockRejectedValueOnce(full).mockRejectedValueOnce(full).mockRejectedValueOnce(full);
    await record.replace(next);
    expect([record.value, onDisk()]).toEqual([next, undefined]);
    await record.replace(later);
    expect(vi.getTimerCount()).toBe(1);
    await vi.advanceTimersByTimeAsync(500);
    expect(onDisk()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(500);
    expect(onDisk()).toBe(later);
    expect(exclusively).toHaveBeenCalledTimes(2);
    expect(vi.getTimerCount()).toBe(0);
    // That is said once, however often it was tried.
    expect(log.error.mock.calls).toEqual([
      [{ jobId: "job1", err: full }, "a job's new state could not be saved"],
    ]);
    expect(log.info.mock.calls).toEqual([
      [{ jobId: "job1" }, "a job's state could be saved again"],
    ]);
    await record.replace(next);
    expect(log.info).toHaveBeenCalledTimes(1);
    store.write.mockRejectedValueOnce(full);
    await record.replace(later);
    expect(log.error).toHaveBeenCalledTimes(2);
  });

  test("is written in a while where that is enough, with what it has become by then", async () => {
    const { record, store, exclusively, onDisk } = savedRecord();
    record.replaceSoon(next);
    expect([record.value, onDisk()]).toEqual([next, undefined]);
    await vi.advanceTimersByTimeAsync(60);
    record.replaceSoon(later);
    await vi.advanceTimersByTimeAsync(60);
    expect(onDisk()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(60);
    expect(onDisk()).toBe(later);
    expect(exclusively).toHaveBeenCalledTimes(1);
    expect(store.write).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test.each(["write", "replace"] as const)("is not written once more after a %s", async (how) => {
    const { record, store } = savedRecord();
    record.replaceSoon(next);
    await record[how](later);
    expect(vi.getTimerCount()).toBe(0);
    expect(store.write.mock.calls.map(([record]) => record)).toEqual([later]);
  });

  test("is not written where the job's directory was deleted", async () => {
    const { record, store } = savedRecord();
    store.write.mockRejectedValueOnce(gone);
    await record.replace(next);
    expect(record.value).toBe(next);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is not written after the end of it, also where that was queued", async () => {
    const { record, store, exclusively } = savedRecord();
    const queued: (() => Promise<void>)[] = [];
    exclusively.mockImplementation(async (write) => void queued.push(write));
    record.replaceSoon(next);
    await vi.advanceTimersByTimeAsync(100);
    record.replaceSoon(later);
    record.dispose();
    expect(vi.getTimerCount()).toBe(0);
    for (const write of queued) await write();
    expect(queued).toHaveLength(1);
    expect(store.write).not.toHaveBeenCalled();
  });

  test("is not tried again after the end of it", async () => {
    const { record, store } = savedRecord();
    store.write.mockImplementationOnce(async () => {
      record.dispose();
      throw full;
    });
    await record.replace(next);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("is no failure where nobody may write any more", async () => {
    const { record, store, exclusively } = savedRecord();
    exclusively.mockRejectedValue(new ProcmanError("SHUTTING_DOWN", "closing"));
    record.replaceSoon(next);
    await vi.advanceTimersByTimeAsync(100);
    expect(exclusively).toHaveBeenCalled();
    expect(store.write).not.toHaveBeenCalled();
  });
});
