import fc from "fast-check";
import { ProcmanError } from "../../../src/contract/errors.js";
import { OUTPUT_KINDS, STATUSES, STREAMS } from "../../../src/contract/job.js";
import {
  type AttachEvent,
  type AttachOptions,
  type BoundedOutput,
  type CancelOptions,
  type CleanupOptions,
  type GetOptions,
  IF_RUNNING,
  type InputPosition,
  type JobPage,
  OUTPUT_ENDS,
  type ReadOutputOptions,
  type JobResult,
  type JobResults,
  type JobSelection,
  type JobsOutputPattern,
  type RemoveJobsOptions,
  type RemoveOptions,
  type RenewLeaseOptions,
  type RestartOptions,
  type ListOptions,
  MAX_DURATION_MS,
  type OutputLine,
  type OutputPart,
  type SendInputOptions,
  type SignalOptions,
  type StartOptions,
  TERMINATORS,
  type WaitedJob,
  type WaitOptions,
  type WatchEvent,
  type WatchJobsOptions,
  type WatchOptions,
  type WrittenBetween,
} from "../../../src/contract/procman.js";
import type { JobsMessage } from "../../../src/wire/jobs.js";
import { anyJob, anyProgress, anyTime } from "../client/some-job.js";

/*
 * Every value of the contract's that crosses the wire, in the form in which it
 * arrives: with its defaults filled in. The types ask for a generator of each
 * field, so that a new one is not forgotten.
 */

/** A generator for each field, also of the optional ones. */
type Fields<T> = { [Key in keyof Required<Omit<T, "signal">>]: fc.Arbitrary<Required<T>[Key]> };

/** @param optional the fields that are absent where they have no value */
function anyOf<T extends object>(
  fields: Fields<T>,
  optional: readonly (keyof Omit<T, "signal">)[] = [],
): fc.Arbitrary<T> {
  const given: Record<string, fc.Arbitrary<unknown>> = fields;
  const requiredKeys = Object.keys(given).filter((name) => !optional.includes(name as never));
  return fc.record(given, { requiredKeys, noNullPrototype: true }) as unknown as fc.Arbitrary<T>;
}

/** As `fc.record`, for objects as they are decoded. */
function plain<T>(fields: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> {
  return fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const someText = text.filter((value) => value !== "");
const texts = fc.dictionary(text, text, { noNullPrototype: true });
/** Also the ends of their ranges. */
const offset = fc.oneof(fc.maxSafeNat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER));
const int32 = fc.oneof(fc.nat(), fc.constantFrom(0, 2 ** 31 - 1));
const durationMs = fc
  .oneof(fc.nat(), fc.maxSafeNat(), fc.constantFrom(0, MAX_DURATION_MS))
  .map((ms) => Math.min(ms, MAX_DURATION_MS));
const side = fc.integer({ min: 1, max: 65_535 });
const size = plain({ rows: side, columns: side });
const data = fc.uint8Array({ maxLength: 50 });

/** As servers make ids: decodeName refuses others. */
const name = fc.stringMatching(/^[\x21-\x7e]{0,20}$/);

export const anyId = someText;
export const anySize = size;

export const anyStart = anyOf<StartOptions>(
  {
    command: text,
    args: fc.array(text, { maxLength: 3 }),
    env: texts,
    clearEnv: fc.boolean(),
    workDir: someText,
    labels: texts,
    requestId: someText,
    mergeOutput: fc.boolean(),
    output: fc.constantFrom(...OUTPUT_KINDS),
    timeoutMs: durationMs,
    leaseMs: durationMs,
    logLimitBytes: offset.map((bytes) => bytes || 1),
    pty: fc.boolean(),
    windowSize: size,
    stdin: fc.boolean(),
    name: someText,
    ifRunning: fc.constantFrom(...IF_RUNNING),
    umask: fc.nat({ max: 0o777 }),
    nice: fc.integer({ min: -20, max: 19 }),
    softLimits: plain({ nofile: offset, core: fc.constant(-1) }),
    endRemaining: fc.constant(true),
    limits: plain({
      memoryMaxBytes: offset,
      cpus: fc.double({ noNaN: true }),
      pidsMax: int32,
      openFilesMax: offset,
    }),
    onEnd: fc.record(
      { command: text, args: fc.array(text, { maxLength: 2 }), timeoutMs: durationMs },
      { requiredKeys: ["command", "args"], noNullPrototype: true },
    ),
  },
  [
    "endRemaining",
    "onEnd",
    "workDir",
    "requestId",
    "output",
    "timeoutMs",
    "leaseMs",
    "logLimitBytes",
    "windowSize",
    "name",
    "ifRunning",
    "umask",
    "nice",
    "softLimits",
    "limits",
  ],
);

export const anyGet = anyOf<GetOptions>({ includeEnv: fc.boolean() });

const filter = { statuses: fc.subarray([...STATUSES]), labels: texts, name: someText };

export const anyList = anyOf<ListOptions>(
  { ...filter, pageSize: int32, pageToken: text, includeUsage: fc.boolean() },
  ["name"],
);

export const anyPage = anyOf<JobPage>({
  jobs: fc.array(anyJob, { maxLength: 2 }),
  nextPageToken: text,
  totalSize: int32,
  unreadable: fc.array(plain({ id: text, error: text }), { maxLength: 2 }),
  unreadableSize: int32,
});

const start = {
  streams: fc.subarray([...STREAMS]),
  stdoutOffset: offset,
  stderrOffset: offset,
};

const anyPosition = plain({ id: name, stdoutOffset: offset, stderrOffset: offset });

export const anyWatchJobs = anyOf<WatchJobsOptions>(
  {
    ...filter,
    sinceRevision: text,
    includeUsage: fc.boolean(),
    output: anyOf<JobsOutputPattern>(
      {
        pattern: text,
        streams: start.streams,
        invert: fc.boolean(),
        positions: fc.array(anyPosition, { maxLength: 2 }),
        newestCreatedTime: anyTime,
      },
      ["newestCreatedTime"],
    ),
  },
  ["name", "output"],
);

const period = { sinceTime: anyTime, untilTime: anyTime, writtenTimes: fc.boolean() };

export const anyAttach = anyOf<AttachOptions>(
  { ...start, ...period, tailLines: int32, follow: fc.boolean() },
  ["tailLines", "sinceTime", "untilTime"],
);

export const anyReadOutput = anyOf<ReadOutputOptions>(
  { ...start, ...period, maxBytes: int32, ends: fc.constantFrom(...OUTPUT_ENDS) },
  ["ends", "sinceTime", "untilTime"],
);

const writtenBetween: fc.Arbitrary<WrittenBetween> = fc.oneof(
  plain({ from: anyTime, to: anyTime }),
  plain({ from: anyTime, to: anyTime, unobserved: fc.constant(true as const) }),
);

const part = anyOf<OutputPart>(
  { stream: fc.constantFrom(...STREAMS), offset, data, omittedBytes: offset, writtenBetween },
  ["writtenBetween"],
);

export const anyBoundedOutput = plain<BoundedOutput>({
  job: anyJob,
  parts: fc.array(part, { maxLength: 4 }),
  stdoutNextOffset: offset,
  stderrNextOffset: offset,
});

export const anyWatch = anyOf<WatchOptions>(
  {
    ...start,
    ...period,
    tailLines: int32,
    pattern: text,
    invert: fc.boolean(),
    follow: fc.boolean(),
  },
  ["tailLines", "follow", "sinceTime", "untilTime"],
);

export const anyWait = anyOf<WaitOptions>(
  {
    timeoutMs: durationMs,
    until: fc.oneof(
      plain({ type: fc.constant("output" as const), pattern: text, ...start }),
      plain({ type: fc.constant("port" as const), port: int32 }),
      plain({ type: fc.constant("no-remaining" as const) }),
    ),
  },
  ["timeoutMs", "until"],
);

const remaining = { includeRemaining: fc.constant(true) };

export const anySignal = anyOf<SignalOptions>(remaining, ["includeRemaining"]);
export const anyRemove = anyOf<RemoveOptions>({ unreadable: fc.boolean(), ...remaining }, [
  "includeRemaining",
]);
export const anyCancel = anyOf<CancelOptions>({ gracePeriodMs: durationMs, ...remaining }, [
  "gracePeriodMs",
  "includeRemaining",
]);

export const anySelection = anyOf<JobSelection>(
  { ids: fc.array(someText, { maxLength: 3 }), all: fc.boolean(), ...filter },
  ["name"],
);
export const anyRemoveJobs = anyOf<RemoveJobsOptions>(
  { cancel: fc.boolean(), gracePeriodMs: durationMs, ...remaining },
  ["gracePeriodMs", "includeRemaining"],
);

const anyResult: fc.Arbitrary<JobResult> = fc.oneof(
  plain({ type: fc.constant("done" as const), id: name, job: anyJob }),
  plain({ type: fc.constant("done" as const), id: name }),
  fc
    .tuple(name, text, fc.constantFrom("JOB_NOT_FOUND", "JOB_RUNNING"))
    .map(([id, message, reason]) => ({
      type: "failed" as const,
      id,
      error: new ProcmanError(reason, message, { jobId: id }),
    })),
);

export const anyResults = plain<JobResults>({
  results: fc.array(anyResult, { maxLength: 5 }),
  doneSize: int32,
  failedSize: int32,
});

export const anyRestart = anyOf<RestartOptions>(
  { gracePeriodMs: durationMs, requestId: someText },
  ["gracePeriodMs", "requestId"],
);

export const anyRenewLease = anyOf<RenewLeaseOptions>({ leaseMs: durationMs }, ["leaseMs"]);

export const anySendInput = anyOf<SendInputOptions>(
  { sender: text, offset, data, close: fc.boolean() },
  ["offset"],
);

export const anyCleanup = anyOf<CleanupOptions>({ olderThanMs: durationMs, ...remaining }, [
  "olderThanMs",
  "includeRemaining",
]);

export const anyInputPosition = anyOf<InputPosition>({ nextOffset: offset });

const stream = fc.constantFrom(...STREAMS);

const lineFields: Fields<OutputLine> = {
  stream,
  text,
  offset,
  nextOffset: offset,
  terminator: fc.constantFrom(...TERMINATORS),
  progress: anyProgress,
  seenTime: anyTime,
  writtenBetween,
};

function anyBoundary(type: "opened" | "ended") {
  return plain({ type: fc.constant(type), job: anyJob });
}

const anyTruncation = plain({ type: fc.constant("truncated"), stream, offset });

export const anyAttachEvent: fc.Arbitrary<AttachEvent> = fc.oneof(
  anyBoundary("opened"),
  anyOf<AttachEvent & { type: "chunk" }>(
    { type: fc.constant("chunk"), stream, offset, data, seenTime: anyTime, writtenBetween },
    ["seenTime", "writtenBetween"],
  ),
  anyTruncation,
  anyBoundary("ended"),
) as fc.Arbitrary<AttachEvent>;

export const anyWatchEvent: fc.Arbitrary<WatchEvent> = fc.oneof(
  anyBoundary("opened"),
  anyOf<WatchEvent & { type: "line" }>({ type: fc.constant("line"), ...lineFields }, [
    "progress",
    "seenTime",
    "writtenBetween",
  ]),
  anyTruncation,
  plain({ type: fc.constant("searched"), stdoutOffset: offset, stderrOffset: offset }),
  anyBoundary("ended"),
) as fc.Arbitrary<WatchEvent>;

export const anyJobsEvent: fc.Arbitrary<JobsMessage> = fc.oneof(
  plain({
    type: fc.constant("snapshot"),
    jobs: fc.array(anyJob, { maxLength: 2 }),
    revision: text,
  }),
  plain({ type: fc.constant("resumed"), revision: text }),
  plain({ type: fc.constant("changed"), job: anyJob, revision: text }),
  plain({ type: fc.constant("removed"), id: name, revision: text }),
  plain({
    type: fc.constant("line"),
    id: name,
    line: anyOf<OutputLine>(lineFields, ["progress", "seenTime", "writtenBetween"]),
    revision: text,
  }),
  plain({
    type: fc.constant("searched"),
    id: name,
    stdoutOffset: offset,
    stderrOffset: offset,
    complete: fc.boolean(),
    revision: text,
  }),
  // The parts of a large snapshot.
  plain({
    type: fc.constant("snapshot"),
    jobs: fc.array(anyJob, { maxLength: 2 }),
    revision: fc.constant(""),
    more: fc.constant(true),
  }),
  plain({
    type: fc.constant("changed"),
    job: anyJob,
    revision: fc.constant(""),
    more: fc.constant(true),
  }),
) as fc.Arbitrary<JobsMessage>;

export const anyWaited: fc.Arbitrary<WaitedJob> = fc
  .tuple(
    anyJob,
    fc.option(
      fc.oneof(
        plain({
          type: fc.constant("line"),
          line: anyOf<OutputLine>(lineFields, ["progress", "seenTime", "writtenBetween"]),
        }),
        plain({ type: fc.constant("port"), port: int32 }),
        plain({ type: fc.constant("searched"), stdoutOffset: offset, stderrOffset: offset }),
      ),
      { nil: undefined },
    ),
  )
  .map(([job, outcome]) => (outcome ? { ...job, outcome } : job) as WaitedJob);
