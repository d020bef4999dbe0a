import { describe, expect, test } from "vitest";
import { advanceRecord, logLimitOf, pendingRecord } from "../../../src/core/transitions.js";
import type { Observation, StopIntent } from "../../../src/core/ports.js";
import { someRecord } from "../../helpers/records.js";

const now = new Date("2026-06-01T00:00:00Z");
const startedTime = new Date("2026-01-02T03:04:06Z");
const completedTime = new Date("2026-01-02T03:05:00Z");
const start = { pid: 42, startedTime, containment: "session" } as const;
const running = { status: "running", ...start } as const;
const alive: Observation = { kind: "alive", recorded: true, isEnding: false, ageMs: 5, ...start };
const exited = (exitCode: number, signal?: string): Observation => ({
  kind: "exited",
  ...start,
  exitCode,
  completedTime,
  ...(signal ? { signal } : {}),
});
const stop = (kind: StopIntent["kind"]): StopIntent => ({
  kind,
  requestedTime: now,
  gracePeriodMs: 1,
});

describe("what changes nothing", () => {
  test.each([
    [someRecord(running), alive],
    [someRecord(running), { kind: "starting" }],
    [someRecord(), { kind: "not-started" }],
    [someRecord({ status: "completed", ...start, completedTime, exitCode: 0 }), exited(7)],
    [
      someRecord({ status: "orphaned", error: "gone", completedTime }),
      { kind: "gone", reason: "again" },
    ],
  ] as const)("%o seen as %o", (record, seen) => {
    expect(advanceRecord(record, seen, now)).toBe(record);
  });
});

test("a pending job that is found alive is running", () => {
  expect(advanceRecord(someRecord(), alive, now).state).toEqual(running);
});

test("an exit keeps the start that was recorded and takes the end from the exit record", () => {
  const earlier = new Date("2026-01-02T03:04:05Z");
  const next = advanceRecord(someRecord({ ...running, startedTime: earlier }), exited(7), now);
  expect(next.state).toEqual({
    status: "failed",
    ...start,
    startedTime: earlier,
    exitCode: 7,
    completedTime,
  });
});

test("a job that was never seen running is followed to its end all the same", () => {
  expect(advanceRecord(someRecord(), exited(0), now).state).toMatchObject({
    status: "completed",
    pid: 42,
    startedTime,
  });
});

test("a cancel that was recorded wins whatever the exit code", () => {
  for (const exitCode of [0, 1, 143]) {
    const record = someRecord(running, { stop: stop("cancel") });
    expect(advanceRecord(record, exited(exitCode), now).state).toMatchObject({
      status: "cancelled",
      exitCode,
    });
  }
});

test("a timeout fails the job and says so", () => {
  const record = someRecord(running, { stop: stop("timeout"), spec: { timeoutMs: 1500 } });
  expect(advanceRecord(record, exited(143, "SIGTERM"), now).state).toMatchObject({
    status: "failed",
    signal: "SIGTERM",
    error: "timed out after 1500 ms",
  });
});

test("a command that could not be executed says why", () => {
  const seen: Observation = { ...exited(126), notExecuted: "x: Exec format error" } as Observation;
  expect(advanceRecord(someRecord(running), seen, now).state).toMatchObject({
    status: "failed",
    error: "the command could not be executed: x: Exec format error",
  });
});

describe("a job some process of which was ended for want of memory", () => {
  const record = someRecord(running, { spec: { limits: { memoryMaxBytes: 2 ** 20 } } });
  const starved = (exitCode: number, killedProcesses: number, isOwnLimit: boolean): Observation =>
    ({ ...exited(exitCode), outOfMemory: { killedProcesses, isOwnLimit } }) as Observation;

  test.each([
    [1, true, "a process of the job at its limit of 1048576 bytes"],
    [2, true, "2 processes of the job at its limit of 1048576 bytes"],
    [1, false, "a process of the job"],
  ])("says so where it failed: %i, its own limit %s", (killed, isOwnLimit, what) => {
    const { state } = advanceRecord(record, starved(137, killed, isOwnLimit), now);
    const error = `out of memory: the kernel ended ${what}`;
    expect(state).toMatchObject({ status: "failed", error, reason: "OUT_OF_MEMORY" });
  });

  test("has none of it where it coped, was stopped, or has no limit", () => {
    const coped = advanceRecord(record, starved(0, 1, true), now).state;
    expect(coped).toMatchObject({ status: "completed" });
    expect(coped).not.toHaveProperty("reason");
    const late = someRecord(running, { stop: stop("timeout"), spec: { timeoutMs: 5 } });
    const timedOut = advanceRecord(late, starved(137, 1, true), now).state;
    expect(timedOut).toMatchObject({ status: "failed", error: "timed out after 5 ms" });
    expect(timedOut).not.toHaveProperty("reason");
    const unlimited = advanceRecord(someRecord(running), starved(137, 1, true), now).state;
    expect(unlimited).toMatchObject({
      error: "out of memory: the kernel ended a process of the job",
      reason: "OUT_OF_MEMORY",
    });
  });
});

test("a job that is gone is orphaned with the reason, and has no exit code", () => {
  const { state } = advanceRecord(
    someRecord(running, { stop: stop("cancel") }),
    { kind: "gone", reason: "the machine was restarted" },
    now,
  );
  expect(state).toEqual({
    status: "orphaned",
    ...start,
    completedTime: now,
    error: "the machine was restarted",
  });
});

test("a running job whose process record is gone is orphaned", () => {
  expect(advanceRecord(someRecord(running), { kind: "not-started" }, now).state).toMatchObject({
    status: "orphaned",
    pid: 42,
  });
});

describe("what is known of the start and the end", () => {
  const exit = { kind: "exited", ...start, exitCode: 7, completedTime } as const;

  test("is all in the record, where a limit or a signal ended it too", () => {
    const seen: Observation = { ...exit, signal: "SIGTERM", cpuTimeMs: 0 };
    const facts = { ...start, exitCode: 7, completedTime, signal: "SIGTERM", cpuTimeMs: 0 };
    const cancelled = someRecord(running, { stop: stop("cancel") });
    expect(advanceRecord(cancelled, seen, now)).toEqual({
      ...cancelled,
      state: { status: "cancelled", ...facts },
    });
    const limited = someRecord(running, { stop: stop("timeout"), spec: { timeoutMs: 5 } });
    expect(advanceRecord(limited, seen, now)).toEqual({
      ...limited,
      state: { status: "failed", ...facts, error: "timed out after 5 ms" },
    });
  });

  test("and nothing else", () => {
    const cancelled = someRecord(running, { stop: stop("cancel") });
    const seen: Observation = { ...exit, notExecuted: "x: not found" };
    expect(advanceRecord(cancelled, seen, now).state).not.toHaveProperty("error");
    const { state } = advanceRecord(someRecord(running), exit, now);
    expect(Object.keys(state).toSorted()).toEqual([
      "completedTime",
      "containment",
      "exitCode",
      "pid",
      "startedTime",
      "status",
    ]);
    expect(advanceRecord(someRecord(), alive, now).state).toStrictEqual(running);
  });

  test("of a job that is gone is what was recorded, else what was seen, if anything", () => {
    const gone: Observation = { kind: "gone", reason: "why", started: { ...start, pid: 43 } };
    const orphaned = { status: "orphaned", error: "why", completedTime: now };
    expect(advanceRecord(someRecord(running), gone, now).state).toEqual({ ...orphaned, ...start });
    expect(advanceRecord(someRecord(), gone, now).state).toEqual({
      ...orphaned,
      ...start,
      pid: 43,
    });
    expect(advanceRecord(someRecord(), { kind: "gone", reason: "why" }, now).state).toStrictEqual(
      orphaned,
    );
  });

  test("of an exit by nobody knows whom is that of the job, where that is known to run", () => {
    const seen = { kind: "exited", exitCode: 7, completedTime } as const;
    expect(advanceRecord(someRecord(running), seen, now).state).toEqual({
      ...start,
      status: "failed",
      exitCode: 7,
      completedTime,
    });
    expect(advanceRecord(someRecord(), seen, now).state).toEqual({
      status: "orphaned",
      error: "it is not known which process it was",
      completedTime: now,
    });
  });

  test("a running job whose process record was deleted says so", () => {
    const { state } = advanceRecord(someRecord(running), { kind: "not-started" }, now);
    expect(state).toMatchObject({ error: "the record of its process was deleted or damaged" });
  });
});

describe("a new job's record", () => {
  const { spec } = someRecord();
  const limited = { ...spec, logLimitBytes: 70_000 };

  test("is pending, as of now", () => {
    const before = Date.now();
    const record = pendingRecord(spec, 7, undefined);
    expect(record).toStrictEqual({
      spec,
      sequence: 7,
      createdTime: record.createdTime,
      state: { status: "pending" },
    });
    expect(record.createdTime.getTime()).toBeGreaterThanOrEqual(before);
  });

  test("has the default log limit, unless it asks for one", () => {
    expect(logLimitOf(pendingRecord(spec, 7, undefined))).toBeUndefined();
    expect(logLimitOf(pendingRecord(spec, 7, 65_536))).toBe(65_536);
    expect(logLimitOf(pendingRecord(limited, 7, 65_536))).toBe(70_000);
    expect(pendingRecord(spec, 7, 65_536).defaultLogLimitBytes).toBe(65_536);
    expect(pendingRecord(limited, 7, 65_536)).not.toHaveProperty("defaultLogLimitBytes");
  });
});
