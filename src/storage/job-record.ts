import {
  CONTAINMENTS,
  FAILURE_REASONS,
  type JobSpec,
  type JobState,
  MAX_UMASK,
  OUTPUT_KINDS,
  type Usage,
} from "../contract/job.js";
import type { ForeignFields, JobRecord, StopIntent } from "../core/ports.js";
import { defined } from "../platform/defined.js";
import {
  flag,
  integer,
  listOf,
  looseShape,
  notNegative,
  oneOf,
  optional,
  orDefault,
  positive,
  recordOf,
  shape,
  someText,
  text,
  textMatching,
  texts,
  time,
} from "./json-shape.js";

/** More than the largest request makes, with each of its bytes escaped. */
export const MAX_RECORD_BYTES = 64 * 1024 * 1024;

/** The version that is written. Of a newer one's record, the known fields are used. */
export const RECORD_VERSION = 1;

const containment = oneOf(CONTAINMENTS);
const started = {
  pid: integer(1),
  startedTime: time,
  containment: orDefault(containment, "session"),
};
const exit = {
  exitCode: integer(0),
  signal: optional(text),
  cpuTimeMs: optional(notNegative),
  completedTime: time,
};

const SPEC = {
  id: someText,
  requestId: orDefault(text, ""),
  name: optional(someText),
  previousId: optional(someText),
  command: someText,
  args: orDefault(listOf(text), []),
  env: orDefault(texts, {}),
  clearEnv: orDefault(flag, false),
  workDir: textMatching(/^\//, "an absolute path"),
  labels: orDefault(texts, {}),
  mergeOutput: orDefault(flag, false),
  output: orDefault(oneOf(OUTPUT_KINDS), "file"),
  timeoutMs: optional(positive),
  leaseMs: optional(positive),
  logLimitBytes: optional(integer(1)),
  pty: orDefault(flag, false),
  windowSize: optional(shape({ rows: integer(1), columns: integer(1) })),
  stdin: orDefault(flag, false),
  umask: optional(integer(0, MAX_UMASK)),
  nice: optional(integer()),
  softLimits: optional(recordOf(integer())),
  endRemaining: optional(flag),
  limits: optional(
    looseShape({
      memoryMaxBytes: optional(integer(1)),
      cpus: optional(positive),
      pidsMax: optional(integer(1)),
      openFilesMax: optional(integer(1)),
    }),
  ),
  onEnd: optional(shape({ command: someText, args: listOf(text), timeoutMs: positive })),
};

/** What there is of each status, besides the status itself. */
const STATES = {
  pending: {},
  running: started,
  completed: { ...started, ...exit },
  failed: { ...started, ...exit, error: optional(text), reason: optional(oneOf(FAILURE_REASONS)) },
  cancelled: { ...started, ...exit, error: optional(text) },
  orphaned: {
    pid: optional(started.pid),
    startedTime: optional(time),
    containment: optional(containment),
    error: text,
    completedTime: time,
  },
} satisfies Record<JobState["status"], object>;

const HEAD = {
  version: integer(1),
  // Below 0 for the jobs of the Go library.
  sequence: orDefault(integer(), 0),
  createdTime: time,
  defaultLogLimitBytes: optional(integer(1)),
  renewedLeaseMs: optional(positive),
  lastSignal: optional(shape({ name: text, sentTime: time })),
  usage: optional(
    looseShape({
      cpuTimeMs: optional(notNegative),
      memoryBytes: optional(integer(0)),
      memoryPeakBytes: optional(integer(0)),
      processes: optional(integer(0)),
      readBytes: optional(integer(0)),
      writtenBytes: optional(integer(0)),
      lastOutputTime: optional(time),
      measuredTime: time,
    }),
  ),
  stop: optional(
    looseShape({
      kind: oneOf(["cancel", "timeout"]),
      requestedTime: time,
      gracePeriodMs: notNegative,
      expiredLeaseMs: optional(positive),
    }),
  ),
  remaining: optional(
    looseShape({
      mark: optional(text),
      stop: optional(looseShape({ requestedTime: time, gracePeriodMs: notNegative })),
    }),
  ),
  onEndResult: optional(
    looseShape({
      startedTime: optional(time),
      completedTime: optional(time),
      exitCode: optional(integer(0)),
      error: optional(text),
      output: text,
    }),
  ),
  restart: optional(looseShape({ newId: someText, requestId: text, requestedTime: time })),
};

const KNOWN_FIELDS = new Set([
  "status",
  "revision",
  ...[HEAD, SPEC, ...Object.values(STATES)].flatMap((fields) => Object.keys(fields)),
]);

const parseHead = shape(HEAD);
const parseSpec = shape(SPEC);
const parseStatus = shape({ status: oneOf(Object.keys(STATES) as JobState["status"][]) });
const parseState = (json: object): object => {
  const { status } = parseStatus(json);
  return { status, ...shape(STATES[status])(json) };
};

/** Returns which write of the job's record a content is of, from 1 on; 0 where it does not tell. */
export function revisionOf(text: string): number {
  return parseRevision(JSON.parse(text) as object).revision;
}

const parseRevision = shape({ revision: orDefault(integer(0), 0) });

/** Parses the content of a state.json. @throws Error that says what is wrong with it */
export function parseRecord(text: string): JobRecord {
  const json = JSON.parse(text) as object;
  const { version, stop, restart, remaining, onEndResult, lastSignal, usage, ...rest } =
    parseHead(json);
  const { defaultLogLimitBytes, renewedLeaseMs, ...head } = rest;
  return {
    spec: defined(parseSpec(json)) as JobSpec,
    state: defined(parseState(json)) as JobState,
    ...head,
    ...defined({
      stop: stop && (defined(stop) as StopIntent),
      restart,
      remaining: remaining && defined(remaining),
      onEndResult: onEndResult && defined(onEndResult),
      lastSignal,
      usage: usage && (defined(usage) as Usage),
      defaultLogLimitBytes,
      renewedLeaseMs,
      foreign: foreignFields(version, json),
    }),
  };
}

/** Returns the content of a state.json. Unknown fields are written as they were read. */
export function formatRecord(
  { spec, state, foreign, ...head }: JobRecord,
  revision?: number,
): string {
  const json = {
    version: Math.max(RECORD_VERSION, foreign?.version ?? 0),
    // Absent fields are not written.
    revision,
    ...spec,
    ...head,
    ...state,
    ...foreign?.fields,
  };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function foreignFields(version: number, json: object): ForeignFields | undefined {
  const unknown = Object.entries(json).filter(([name]) => !KNOWN_FIELDS.has(name));
  if (version <= RECORD_VERSION && unknown.length === 0) return undefined;
  return { version, fields: Object.fromEntries(unknown) };
}
