import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type JobState, OUTPUT_KINDS } from "../../../src/contract/job.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { formatRecord, parseRecord } from "../../../src/storage/job-record.js";
import { someRecord } from "../../helpers/records.js";

const text = fc.string({ unit: "binary" });
const date = fc.date({
  min: new Date("1970-01-01"),
  max: new Date("2200-01-01"),
  noInvalidDate: true,
});
const started = {
  pid: fc.integer({ min: 1 }),
  startedTime: date,
  containment: fc.constantFrom("session" as const, "cgroup" as const),
};
const optional = <T>(name: string, value: fc.Arbitrary<T>) =>
  fc.option(value, { nil: undefined }).map((v) => (v === undefined ? {} : { [name]: v }));
const exit = fc
  .tuple(
    fc.record({ ...started, exitCode: fc.integer({ min: 0, max: 255 }), completedTime: date }),
    optional("signal", fc.constantFrom("SIGKILL", "SIGTERM")),
    optional("cpuTimeMs", fc.nat()),
  )
  .map(([facts, ...more]) => Object.assign({}, facts, ...more));
const state: fc.Arbitrary<JobState> = fc.oneof(
  fc.constant({ status: "pending" as const }),
  fc.record({ status: fc.constant("running" as const), ...started }),
  exit.map((facts) => ({ status: "completed" as const, ...facts })),
  fc
    .tuple(fc.constantFrom("failed" as const, "cancelled" as const), exit, optional("error", text))
    .map(([status, facts, e]) => ({ status, ...facts, ...e })),
  fc.record({ status: fc.constant("orphaned" as const), error: text, completedTime: date }),
);
const side = fc.integer({ min: 1, max: 65_535 });
const texts = fc.dictionary(fc.oneof(text, fc.constant("__proto__")), text, {
  noNullPrototype: true,
});
const record: fc.Arbitrary<JobRecord> = fc
  .tuple(
    fc.record({
      id: text.filter((id) => id !== ""),
      requestId: text,
      command: text.filter((command) => command !== ""),
      args: fc.array(text),
      env: texts,
      clearEnv: fc.boolean(),
      workDir: text.map((path) => `/${path}`),
      labels: texts,
      mergeOutput: fc.boolean(),
      output: fc.constantFrom(...OUTPUT_KINDS),
      pty: fc.boolean(),
      stdin: fc.boolean(),
    }),
    fc
      .tuple(
        optional("timeoutMs", fc.integer({ min: 1 })),
        optional("leaseMs", fc.integer({ min: 1 })),
        optional("logLimitBytes", fc.integer({ min: 1 })),
        optional("windowSize", fc.record({ rows: side, columns: side })),
        optional("name", fc.constantFrom("web", "a.b_c-1")),
        optional("previousId", fc.constantFrom("job0")),
        optional("umask", fc.nat({ max: 0o777 })),
        optional("nice", fc.integer({ min: -20, max: 19 })),
        optional("endRemaining", fc.boolean()),
        optional(
          "onEnd",
          fc.record({
            command: fc.constant("mail"),
            args: fc.array(text),
            timeoutMs: fc.integer({ min: 1 }),
          }),
        ),
        optional("softLimits", fc.record({ nofile: fc.nat(), core: fc.constant(-1) })),
      )
      .map((fields) => Object.assign({}, ...fields) as object),
    fc.record({ sequence: fc.nat(), createdTime: date, state }),
    optional("defaultLogLimitBytes", fc.integer({ min: 1 })),
    optional("renewedLeaseMs", fc.integer({ min: 1 })),
    optional(
      "stop",
      fc.record(
        {
          kind: fc.constantFrom("cancel", "timeout"),
          requestedTime: date,
          gracePeriodMs: fc.nat(),
          expiredLeaseMs: fc.integer({ min: 1 }),
        },
        { requiredKeys: ["kind", "requestedTime", "gracePeriodMs"], noNullPrototype: true },
      ),
    ),
    optional(
      "remaining",
      fc.record(
        {
          mark: text,
          stop: fc.record({ requestedTime: date, gracePeriodMs: fc.nat() }),
        },
        { requiredKeys: [] },
      ),
    ),
    optional(
      "onEndResult",
      fc.record(
        { startedTime: date, completedTime: date, exitCode: fc.nat(), error: text, output: text },
        { requiredKeys: ["output"] },
      ),
    ),
    optional(
      "restart",
      fc.record({ newId: fc.constant("job2"), requestId: text, requestedTime: date }),
    ),
  )
  .map(([spec, limits, rest, defaultLimit, lease, stop, remaining, onEndResult, restart]) => ({
    spec: { ...spec, ...limits },
    ...rest,
    ...defaultLimit,
    ...lease,
    ...stop,
    ...remaining,
    ...onEndResult,
    ...restart,
  }));

test("a job without a name has a record as it always had", () => {
  const names = Object.keys(JSON.parse(formatRecord(someRecord())) as object);
  expect(names).not.toEqual(expect.arrayContaining(["name"]));
  expect(names).not.toEqual(expect.arrayContaining(["previousId"]));
  expect(names).not.toEqual(expect.arrayContaining(["restart"]));
});

test("what is written is what is read, for any record", () => {
  fc.assert(
    fc.property(record, (original) => {
      expect(parseRecord(formatRecord(original))).toEqual(original);
    }),
  );
});

test("a record cut short at any byte is never taken for one", () => {
  const whole = Buffer.from(
    formatRecord(
      someRecord({ status: "running", pid: 7, startedTime: new Date(0), containment: "session" }),
    ),
  );
  // The last byte is the newline after the closing brace.
  for (let length = 0; length < whole.length - 1; length += 1) {
    expect(() => parseRecord(whole.subarray(0, length).toString()), `${length} bytes`).toThrow();
  }
});

test("no bytes at all break the parser otherwise than with an error", () => {
  fc.assert(
    fc.property(fc.oneof(text, fc.json()), (content) => {
      try {
        parseRecord(content);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    }),
  );
});

test("fields of a newer version are kept, and its version number", () => {
  const newer = {
    ...(JSON.parse(formatRecord(someRecord())) as object),
    version: 3,
    gpu: { count: 2 },
  };
  const parsed = parseRecord(JSON.stringify(newer));
  const rewritten = JSON.parse(formatRecord(parsed)) as unknown;
  expect(rewritten).toEqual(newer);
});

test("a version of its own is all that a newer record may have new", () => {
  const json = { ...(JSON.parse(formatRecord(someRecord())) as object), version: 2 };
  const record = parseRecord(JSON.stringify(json));
  expect(JSON.parse(formatRecord(record))).toEqual(json);
});

/** The least there ever was in a record. */
const oldest = {
  version: 1,
  id: "a",
  command: "make",
  workDir: "/",
  createdTime: "2026-01-02T03:04:05.678Z",
  status: "pending",
};
const time = "2026-01-02T03:04:06.000Z";
const begun = { pid: 1, startedTime: time };
const ended = { ...begun, status: "failed", exitCode: 0, completedTime: time };
const parse = (fields: object) => parseRecord(JSON.stringify({ ...oldest, ...fields }));

test("a record of an old version has the defaults of what has come since", () => {
  expect(parse({})).toStrictEqual({
    sequence: 0,
    createdTime: new Date(oldest.createdTime),
    spec: {
      id: "a",
      requestId: "",
      command: "make",
      args: [],
      env: {},
      clearEnv: false,
      workDir: "/",
      labels: {},
      mergeOutput: false,
      output: "file",
      pty: false,
      stdin: false,
    },
    state: { status: "pending" },
  });
  expect(parse({ status: "running", ...begun }).state).toStrictEqual({
    status: "running",
    pid: 1,
    startedTime: new Date(time),
    containment: "session",
  });
  expect(parse({ status: "orphaned", error: "", completedTime: time }).state).toStrictEqual({
    status: "orphaned",
    error: "",
    completedTime: new Date(time),
  });
});

test("an orphan keeps what is known of its start", () => {
  const orphan = { status: "orphaned", error: "why", completedTime: time, ...begun };
  const record = parse({ ...orphan, containment: "cgroup" });
  expect(record.state).toMatchObject({ pid: 1, containment: "cgroup" });
  expect(JSON.parse(formatRecord(record))).toMatchObject(orphan);
});

test("what a newer version says of a stop is kept", () => {
  const stop = { kind: "cancel", requestedTime: time, gracePeriodMs: 0, by: "somebody" };
  expect(JSON.parse(formatRecord(parse({ stop })))).toMatchObject({ stop });
});

test("it is text that people can read, and ends with its line", () => {
  const text = formatRecord(someRecord());
  expect(text).toMatch(/^\{\n {2}"version": 1,\n {2}"id": "job1",\n/);
  expect(text.endsWith("\n}\n")).toBe(true);
});

test("a label or a variable __proto__ is kept", () => {
  const texts = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
  const { spec } = parseRecord(
    formatRecord(someRecord(undefined, { spec: { labels: texts, env: texts } })),
  );
  for (const kept of [spec.labels, spec.env]) {
    expect(Object.entries(kept)).toEqual(Object.entries(texts));
  }
});

describe("what cannot be is refused", () => {
  const stop = { kind: "cancel", requestedTime: time, gracePeriodMs: 0 };
  test.each<[string, object]>([
    ["version", { version: 0 }],
    ["sequence", { sequence: 0.5 }],
    ["createdTime", { createdTime: "yesterday" }],
    ["defaultLogLimitBytes", { defaultLogLimitBytes: 0 }],
    ["id", { id: "" }],
    ["command", { command: "" }],
    ["workDir", { workDir: "tmp" }],
    ["timeoutMs", { timeoutMs: 0 }],
    ["logLimitBytes", { logLimitBytes: 0 }],
    ["umask", { umask: 0o1000 }],
    ["nice", { nice: "5" }],
    ["softLimits", { softLimits: { core: 0.5 } }],
    ["windowSize", { windowSize: { rows: 0, columns: 1 } }],
    ["windowSize", { windowSize: { rows: 1, columns: 0 } }],
    ["kind", { stop: { ...stop, kind: "whim" } }],
    ["requestedTime", { stop: { ...stop, requestedTime: "" } }],
    ["gracePeriodMs", { stop: { ...stop, gracePeriodMs: -1 } }],
    ["status", { status: "resting" }],
    ["pid", { status: "running" }],
    ["pid", { ...begun, status: "running", pid: 0 }],
    ["startedTime", { status: "running", pid: 1 }],
    ["containment", { ...begun, status: "running", containment: "jail" }],
    ["exitCode", { ...ended, exitCode: -1 }],
    ["cpuTimeMs", { ...ended, cpuTimeMs: -1 }],
    ["completedTime", { ...ended, completedTime: undefined }],
    ["error", { status: "orphaned", completedTime: time }],
  ])("%s in %j", (field, fields) => {
    expect(() => parse(fields)).toThrow(field);
  });
});
