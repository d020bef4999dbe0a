import fc from "fast-check";
import {
  CONTAINMENTS,
  FAILURE_REASONS,
  type Job,
  OUTPUT_KINDS,
  STREAMS,
  TRUNCATED_FIELDS,
} from "../../../src/contract/job.js";

export const T0 = new Date("2026-01-02T03:04:05.678Z");
const T1 = new Date("2026-01-02T03:04:06.789Z");
const T2 = new Date("2026-01-02T04:00:00.000Z");

const spec = {
  id: "job1",
  requestId: "",
  command: "sleep",
  args: ["1"],
  env: {},
  clearEnv: false,
  workDir: "/",
  labels: {},
  mergeOutput: false,
  output: "file" as const,
  pty: false,
  stdin: false,
  createdTime: T0,
  stdoutBytes: 0,
  stderrBytes: 0,
  stdoutFirstOffset: 0,
  stderrFirstOffset: 0,
};

const started = { pid: 42, startedTime: T1, containment: "session" } as const;

export function runningJob(rest: Partial<Job> = {}): Job {
  return { ...spec, status: "running", ...started, ...rest } as Job;
}

export function endedJob(rest: Partial<Job> = {}): Job {
  const exit = { exitCode: 0, completedTime: T2 };
  return { ...spec, status: "completed", ...started, ...exit, ...rest } as Job;
}

export function orphanedJob(rest: Partial<Job> = {}): Job {
  const end = { error: "the machine was rebooted", completedTime: T2 };
  return { ...spec, status: "orphaned", ...end, ...rest } as Job;
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
/** As servers make ids. */
const name = fc.stringMatching(/^[\x21-\x7e]{0,20}$/);
const texts = fc.dictionary(fc.string({ minLength: 1, maxLength: 8 }), text, {
  noNullPrototype: true,
});
export const anyTime = fc.date({ min: T0, max: new Date("2100-01-01"), noInvalidDate: true });
const wholeMs = fc.integer({ min: 0, max: 2 ** 40 });
const bytes = fc.maxSafeNat();
const number = fc.double({ noNaN: true, noDefaultInfinity: true });

const side = fc.integer({ min: 1, max: 65_535 });

const startedPart = fc.record({
  pid: fc.integer({ min: 1, max: 2 ** 22 }),
  startedTime: anyTime,
  containment: fc.constantFrom(...CONTAINMENTS),
});

const exitPart = fc.record(
  {
    exitCode: fc.integer({ min: 0, max: 255 }),
    signal: fc.constantFrom("SIGKILL", "SIGTERM"),
    cpuTimeMs: wholeMs,
    completedTime: anyTime,
  },
  { requiredKeys: ["exitCode", "completedTime"] },
);

const error = fc.string({ minLength: 1, maxLength: 20 });

const state = fc.oneof(
  fc.constant({ status: "pending" }),
  startedPart.map((started) => ({ status: "running", ...started })),
  fc
    .tuple(startedPart, exitPart)
    .map(([started, exit]) => ({ status: "completed", ...started, ...exit })),
  fc
    .tuple(
      fc.record({ error, reason: fc.constantFrom(...FAILURE_REASONS) }, { requiredKeys: [] }),
      startedPart,
      exitPart,
    )
    .map(([why, started, exit]) => ({ status: "failed", ...why, ...started, ...exit })),
  fc
    .tuple(fc.record({ error }, { requiredKeys: [] }), startedPart, exitPart)
    .map(([why, started, exit]) => ({ status: "cancelled", ...why, ...started, ...exit })),
  fc
    .tuple(fc.record({ error, completedTime: anyTime }), fc.option(startedPart))
    .map(([end, started]) => ({ status: "orphaned", ...end, ...started })),
);

export const anyProgress = fc.record(
  {
    percent: number,
    current: number,
    total: number,
    unit: text,
    rate: number,
    etaMs: wholeMs,
    text,
  },
  { requiredKeys: ["unit", "text"], noNullPrototype: true },
);

export const anyUsage = fc.record(
  {
    cpuTimeMs: wholeMs,
    memoryBytes: bytes,
    memoryPeakBytes: bytes,
    processes: fc.nat({ max: 2 ** 22 }),
    readBytes: bytes,
    writtenBytes: bytes,
    lastOutputTime: anyTime,
    measuredTime: anyTime,
  },
  { requiredKeys: ["measuredTime"], noNullPrototype: true },
);

/** Any job that there can be. */
export const anyJob = fc
  .tuple(
    fc.record(
      {
        id: name,
        requestId: text,
        name: name.filter((each) => each !== ""),
        previousId: name.filter((each) => each !== ""),
        command: text,
        args: fc.array(text, { maxLength: 3 }),
        env: texts,
        clearEnv: fc.boolean(),
        workDir: text,
        labels: texts,
        mergeOutput: fc.boolean(),
        output: fc.constantFrom(...OUTPUT_KINDS),
        pty: fc.boolean(),
        windowSize: fc.record({ rows: side, columns: side }, { noNullPrototype: true }),
        stdin: fc.boolean(),
        umask: fc.nat({ max: 0o777 }),
        nice: fc.integer({ min: -20, max: 19 }),
        softLimits: fc.record({ nofile: bytes, core: fc.constant(-1) }, { noNullPrototype: true }),
        endRemaining: fc.constant(true),
        onEnd: fc.record(
          { command: text, args: fc.array(text, { maxLength: 2 }), timeoutMs: wholeMs },
          { noNullPrototype: true },
        ),
        onEndResult: fc.record(
          {
            startedTime: anyTime,
            completedTime: anyTime,
            exitCode: fc.nat({ max: 255 }),
            error,
            output: text,
          },
          { requiredKeys: ["output"], noNullPrototype: true },
        ),
        remainingProcesses: fc.integer({ min: 1, max: 2 ** 22 }),
        limits: fc.record(
          {
            memoryMaxBytes: bytes,
            cpus: number,
            pidsMax: fc.nat({ max: 9999 }),
            openFilesMax: bytes,
          },
          { noNullPrototype: true },
        ),
        timeoutMs: wholeMs,
        leaseMs: wholeMs,
        leaseExpireTime: anyTime,
        createdTime: anyTime,
        logLimitBytes: bytes.map((limit) => limit || 1),
        stdoutBytes: bytes,
        stderrBytes: bytes,
        stdoutFirstOffset: bytes,
        stderrFirstOffset: bytes,
        progress: anyProgress,
        usage: anyUsage,
        lastSignal: fc.record(
          { name: fc.constantFrom("SIGINT", "SIGHUP"), sentTime: anyTime },
          { noNullPrototype: true },
        ),
        truncations: fc.record(
          { stdout: fc.integer({ min: 1, max: 9 }), stderr: fc.integer({ min: 1, max: 9 }) },
          { noNullPrototype: true },
        ),
        missingLogs: fc.subarray([...STREAMS], { minLength: 1 }),
        truncatedFields: fc.subarray([...TRUNCATED_FIELDS], { minLength: 1 }),
      },
      {
        requiredKeys: [
          "id",
          "requestId",
          "command",
          "args",
          "env",
          "clearEnv",
          "workDir",
          "labels",
          "mergeOutput",
          "output",
          "pty",
          "stdin",
          "createdTime",
          "stdoutBytes",
          "stderrBytes",
          "stdoutFirstOffset",
          "stderrFirstOffset",
        ],
      },
    ),
    state,
  )
  .map(([known, state]) => ({ ...known, ...state }) as Job);
