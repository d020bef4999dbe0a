import { create, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  AttachResponseSchema,
  JobSchema,
  Status,
  WatchJobsResponseSchema,
  WatchResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { TERMINATORS } from "../../../src/contract/procman.js";
import { type Job, STATUSES } from "../../../src/contract/job.js";
import { encodeJob, encodeProgress } from "../../../src/wire/job.js";
import { encodeJobsEvent } from "../../../src/wire/jobs.js";
import { encodeAttachEvent, encodeWatchEvent } from "../../../src/wire/output.js";

const spec = {
  id: "a",
  requestId: "r",
  command: "make",
  args: ["-k"],
  env: { A: "1" },
  clearEnv: true,
  workDir: "/x",
  labels: { l: "v" },
  mergeOutput: true,
  output: "pipe" as const,
  pty: false,
  stdin: false,
  stdoutBytes: 2 ** 40,
  stderrBytes: 1,
  stdoutFirstOffset: 0,
  stderrFirstOffset: 0,
  createdTime: new Date("2026-01-02T03:04:05.678Z"),
};
const started = {
  pid: 42,
  startedTime: new Date("2026-01-02T03:04:06.001Z"),
  containment: "cgroup",
} as const;

function jsonOf(job: Job) {
  const bytes = toBinary(JobSchema, encodeJob(job));
  return toJson(JobSchema, fromBinary(JobSchema, bytes));
}

test("a pending job has nothing that it cannot have yet", () => {
  expect(jsonOf({ ...spec, status: "pending" })).toEqual({
    id: "a",
    requestId: "r",
    command: "make",
    args: ["-k"],
    env: { A: "1" },
    clearEnv: true,
    workDir: "/x",
    labels: { l: "v" },
    mergeOutput: true,
    output: "OUTPUT_PIPE",
    status: "STATUS_PENDING",
    createdTime: "2026-01-02T03:04:05.678Z",
    stdoutBytes: String(2 ** 40),
    stderrBytes: "1",
  });
});

test("an ended job has all there is", () => {
  const job: Job = {
    ...spec,
    ...started,
    status: "failed",
    exitCode: 137,
    signal: "SIGKILL",
    error: "timeout",
    cpuTimeMs: 12.75,
    completedTime: new Date("2026-01-02T03:05:00Z"),
    timeoutMs: 1500,
    logLimitBytes: 2 ** 30,
    umask: 0o007,
    nice: 0,
    softLimits: { core: -1 },
    stdoutFirstOffset: 2 ** 40 - 2 ** 30,
    progress: { percent: 50, unit: "B", text: "50%", etaMs: 1000.3 },
  };
  expect(jsonOf(job)).toMatchObject({
    status: "STATUS_FAILED",
    pid: 42,
    containment: "CONTAINMENT_CGROUP",
    exitCode: 137,
    signal: "SIGKILL",
    error: "timeout",
    startedTime: "2026-01-02T03:04:06.001Z",
    completedTime: "2026-01-02T03:05:00Z",
    cpuTime: "0.013s",
    timeout: "1.500s",
    logLimitBytes: String(2 ** 30),
    umask: "007",
    nice: 0,
    softLimits: { core: "-1" },
    stdoutFirstOffset: String(2 ** 40 - 2 ** 30),
    progress: { percent: 50, unit: "B", text: "50%", eta: "1s" },
  });
});

test("exit code 0 is told, and an orphan has none", () => {
  const completedTime = new Date();
  const ended: Job = { ...spec, ...started, status: "completed", exitCode: 0, completedTime };
  expect(encodeJob(ended).exitCode).toBe(0);
  const orphan: Job = { ...spec, status: "orphaned", error: "reboot", completedTime };
  expect(encodeJob(orphan)).toMatchObject({ error: "reboot", pid: 0, status: Status.ORPHANED });
  expect(encodeJob(orphan).exitCode).toBeUndefined();
  expect(encodeJob(orphan).containment).toBe(0);
});

test("every status and terminator has its own name", () => {
  const names = STATUSES.map((status) => Status[encodeJob({ ...spec, status } as Job).status]);
  expect(names).toEqual(STATUSES.map((status) => status.toUpperCase()));
  const values = TERMINATORS.map((terminator) => {
    const line = { stream: "stdout", text: "", offset: 0, nextOffset: 0, terminator } as const;
    const { event } = create(WatchResponseSchema, encodeWatchEvent({ type: "line", ...line }));
    return event.case === "line" ? event.value.terminator : undefined;
  });
  expect(values).toEqual([1, 2, 3, 4]);
});

test("an estimate that the wire cannot hold is cut to what it can", () => {
  for (const etaMs of [Number.MAX_VALUE, Number.POSITIVE_INFINITY, -5]) {
    const progress = encodeProgress({ unit: "", text: "", etaMs });
    const seconds = etaMs < 0 ? 0n : 315_576_000_000n;
    expect(progress.eta).toMatchObject({ seconds, nanos: 0 });
  }
});

test("events", () => {
  const job: Job = { ...spec, status: "pending" };
  const data = Uint8Array.of(1, 2);
  const chunk = { type: "chunk", stream: "stderr", offset: 2 ** 40, data } as const;
  expect(create(AttachResponseSchema, encodeAttachEvent(chunk)).event).toMatchObject({
    case: "chunk",
    value: { stream: 2, offset: 2n ** 40n, data },
  });
  for (const type of ["opened", "ended"] as const) {
    const expected = { case: type, value: { job: { id: "a" } } };
    expect(create(AttachResponseSchema, encodeAttachEvent({ type, job })).event).toMatchObject(
      expected,
    );
    expect(create(WatchResponseSchema, encodeWatchEvent({ type, job })).event).toMatchObject(
      expected,
    );
  }
  const jobsEvents = [
    [
      { type: "snapshot", jobs: [job], revision: "r1" },
      { case: "snapshot", value: { jobs: [{ id: "a" }], revision: "r1" } },
    ],
    [
      { type: "resumed", revision: "r1" },
      { case: "resumed", value: { revision: "r1" } },
    ],
    [
      { type: "changed", job, revision: "r2" },
      { case: "changed", value: { job: { id: "a" }, revision: "r2" } },
    ],
    [
      { type: "removed", id: "b", revision: "r3" },
      { case: "removed", value: { id: "b", revision: "r3" } },
    ],
  ] as const;
  for (const [event, expected] of jobsEvents) {
    expect(create(WatchJobsResponseSchema, encodeJobsEvent(event)).event).toMatchObject(expected);
  }
});
