import fc from "fast-check";
import { expect, test } from "vitest";
import type { JobState } from "../../../src/contract/job.js";
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
  exit.map((facts) => ({ status: "cancelled" as const, ...facts })),
  fc
    .tuple(exit, optional("error", text))
    .map(([facts, e]) => ({ status: "failed" as const, ...facts, ...e })),
  fc.record({ status: fc.constant("orphaned" as const), error: text, completedTime: date }),
);
const side = fc.integer({ min: 1, max: 65_535 });
const texts = fc.dictionary(
  text.filter((key) => key !== "__proto__"),
  text,
  { noNullPrototype: true },
);
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
      pty: fc.boolean(),
      stdin: fc.boolean(),
    }),
    fc
      .tuple(
        optional("timeoutMs", fc.integer({ min: 1 })),
        optional("logLimitBytes", fc.integer({ min: 1 })),
        optional("windowSize", fc.record({ rows: side, columns: side })),
      )
      .map(([timeout, limit, window]) => ({ ...timeout, ...limit, ...window })),
    fc.record({ sequence: fc.nat(), createdTime: date, state }),
    optional("defaultLogLimitBytes", fc.integer({ min: 1 })),
    optional(
      "stop",
      fc.record({
        kind: fc.constantFrom("cancel", "timeout"),
        requestedTime: date,
        gracePeriodMs: fc.nat(),
      }),
    ),
  )
  .map(([spec, limits, rest, defaultLimit, stop]) => ({
    spec: { ...spec, ...limits },
    ...rest,
    ...defaultLimit,
    ...stop,
  }));

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

test("a status without what is true in it is refused", () => {
  const running = { ...(JSON.parse(formatRecord(someRecord())) as object), status: "running" };
  expect(() => parseRecord(JSON.stringify(running))).toThrow("pid");
});
