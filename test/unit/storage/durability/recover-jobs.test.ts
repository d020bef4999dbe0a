import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { JobDir } from "../../../../src/core/job-dir.js";
import { recoverJobs, rewriteRecords } from "../../../../src/storage/durability/recover-jobs.js";
import { formatRecord } from "../../../../src/storage/job-record.js";
import { someRecord } from "../../../helpers/records.js";
import { tempDir } from "../../../helpers/temp-dir.js";
import { endedState } from "../../core/fake-ports.js";

const startedTime = new Date("2026-02-03T04:05:06.789Z");
const pending = formatRecord(someRecord(), 1);
const running = formatRecord(
  someRecord({ status: "running", pid: 7, startedTime, containment: "session" }),
  2,
);
const ended = formatRecord(someRecord(endedState(1_000_000)), 3);
const endedLater = formatRecord(someRecord(endedState(2_000_000)), 4);
/** As a version writes it that knows no revisions, and keeps what it does not know. */
const endedByOther = formatRecord(someRecord(endedState(9_000_000)), 2);
const PROCESS = "boot\n1 (sh) S 0\n2 (sh) S 1\ncgroup \n";

const record = (text: string) => ({ kind: "record", id: "job1", text }) as const;
const process = { kind: "process", id: "job1", text: PROCESS } as const;
const removed = (ino: number) => ({ kind: "removed", id: "job1", ino }) as const;

function jobsDir() {
  const jobs = tempDir();
  const dirs = {
    dirOf: (id: string) => new JobDir(join(jobs, id)),
    draftOf: (id: string) => new JobDir(join(jobs, `.new-${id}`)),
    removedOf: (id: string) => new JobDir(join(jobs, `.removed-${id}`)),
    inodeOf: ({ path }: JobDir) => statSync(path, { throwIfNoEntry: false })?.ino,
    withReserve: async (write: () => void) => write(),
  };
  const dir = dirs.dirOf("job1");
  return { jobs, dirs, dir };
}

function make(dir: JobDir, files: Readonly<Record<string, string>>): void {
  mkdirSync(dir.path);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir.path, name), text);
}

const textOf = (path: string) => readFileSync(path, "utf8");

test("a job whose name was lost is there again, with what is left of its files", async () => {
  const { dirs, dir } = jobsDir();
  make(dirs.draftOf("job1"), { "stdout.log": "output", "state.json": "" });
  const entries = [record(pending), record(running), process];
  expect(await recoverJobs(entries, dirs)).toEqual({ ids: ["job1"], failedIds: [] });
  expect(textOf(dir.record)).toBe(running);
  expect(textOf(dir.process)).toBe(PROCESS);
  expect(textOf(dir.log("stdout"))).toBe("output");
  expect(textOf(dir.log("stderr"))).toBe("");
  // By which a server tells when the command was started.
  expect(statSync(dir.process).mtime).toEqual(startedTime);
});

test("a job of which nothing is left is made, for its owner only", async () => {
  const { jobs, dirs, dir } = jobsDir();
  await recoverJobs([record(ended)], dirs);
  expect(readdirSync(jobs)).toEqual(["job1"]);
  expect(readdirSync(dir.path).toSorted()).toEqual(["state.json", "stderr.log", "stdout.log"]);
  expect(statSync(dir.path).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(dir.path)) {
    expect(statSync(join(dir.path, name)).mode & 0o777).toBe(0o600);
  }
});

test("files that say the same are not touched", async () => {
  const { dirs, dir } = jobsDir();
  make(dir, { "state.json": running, process: PROCESS });
  const before = statSync(dir.record);
  await recoverJobs([record(pending), process, record(running)], dirs);
  expect(statSync(dir.record)).toMatchObject({ ino: before.ino, ctimeMs: before.ctimeMs });
});

test.each([
  ["lost", undefined, running, running],
  ["empty", "", running, running],
  ["cut short", running.slice(0, 90), running, running],
  ["older", pending, running, running],
  ["older than the end", running, ended, ended],
  ["newer", ended, running, ended],
  ["ended, and older", ended, endedLater, endedLater],
  ["ended, and newer", endedLater, ended, endedLater],
  ["another version's, of what the journal tells of", endedByOther, running, endedByOther],
])("a record that is %s", async (_, found, recorded, expected) => {
  const { dirs, dir } = jobsDir();
  make(dir, found === undefined ? {} : { "state.json": found });
  await recoverJobs([record(recorded)], dirs);
  expect(textOf(dir.record)).toBe(expected);
});

test("a removed job is moved away, and one that was put in its place is not", async () => {
  const { dirs, dir } = jobsDir();
  make(dir, { "state.json": ended });
  const { ino } = statSync(dir.path);
  await recoverJobs([record(ended), removed(ino + 1)], dirs);
  expect(textOf(dir.record)).toBe(ended);
  await recoverJobs([record(ended), removed(ino)], dirs);
  expect(existsSync(dir.path)).toBe(false);
  expect(existsSync(dirs.removedOf("job1").path)).toBe(true);
  rmSync(dirs.removedOf("job1").path, { recursive: true });
  await recoverJobs([record(ended), removed(ino)], dirs);
  expect(existsSync(dir.path)).toBe(false);
});

test("jobs that cannot be written are told of, and the others are recovered", async () => {
  const { jobs, dirs } = jobsDir();
  writeFileSync(join(jobs, "job1"), "no directory");
  const other = { kind: "record", id: "other", text: ended } as const;
  const found = await recoverJobs([record(ended), other], dirs);
  expect(found).toEqual({ ids: ["job1", "other"], failedIds: ["job1"] });
  expect(textOf(dirs.dirOf("other").record)).toBe(ended);
});

test("a removal that was begun is finished, and not undone", async () => {
  const { jobs, dirs, dir } = jobsDir();
  make(dirs.removedOf("job1"), { "state.json": ended, "stdout.log": "output" });
  await recoverJobs([record(ended)], dirs);
  expect(existsSync(dir.path)).toBe(false);
  expect(readdirSync(jobs)).toEqual([".removed-job1"]);
});

test("what a runner has added to its record of the command is left", async () => {
  const { dirs, dir } = jobsDir();
  make(dir, { "state.json": running, process: `${PROCESS}not executed: no memory\n` });
  await recoverJobs([record(running), process], dirs);
  expect(textOf(dir.process)).toContain("no memory");
});

test("records are written again where they are as the journal says", () => {
  const { dirs, dir } = jobsDir();
  make(dir, { "state.json": running });
  const before = statSync(dir.record).ino;
  rewriteRecords([record(pending)], dirs);
  expect(statSync(dir.record).ino).toBe(before);
  rewriteRecords([record(pending), record(running)], dirs);
  expect(statSync(dir.record).ino).not.toBe(before);
  expect(textOf(dir.record)).toBe(running);
});

test("a record that is older than what the journal tells is written again, a newer one is not", () => {
  const { dirs, dir } = jobsDir();
  // The first of them as it is about to be replaced.
  make(dir, { "state.json": pending, "state.json.tmp": endedLater });
  rewriteRecords([record(running)], dirs);
  expect(textOf(dir.record)).toBe(running);
  expect(textOf(`${dir.record}.tmp`)).toBe(endedLater);
  writeFileSync(dir.record, ended);
  rewriteRecords([record(running)], dirs);
  expect(textOf(dir.record)).toBe(ended);
  rmSync(dir.path, { recursive: true });
  rewriteRecords([record(running)], dirs);
  expect(existsSync(dir.path)).toBe(false);
});
