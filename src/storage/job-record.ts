import { z } from "zod";
import {
  CONTAINMENTS,
  type JobSpec,
  type JobState,
  MAX_UMASK,
  OUTPUT_KINDS,
} from "../contract/job.js";
import type { ForeignFields, JobRecord } from "../core/ports.js";
import { defined } from "../platform/defined.js";

/** The version that is written. Of a newer one's record, the known fields are used. */
export const RECORD_VERSION = 1;

const time = z.iso.datetime().transform((text) => new Date(text));
const started = {
  pid: z.int().positive(),
  startedTime: time,
  containment: z.enum(CONTAINMENTS).default("session"),
};
const exit = {
  exitCode: z.int().min(0),
  signal: z.string().optional(),
  cpuTimeMs: z.number().nonnegative().optional(),
  completedTime: time,
};

/** Texts by keys of the user's. z.record would leave out the key __proto__. */
export const texts = z.custom<Readonly<Record<string, string>>>(
  (value) =>
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((each) => typeof each === "string"),
  "must be texts by their keys",
);

const specSchema = z.object({
  id: z.string().min(1),
  requestId: z.string().default(""),
  name: z.string().min(1).optional(),
  previousId: z.string().min(1).optional(),
  command: z.string().min(1),
  args: z.array(z.string()).default([]),
  env: texts.default({}),
  clearEnv: z.boolean().default(false),
  workDir: z.string().startsWith("/"),
  labels: texts.default({}),
  mergeOutput: z.boolean().default(false),
  output: z.enum(OUTPUT_KINDS).default("file"),
  timeoutMs: z.number().positive().optional(),
  logLimitBytes: z.int().positive().optional(),
  pty: z.boolean().default(false),
  windowSize: z.object({ rows: z.int().positive(), columns: z.int().positive() }).optional(),
  stdin: z.boolean().default(false),
  umask: z.int().min(0).max(MAX_UMASK).optional(),
  nice: z.int().optional(),
  softLimits: z.record(z.string(), z.int()).optional(),
});

const stateSchema = z.discriminatedUnion("status", [
  z.object({ status: z.literal("pending") }),
  z.object({ status: z.literal("running"), ...started }),
  z.object({ status: z.literal("completed"), ...started, ...exit }),
  z.object({ status: z.literal("failed"), ...started, ...exit, error: z.string().optional() }),
  z.object({ status: z.literal("cancelled"), ...started, ...exit }),
  z.object({
    status: z.literal("orphaned"),
    pid: started.pid.optional(),
    startedTime: time.optional(),
    containment: z.enum(CONTAINMENTS).optional(),
    error: z.string(),
    completedTime: time,
  }),
]);

const headSchema = z.object({
  version: z.int().min(1),
  // Below 0 for the jobs of the Go library.
  sequence: z.int().default(0),
  createdTime: time,
  defaultLogLimitBytes: z.int().positive().optional(),
  lastSignal: z.object({ name: z.string(), sentTime: time }).optional(),
  // Loose, so that fields that a newer version has added to it are kept.
  stop: z
    .looseObject({
      kind: z.enum(["cancel", "timeout"]),
      requestedTime: time,
      gracePeriodMs: z.number().nonnegative(),
    })
    .optional(),
  restart: z
    .looseObject({
      newId: z.string().min(1),
      requestId: z.string(),
      requestedTime: time,
    })
    .optional(),
});

const KNOWN_FIELDS = new Set([
  ...Object.keys(headSchema.shape),
  ...Object.keys(specSchema.shape),
  ...stateSchema.options.flatMap((option) => Object.keys(option.shape)),
]);

/** Parses the content of a state.json. @throws Error that says what is wrong with it */
export function parseRecord(text: string): JobRecord {
  const json = JSON.parse(text) as object;
  const { version, stop, restart, lastSignal, defaultLogLimitBytes, ...head } =
    headSchema.parse(json);
  return {
    spec: defined(specSchema.parse(json)) as JobSpec,
    state: defined(stateSchema.parse(json)) as JobState,
    ...head,
    ...defined({
      stop,
      restart,
      lastSignal,
      defaultLogLimitBytes,
      foreign: foreignFields(version, json),
    }),
  };
}

/** Returns the content of a state.json. Unknown fields are written as they were read. */
export function formatRecord({ spec, state, foreign, ...head }: JobRecord): string {
  const json = {
    version: Math.max(RECORD_VERSION, foreign?.version ?? 0),
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
