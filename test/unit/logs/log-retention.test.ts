import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { silentLog } from "../../../src/contract/log.js";
import { JobDir } from "../../../src/core/job-dir.js";
import {
  LogRetention,
  type LogRetentionOptions,
} from "../../../src/logs/retention/log-retention.js";
import { deferred } from "../../helpers/deferred.js";
import { eventLoopTurn } from "./event-loop-turn.js";
import { JobLogs } from "./job-logs.js";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

function retention(options: Partial<LogRetentionOptions> = {}): LogRetention {
  return new LogRetention({
    firstOffsets: { read: async () => ({ stdout: 0, stderr: 0 }), write: async () => {} },
    punch: async () => true,
    pollIntervalMs: 1000,
    watch: () => undefined,
    log: silentLog,
    ...options,
  });
}

function running(): AbortSignal {
  return new AbortController().signal;
}

const onLateTrim = (): void => {};

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

test.each([
  ["one job's logs are looked at again after a while", 1, MIB, 1000, 25],
  ["those of many jobs less often", 200, MIB, 1000, 100],
  ["those with much room only when a disk could have filled it", 1, GIB / 2, 1000, 151],
  ["but all of them at the poll interval", 200, 8 * GIB, 50, 50],
])("%s", async (_, jobs, limitBytes, pollIntervalMs, delayMs) => {
  const setTimeout = vi.spyOn(globalThis, "setTimeout");
  const kept = retention({ pollIntervalMs });
  for (let job = 0; job < jobs; job += 1) {
    kept.retain(new JobDir(`/none/${job}`), limitBytes, running(), onLateTrim);
  }
  while (setTimeout.mock.calls.length < jobs) await eventLoopTurn();
  expect(Math.ceil(setTimeout.mock.calls.at(-1)?.[1] ?? 0)).toBe(delayMs);
  await kept.close();
  expect(vi.getTimerCount()).toBe(0);
});

test("jobs that have ended are looked at first one after another, others at once", async () => {
  const reads: string[] = [];
  const first = deferred();
  const kept = retention({
    firstOffsets: {
      read: async ({ jobId }) => {
        reads.push(jobId);
        if (jobId === "ended-1") await first.promise;
        return { stdout: 0, stderr: 0 };
      },
      write: async () => {},
    },
  });
  kept.retain(new JobDir("/none/ended-1"), MIB, AbortSignal.abort(), onLateTrim);
  kept.retain(new JobDir("/none/ended-2"), MIB, AbortSignal.abort(), onLateTrim);
  kept.retain(new JobDir("/none/running"), MIB, running(), onLateTrim);
  await vi.advanceTimersByTimeAsync(0);
  expect(reads.sort()).toEqual(["ended-1", "running"]);
  let isClosed = false;
  const closing = kept.close().then(() => {
    isClosed = true;
  });
  await vi.advanceTimersByTimeAsync(0);
  expect(isClosed).toBe(false);
  first.resolve();
  await closing;
  // It was closed before its turn came.
  expect(reads).toEqual(["ended-1", "running"]);
});

test("that holes cannot be made is told once, also where several find out at the same time", async () => {
  const warnings: string[] = [];
  const punching = deferred();
  let punches = 0;
  const kept = retention({
    log: { ...silentLog, warn: (_, message) => void warnings.push(message) },
    punch: async () => {
      punches += 1;
      await punching.promise;
      return false;
    },
  });
  const jobs = [1, 2].map(() => JobLogs.started());
  for (const logs of jobs) {
    logs.append("stdout", "0123456789\n".repeat(MIB / 5));
    kept.retain(logs.dir, MIB, running(), onLateTrim);
  }
  vi.useRealTimers();
  await vi.waitFor(() => expect(punches).toBe(2));
  punching.resolve();
  await kept.close();
  expect(warnings).toHaveLength(1);
});

test("of a job that is no more, no error is told", async () => {
  const errors: object[] = [];
  const writing = deferred();
  let writes = 0;
  const kept = retention({
    log: { ...silentLog, error: (fields) => void errors.push(fields) },
    firstOffsets: {
      read: async () => ({ stdout: 0, stderr: 0 }),
      write: () => {
        writes += 1;
        return writing.promise;
      },
    },
  });
  const logs = [1, 2].map(() => JobLogs.started());
  const [gone] = logs.map(({ dir }, job) => {
    logs[job]?.append("stdout", "0123456789\n".repeat(MIB / 5));
    return kept.retain(dir, MIB, running(), onLateTrim);
  });
  vi.useRealTimers();
  await vi.waitFor(() => expect(writes).toBe(2));
  const closing = gone?.close();
  writing.reject(new Error("no room"));
  await closing;
  await vi.waitFor(() => expect(errors).toHaveLength(1));
  expect(errors).toMatchObject([{ jobId: logs[1]?.dir.jobId, err: { message: "no room" } }]);
  await kept.close();
});

test("nothing is begun after close", async () => {
  const kept = retention();
  await kept.close();
  const retained = kept.retain(new JobDir("/none/job"), MIB, running(), onLateTrim);
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(await retained.starts()).toMatchObject({ stdout: { firstOffset: 0 } });
});
