import { create } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import {
  AttachRequestSchema,
  CancelRequestSchema,
  CleanupRequestSchema,
  ListRequestSchema,
  Output,
  ResizeWindowRequestSchema,
  SendInputRequestSchema,
  StartRequestSchema,
  Status,
  Stream,
  WaitRequestSchema,
  WatchRequestSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import {
  decodeCancel,
  decodeCleanup,
  decodeResizeWindow,
  decodeSendInput,
} from "../../../src/wire/control.js";
import { decodeId } from "../../../src/wire/fields.js";
import { decodeList } from "../../../src/wire/jobs.js";
import { decodeAttach, decodeWatch } from "../../../src/wire/output.js";
import { decodeStart } from "../../../src/wire/start.js";
import { decodeWait } from "../../../src/wire/wait.js";

/** As of a client that is newer than this server. */
const UNKNOWN_STREAM = 9 as unknown as Stream;
const UNKNOWN_OUTPUT = 9 as unknown as Output;

/** The fields that are wrong, with why. */
function violationsOf(decode: () => unknown): Record<string, string> {
  try {
    decode();
  } catch (error) {
    if (!(error instanceof ProcmanError)) throw error;
    expect(error.reason).toBe("INVALID_ARGUMENT");
    return Object.fromEntries(
      error.violations.map(({ field, description }) => [field, description]),
    );
  }
  return {};
}

test("what is not set stays so", () => {
  expect(decodeStart(create(StartRequestSchema, { command: "true" }))).toEqual({
    command: "true",
    args: [],
    env: {},
    clearEnv: false,
    labels: {},
    mergeOutput: false,
    pty: false,
    stdin: false,
  });
  const id = "a";
  expect(decodeWait(create(WaitRequestSchema, { id }))).toEqual({ id, options: {} });
  expect(decodeCancel(create(CancelRequestSchema, { id }))).toEqual({ id, options: {} });
  expect(decodeCleanup(create(CleanupRequestSchema))).toEqual({});
  expect(decodeAttach(create(AttachRequestSchema, { id })).options).not.toHaveProperty("tailLines");
});

test("what is set arrives", () => {
  const start = create(StartRequestSchema, {
    command: "make",
    args: ["-k"],
    env: { A: "1" },
    clearEnv: true,
    workDir: "/x",
    labels: { l: "v" },
    requestId: "r",
    mergeOutput: true,
    output: Output.PIPE,
    timeout: { seconds: 2n },
    logLimitBytes: 100_000n,
    pty: true,
    windowSize: { rows: 50, columns: 132 },
    stdin: true,
    umask: "0027",
    nice: -5,
    softLimits: { nofile: 1024n, core: -1n },
  });
  expect(decodeStart(start)).toEqual({
    command: "make",
    args: ["-k"],
    env: { A: "1" },
    clearEnv: true,
    workDir: "/x",
    labels: { l: "v" },
    requestId: "r",
    mergeOutput: true,
    output: "pipe",
    timeoutMs: 2000,
    logLimitBytes: 100_000,
    pty: true,
    windowSize: { rows: 50, columns: 132 },
    stdin: true,
    umask: 0o027,
    nice: -5,
    softLimits: { nofile: 1024, core: -1 },
  });
  const attach = create(AttachRequestSchema, {
    id: "a",
    streams: [Stream.STDERR, Stream.STDERR],
    follow: true,
    tailLines: 0,
    stdoutOffset: 5n,
    stderrOffset: 2n ** 60n,
    writtenTimes: true,
  });
  expect(decodeAttach(attach)).toEqual({
    id: "a",
    options: {
      streams: ["stderr"],
      follow: true,
      tailLines: 0,
      stdoutOffset: 5,
      stderrOffset: 2 ** 60,
      writtenTimes: true,
    },
  });
  const list = create(ListRequestSchema, {
    statuses: [Status.RUNNING, Status.ORPHANED],
    labels: { l: "v" },
    pageSize: 7,
    pageToken: "t",
  });
  expect(decodeList(list)).toEqual({
    statuses: ["running", "orphaned"],
    labels: { l: "v" },
    pageSize: 7,
    pageToken: "t",
    includeUsage: false,
  });
  const input = create(SendInputRequestSchema, {
    id: "a",
    sender: "me",
    offset: 0n,
    data: Uint8Array.of(0, 255),
    close: true,
  });
  expect(decodeSendInput(input)).toEqual({
    id: "a",
    options: { sender: "me", offset: 0, data: Uint8Array.of(0, 255), close: true },
  });
  const size = create(ResizeWindowRequestSchema, { id: "a", windowSize: { rows: 1, columns: 2 } });
  expect(decodeResizeWindow(size)).toEqual({ id: "a", size: { rows: 1, columns: 2 } });
});

test.each([
  [0n, 0, 0],
  [0n, 1, 1],
  [0n, 999_999, 1],
  [0n, 1_000_001, 2],
  [1n, 999_999_999, 2000],
  [3n, 500_000_000, 3500],
  [315_576_000_000n, 0, 315_576_000_000_000],
])("a duration of %s s and %s ns is %s ms", (seconds, nanos, ms) => {
  const request = create(CancelRequestSchema, { id: "a", gracePeriod: { seconds, nanos } });
  expect(decodeCancel(request).options.gracePeriodMs).toBe(ms);
});

test.each([
  [-1n, 0, "must not be negative"],
  [0n, -1, "must not be negative"],
  [-1n, 5, "must not be negative"],
  [1n, -1, "nanos must be from 0 to 999999999"],
  [0n, 1_000_000_000, "nanos must be from 0 to 999999999"],
  [315_576_000_001n, 0, "must not be longer than 315576000000 s"],
])("a duration of %s s and %s ns is refused, under its field's name", (seconds, nanos, why) => {
  const id = "a";
  const duration = { seconds, nanos };
  const cancel = create(CancelRequestSchema, { id, gracePeriod: duration });
  expect(violationsOf(() => decodeCancel(cancel))).toEqual({ grace_period: why });
  const wait = create(WaitRequestSchema, { id, timeout: duration });
  expect(violationsOf(() => decodeWait(wait))).toEqual({ timeout: why });
  const start = create(StartRequestSchema, { timeout: duration });
  expect(violationsOf(() => decodeStart(start))).toEqual({ timeout: why });
  const cleanup = create(CleanupRequestSchema, { olderThan: duration });
  expect(violationsOf(() => decodeCleanup(cleanup))).toEqual({ older_than: why });
});

test("everything that is wrong is told at once", () => {
  const position = {
    streams: [Stream.UNSPECIFIED, UNKNOWN_STREAM],
    tailLines: -1,
    stdoutOffset: -1n,
    stderrOffset: -(2n ** 60n),
  };
  const expected = {
    id: "must not be empty",
    streams: "9 is not a stream",
    tail_lines: "must not be negative",
    stdout_offset: "must not be negative",
    stderr_offset: "must not be negative",
  };
  expect(violationsOf(() => decodeAttach(create(AttachRequestSchema, position)))).toEqual(expected);
  expect(violationsOf(() => decodeWatch(create(WatchRequestSchema, position)))).toEqual(expected);
  const list = create(ListRequestSchema, { statuses: [Status.UNSPECIFIED], pageSize: -1 });
  expect(violationsOf(() => decodeList(list))).toEqual({
    statuses: "0 is not a status",
    page_size: "must not be negative",
  });
  const output = create(StartRequestSchema, { output: UNKNOWN_OUTPUT });
  expect(violationsOf(() => decodeStart(output))).toEqual({ output: "9 is not a kind of output" });
  expect(violationsOf(() => decodeId({ id: "" }))).toEqual({ id: "must not be empty" });
  expect(violationsOf(() => decodeResizeWindow(create(ResizeWindowRequestSchema)))).toEqual({
    id: "must not be empty",
    window_size: "must be given",
  });
  const input = create(SendInputRequestSchema, { offset: -1n });
  expect(violationsOf(() => decodeSendInput(input))).toEqual({
    id: "must not be empty",
    offset: "must not be negative",
  });
  const start = create(StartRequestSchema, { logLimitBytes: -1n, timeout: { seconds: -1n } });
  expect(violationsOf(() => decodeStart(start))).toEqual({
    log_limit_bytes: "must not be negative",
    timeout: "must not be negative",
  });
  const pattern = { streams: [UNKNOWN_STREAM], stdoutOffset: -1n, stderrOffset: -1n };
  const until = { case: "output", value: pattern } as const;
  expect(violationsOf(() => decodeWait(create(WaitRequestSchema, { until })))).toEqual({
    id: "must not be empty",
    "output.streams": "9 is not a stream",
    "output.stdout_offset": "must not be negative",
    "output.stderr_offset": "must not be negative",
  });
});
