import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import {
  AttachRequestSchema,
  AttachResponseSchema,
  CancelRequestSchema,
  ChunkSchema,
  CleanupRequestSchema,
  Containment,
  GetRequestSchema,
  JobSchema,
  LineSchema,
  ListRequestSchema,
  ResizeWindowRequestSchema,
  SendInputRequestSchema,
  StartRequestSchema,
  Terminator,
  WaitRequestSchema,
  WaitResponseSchema,
  WatchJobsRequestSchema,
  WatchJobsResponseSchema,
  WatchRequestSchema,
  WatchResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import {
  decodeCancel,
  decodeCleanup,
  decodeGet,
  decodeResizeWindow,
  decodeSendInput,
  encodeCancel,
  encodeCleanup,
  encodeGet,
  encodeResizeWindow,
  encodeSendInput,
} from "../../../src/wire/control.js";
import { decodeJob, encodeJob } from "../../../src/wire/job.js";
import {
  decodeJobsEvent,
  decodeList,
  decodeWatchJobs,
  encodeJobsEvent,
  encodeList,
  encodeWatchJobs,
} from "../../../src/wire/jobs.js";
import {
  decodeAttach,
  decodeAttachEvent,
  decodeWatch,
  decodeWatchEvent,
  encodeAttach,
  encodeAttachEvent,
  encodeWatch,
  encodeWatchEvent,
  HEARTBEAT,
} from "../../../src/wire/output.js";
import { decodeStart, encodeStart } from "../../../src/wire/start.js";
import { decodeWait, decodeWaited, encodeWait, encodeWaited } from "../../../src/wire/wait.js";
import type {
  AttachEvent,
  JobsEvent,
  WaitedJob,
  WaitUntil,
  WatchEvent,
} from "../../../src/contract/procman.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { Status, Stream } from "../../../src/contract/job.js";
import { endedJob, runningJob, T0 } from "../client/some-job.js";

/** As it arrives at the other end. */
function sent<Schema extends DescMessage>(schema: Schema, message: MessageInitShape<Schema>) {
  return fromBinary(schema, toBinary(schema, create(schema, message)));
}

describe("what the server encodes, the client decodes", () => {
  test.each<AttachEvent>([
    { type: "opened", job: runningJob() },
    { type: "chunk", stream: "stderr", offset: 2 ** 40, data: new Uint8Array([0, 255, 10]) },
    { type: "chunk", stream: "stdout", offset: 0, data: new Uint8Array([1]), seenTime: T0 },
    { type: "ended", job: endedJob() },
  ])("attach: $type", (event) => {
    expect(decodeAttachEvent(sent(AttachResponseSchema, encodeAttachEvent(event)))).toEqual(event);
  });

  const line = { type: "line", stream: "stdout", text: "50%", offset: 3, nextOffset: 7 } as const;
  test.each<WatchEvent>([
    { ...line, terminator: "lf" },
    { ...line, terminator: "crlf" },
    { ...line, terminator: "cr", progress: { percent: 50, unit: "", text: "50%", etaMs: 1500 } },
    { ...line, terminator: "none", seenTime: T0 },
  ])("watch: a line that ends with $terminator", (event) => {
    expect(decodeWatchEvent(sent(WatchResponseSchema, encodeWatchEvent(event)))).toEqual(event);
  });

  test.each<JobsEvent>([
    { type: "snapshot", jobs: [runningJob(), endedJob()], revision: "a.1" },
    { type: "snapshot", jobs: [], revision: "" },
    { type: "resumed", revision: "a.1" },
    { type: "changed", job: endedJob(), revision: "a.2" },
    { type: "removed", id: "job1", revision: "a.3" },
  ])("watchJobs: $type", (event) => {
    expect(decodeJobsEvent(sent(WatchJobsResponseSchema, encodeJobsEvent(event)))).toEqual(event);
  });

  const foundLine = {
    stream: "stderr",
    text: "> ",
    offset: 3,
    nextOffset: 5,
    terminator: "none",
  } as const;
  test.each<WaitedJob>([
    runningJob(),
    endedJob(),
    { ...runningJob(), outcome: { type: "line", line: foundLine } },
    { ...runningJob(), outcome: { type: "port", port: 65_535 } },
    {
      ...endedJob(),
      outcome: { type: "searched", stdoutOffset: 2 ** 40, stderrOffset: 0 },
    },
  ])("wait: $status, $outcome.type", (waited) => {
    expect(decodeWaited(sent(WaitResponseSchema, encodeWaited(waited)))).toEqual(waited);
  });

  test("a job of a server that does not say what holds it together is held by a session", () => {
    const untold = encodeJob(runningJob({ containment: "cgroup" }));
    untold.containment = Containment.UNSPECIFIED;
    expect(decodeJob(sent(JobSchema, untold))).toMatchObject({ containment: "session" });
  });

  test("an id or a signal that a terminal would act on is the server's fault", () => {
    const fault = expect.objectContaining({ reason: "INTERNAL" });
    const bad = "\u001b]0;x\u0007";
    expect(() => decodeJob(sent(JobSchema, { ...encodeJob(runningJob()), id: bad }))).toThrow(
      fault,
    );
    const ended = { ...encodeJob(endedJob()), signal: bad };
    expect(() => decodeJob(sent(JobSchema, ended))).toThrow(fault);
  });

  test("output of a stream, or with an end, that is not known is the server's fault", () => {
    const faultOf = (what: string) =>
      expect.objectContaining({ reason: "INTERNAL", message: `the server sent ${what}` });
    const chunk = create(ChunkSchema);
    const withChunk = create(AttachResponseSchema, { event: { case: "chunk", value: chunk } });
    expect(() => decodeAttachEvent(withChunk)).toThrow(faultOf("output of the unknown stream 0"));
    const line = create(LineSchema, { terminator: Terminator.LF });
    const withLine = create(WatchResponseSchema, { event: { case: "line", value: line } });
    expect(() => decodeWatchEvent(withLine)).toThrow(faultOf("output of the unknown stream 0"));
    line.terminator = Terminator.UNSPECIFIED;
    expect(() => decodeWatchEvent(withLine)).toThrow(
      faultOf("a line with the unknown terminator 0"),
    );
  });

  test("heartbeats, and events of a later version, are no events", () => {
    expect(decodeAttachEvent(sent(AttachResponseSchema, HEARTBEAT))).toBeUndefined();
    expect(decodeWatchEvent(sent(WatchResponseSchema, HEARTBEAT))).toBeUndefined();
    expect(decodeJobsEvent(sent(WatchJobsResponseSchema, HEARTBEAT))).toBeUndefined();
    expect(decodeAttachEvent(sent(AttachResponseSchema, {}))).toBeUndefined();
    expect(decodeWatchEvent(sent(WatchResponseSchema, {}))).toBeUndefined();
    expect(decodeJobsEvent(sent(WatchJobsResponseSchema, {}))).toBeUndefined();
    expect(decodeWaited(sent(WaitResponseSchema, { job: encodeJob(runningJob()) }))).toEqual(
      runningJob(),
    );
  });

  test("a job that cannot be is the server's fault, and is not made up for", () => {
    const { exitCode: _, ...endless } = encodeJob(endedJob());
    expect(() => decodeJob(sent(JobSchema, endless))).toThrow("job1 in status completed without");
    const newer = Object.assign(encodeJob(runningJob()), { status: 99 });
    expect(() => decodeJob(sent(JobSchema, newer))).toThrow("status 99");
    expect(() => decodeJob(undefined)).toThrow(ProcmanError);
  });
});

describe("what the client encodes, the server decodes", () => {
  test("start", () => {
    const request = {
      command: "make",
      args: ["-j8", ""],
      env: { A: "1", B: "" },
      clearEnv: true,
      workDir: "/tmp",
      labels: { team: "x" },
      requestId: "once",
      mergeOutput: true,
      output: "pipe" as const,
      timeoutMs: 1500,
      logLimitBytes: 2 ** 40,
      pty: true,
      windowSize: { rows: 50, columns: 132 },
      stdin: true,
      umask: 0,
      nice: 0,
      softLimits: { nofile: 0, core: -1 },
    };
    expect(decodeStart(sent(StartRequestSchema, encodeStart(request)))).toEqual(request);
    expect(decodeStart(sent(StartRequestSchema, encodeStart({ command: "x" })))).toEqual({
      command: "x",
      args: [],
      env: {},
      clearEnv: false,
      labels: {},
      mergeOutput: false,
      pty: false,
      stdin: false,
    });
  });

  test("sendInput and resizeWindow", () => {
    const options = { sender: "me", offset: 2 ** 50, data: Uint8Array.of(0, 255), close: true };
    const input = sent(SendInputRequestSchema, encodeSendInput("job1", options));
    expect(decodeSendInput(input)).toEqual({ id: "job1", options });
    const nothing = sent(SendInputRequestSchema, encodeSendInput("job1", {}));
    expect(decodeSendInput(nothing)).toStrictEqual({
      id: "job1",
      options: { sender: "", data: new Uint8Array(), close: false },
    });
    const size = { rows: 50, columns: 132 };
    const resize = sent(ResizeWindowRequestSchema, encodeResizeWindow("job1", size));
    expect(decodeResizeWindow(resize)).toEqual({ id: "job1", size });
  });

  test("what is not asked for arrives as its default", () => {
    expect(decodeGet(sent(GetRequestSchema, encodeGet("job1", {})))).toEqual({
      id: "job1",
      options: { includeEnv: false },
    });
    expect(decodeList(sent(ListRequestSchema, encodeList({})))).toEqual({
      statuses: [],
      labels: {},
      pageSize: 0,
      pageToken: "",
      includeUsage: false,
    });
    expect(decodeWatchJobs(sent(WatchJobsRequestSchema, encodeWatchJobs({})))).toEqual({
      statuses: [],
      labels: {},
      sinceRevision: "",
      includeUsage: false,
    });
    expect(decodeWatch(sent(WatchRequestSchema, encodeWatch("job1", {})))).toStrictEqual({
      id: "job1",
      options: {
        streams: [],
        stdoutOffset: 0,
        stderrOffset: 0,
        writtenTimes: false,
        pattern: "",
        invert: false,
      },
    });
  });

  test("list", () => {
    const request = {
      statuses: ["failed", "orphaned"] as const,
      labels: { a: "b" },
      pageSize: 7,
      pageToken: "t",
      includeUsage: true,
    };
    expect(decodeList(sent(ListRequestSchema, encodeList(request)))).toEqual(request);
  });

  test.each([
    {
      statuses: ["running"] as const,
      labels: { a: "b" },
      sinceRevision: "a.1",
      includeUsage: true,
    },
    { statuses: [], labels: {}, sinceRevision: "", includeUsage: false },
  ])("watchJobs %j", (request) => {
    const sentRequest = sent(WatchJobsRequestSchema, encodeWatchJobs(request));
    expect(decodeWatchJobs(sentRequest)).toEqual(request);
  });

  test.each([
    [{}, { streams: [], follow: false, stdoutOffset: 0, stderrOffset: 0 }],
    [
      { streams: ["stderr"], follow: true, tailLines: 0, stdoutOffset: 2 ** 50, stderrOffset: 3 },
      { streams: ["stderr"], follow: true, tailLines: 0, stdoutOffset: 2 ** 50, stderrOffset: 3 },
    ],
    [
      { tailLines: Number.POSITIVE_INFINITY },
      { streams: [], follow: false, tailLines: 2 ** 31 - 1, stdoutOffset: 0, stderrOffset: 0 },
    ],
  ] as const)("attach %j", (options, expected) => {
    const request = sent(AttachRequestSchema, encodeAttach("job1", options));
    const writtenTimes = false;
    expect(decodeAttach(request)).toEqual({ id: "job1", options: { ...expected, writtenTimes } });
  });

  test("a time is one from the years 1 to 9999, in whole milliseconds", () => {
    const request = create(AttachRequestSchema, { id: "job1" });
    const decoded = (seconds: bigint, nanos: number) =>
      decodeAttach({ ...request, sinceTime: create(TimestampSchema, { seconds, nanos }) }).options;
    expect(decoded(1n, 2_999_999).sinceTime).toEqual(new Date(1002));
    expect(decoded(-62_135_596_800n, 0).sinceTime).toEqual(new Date("0001-01-01T00:00:00Z"));
    expect(decoded(253_402_300_799n, 0).sinceTime?.getUTCFullYear()).toBe(9999);
    for (const seconds of [-62_135_596_801n, 253_402_300_800n, 2n ** 62n]) {
      expect(() => decoded(seconds, 0)).toThrow("since_time: must be a time from the years");
    }
    for (const nanos of [-1, 1_000_000_000]) {
      expect(() => decoded(1n, nanos)).toThrow("since_time: nanos must be from 0 to 999999999");
    }
    for (const untilTime of [new Date(Number.NaN), new Date(8.64e15)]) {
      expect(() => encodeAttach("job1", { untilTime })).toThrow("until_time: is no time from");
    }
  });

  test.each<[WaitUntil, WaitUntil]>([
    [
      { type: "output", pattern: "ready" },
      { type: "output", pattern: "ready", streams: [], stdoutOffset: 0, stderrOffset: 0 },
    ],
    [
      { type: "output", pattern: "", streams: ["stdout"], stdoutOffset: 5, stderrOffset: 2 ** 40 },
      { type: "output", pattern: "", streams: ["stdout"], stdoutOffset: 5, stderrOffset: 2 ** 40 },
    ],
    [
      { type: "port", port: 0 },
      { type: "port", port: 0 },
    ],
    [
      { type: "port", port: 99_999 },
      { type: "port", port: 99_999 },
    ],
  ])("wait until %j", (until, arrived) => {
    const request = sent(WaitRequestSchema, encodeWait("i", { until, timeoutMs: 1 }));
    expect(decodeWait(request)).toEqual({
      id: "i",
      options: { timeoutMs: 1, until: arrived },
    });
  });

  test.each<[string, WaitUntil]>([
    ["port", { type: "port", port: -1 }],
    ["output.stdout_offset", { type: "output", pattern: "x", stdoutOffset: -1 }],
    ["output.stderr_offset", { type: "output", pattern: "x", stderrOffset: -1 }],
  ])("the server refuses a wrong %s", (field, until) => {
    const request = sent(WaitRequestSchema, encodeWait("i", { until }));
    expect(() => decodeWait(request)).toThrow(`${field}: must not be negative`);
  });

  test.each([
    [undefined, undefined],
    [0, 0],
    [0.25, 1],
    [1, 1],
    [999, 999],
    [1000.5, 1001],
    [2 ** 45 + 1, 2 ** 45 + 1],
    [Number.POSITIVE_INFINITY, 315_576_000_000_000],
  ])("a duration of %s ms arrives as %s ms", (ms, arrived) => {
    const given = (key: string) => (ms === undefined ? {} : { [key]: ms });
    const expected = (key: string) => (ms === undefined ? {} : { [key]: arrived });
    const wait = sent(WaitRequestSchema, encodeWait("i", given("timeoutMs")));
    expect(decodeWait(wait).options).toEqual(expected("timeoutMs"));
    const cancel = sent(CancelRequestSchema, encodeCancel("i", given("gracePeriodMs")));
    expect(decodeCancel(cancel).options).toEqual(expected("gracePeriodMs"));
    const cleanup = sent(CleanupRequestSchema, encodeCleanup(given("olderThanMs")));
    expect(decodeCleanup(cleanup)).toEqual(expected("olderThanMs"));
  });

  test.each([-1, -0.5, Number.NEGATIVE_INFINITY])("the server refuses %s ms", (timeoutMs) => {
    const request = sent(WaitRequestSchema, encodeWait("i", { timeoutMs }));
    expect(() => decodeWait(request)).toThrow("timeout: must not be negative");
  });

  test.each([
    ["timeout", () => encodeStart({ command: "x", timeoutMs: Number.NaN })],
    ["log_limit_bytes", () => encodeStart({ command: "x", logLimitBytes: 1.5 })],
    ["umask", () => encodeStart({ command: "x", umask: -1 })],
    ["nice", () => encodeStart({ command: "x", nice: 0.5 })],
    ['soft_limits["cpu"]', () => encodeStart({ command: "x", softLimits: { cpu: 0.5 } })],
    ["stdout_offset", () => encodeAttach("i", { stdoutOffset: 1.5 })],
    ["stderr_offset", () => encodeAttach("i", { stderrOffset: Number.NaN })],
    ["tail_lines", () => encodeAttach("i", { tailLines: 0.5 })],
    ["tail_lines", () => encodeAttach("i", { tailLines: Number.NaN })],
    ["port", () => encodeWait("i", { until: { type: "port", port: 0.5 } })],
    [
      "output.stdout_offset",
      () => encodeWait("i", { until: { type: "output", pattern: "x", stdoutOffset: 0.5 } }),
    ],
    [
      "output.streams",
      () => encodeWait("i", { until: { type: "output", pattern: "x", streams: ["x" as Stream] } }),
    ],
    ["log_limit_bytes", () => encodeStart({ command: "x", logLimitBytes: 2 ** 53 })],
    ["tail_lines", () => encodeAttach("i", { tailLines: Number.NEGATIVE_INFINITY })],
    ["page_size", () => encodeList({ pageSize: 2 ** 31 })],
    ["page_size", () => encodeList({ pageSize: -(2 ** 31) })],
    ["offset", () => encodeSendInput("i", { offset: 0.5 })],
    ["window_size", () => encodeResizeWindow("i", { rows: 0.5, columns: 1 })],
    ["window_size", () => encodeResizeWindow("i", { rows: 1, columns: 0.5 })],
    ["grace_period", () => encodeCancel("i", { gracePeriodMs: Number.NaN })],
    ["older_than", () => encodeCleanup({ olderThanMs: Number.NaN })],
    ["statuses", () => encodeList({ statuses: ["done" as Status] })],
    ["statuses", () => encodeList({ statuses: ["toString" as Status] })],
  ])("what the wire cannot carry is refused: %s", (field, encode) => {
    expect(encode).toThrow(
      expect.objectContaining({
        reason: "INVALID_ARGUMENT",
        violations: [expect.objectContaining({ field })],
      }),
    );
  });
});
