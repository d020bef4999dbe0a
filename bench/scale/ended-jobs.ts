import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { TerminalState } from "../../src/contract/job.js";
import type { JobRecord } from "../../src/core/ports.js";
import { formatRecord, parseRecord } from "../../src/storage/job-record.js";
import type { Scratch } from "../scratch.js";
import { ServerProcess } from "../server-process.js";

const HOUR_MS = 3_600_000;
const QUEUES = 5;
const FAILED_EVERY = 4;
/** After so many, signals get their turn. */
const BATCH = 200;

/** What Cleanup takes for old: exactly the older half. */
export const OLD_MS = 24 * HOUR_MS;

/** Matches one in 20 of the jobs. */
export const RARE = { labels: { queue: "q0" }, statuses: ["failed"] } as const;

/** The id of the n-th job, from 1. */
export function idOf(n: number): string {
  return `job${String(n).padStart(9, "0")}`;
}

/** A job that has ended, as a server has left it on disk. */
export interface EndedJob {
  readonly record: JobRecord;
  /** Its other files. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/** Has a server run a job to its end. */
export async function runExample(scratch: Scratch): Promise<EndedJob> {
  const server = await ServerProcess.start(scratch);
  const { id } = await server.client.start({ command: "echo", args: ["done"] });
  await server.client.wait(id);
  await server.stop();
  const dir = join(server.stateDir, "jobs", id);
  const names = readdirSync(dir).filter((name) => name !== "state.json");
  return {
    record: parseRecord(readFileSync(join(dir, "state.json"), "utf8")),
    files: new Map(names.map((name) => [name, readFileSync(join(dir, name))])),
  };
}

/** Makes a state directory with so many jobs that are like the example. */
export async function makeEndedJobs(
  scratch: Scratch,
  example: EndedJob,
  count: number,
): Promise<string> {
  const stateDir = join(scratch.dir(), "state");
  mkdirSync(join(stateDir, "jobs"), { recursive: true, mode: 0o700 });
  for (let n = 1; n <= count; n += 1) {
    const dir = join(stateDir, "jobs", idOf(n));
    mkdirSync(dir, { mode: 0o700 });
    for (const [name, content] of example.files) {
      writeFileSync(join(dir, name), content, { mode: 0o600 });
    }
    const record = formatRecord(recordOf(example.record, n, n <= count / 2));
    writeFileSync(join(dir, "state.json"), record, { mode: 0o600 });
    if (n % BATCH === 0) await nextTurn();
  }
  return stateDir;
}

function recordOf({ spec, state, ...head }: JobRecord, n: number, isOld: boolean): JobRecord {
  const endedMs = Date.now() - (isOld ? 2 * OLD_MS : HOUR_MS);
  const times = { startedTime: new Date(endedMs - 10), completedTime: new Date(endedMs) };
  const failure = n % FAILED_EVERY === 0 ? ({ status: "failed", exitCode: 1 } as const) : {};
  return {
    ...head,
    spec: { ...spec, id: idOf(n), labels: { queue: `q${n % QUEUES}`, number: String(n) } },
    sequence: n,
    createdTime: new Date(endedMs - 20),
    state: { ...(state as TerminalState), ...failure, ...times } as TerminalState,
  };
}
