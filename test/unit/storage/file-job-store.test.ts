import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { JobRecord } from "../../../src/core/ports.js";
import { FileJobStore } from "../../../src/storage/file-job-store.js";
import { someRecord } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

const record = someRecord();
const running = someRecord({
  status: "running",
  pid: 7,
  startedTime: new Date(0),
  containment: "session",
});

async function openStore() {
  const stateDir = join(tempDir(), "state");
  const store = await FileJobStore.open(stateDir);
  const jobs = join(stateDir, "jobs");
  return { store, stateDir, jobs, path: (...names: string[]) => join(jobs, ...names) };
}

/** Makes a job's directory, as a Start does. */
async function create(store: FileJobStore, record: JobRecord): Promise<void> {
  const draft = store.draft(record);
  try {
    await draft.written;
    await draft.publish();
  } catch (error) {
    await draft.discard();
    await store.remove(record.spec.id).catch(() => {});
    throw error;
  }
}

const modeOf = (path: string) => statSync(path).mode & 0o777;

test("what is created and written is what is loaded, also by the next process", async () => {
  const { store, stateDir, jobs } = await openStore();
  await create(store, record);
  expect(await store.load()).toEqual({ records: [record], unreadable: [] });
  await store.write(running);
  const next = await FileJobStore.open(stateDir);
  expect(await next.load()).toEqual({ records: [running], unreadable: [] });
  expect(readdirSync(jobs)).toEqual(["job1"]);
});

test("nobody else can read any of it", async () => {
  const { store, stateDir, path } = await openStore();
  await create(store, someRecord(undefined, { spec: { logLimitBytes: 65_536 } }));
  for (const dir of [stateDir, path(), path("job1")]) expect(modeOf(dir)).toBe(0o700);
  const files = readdirSync(path("job1"));
  expect(files.toSorted()).toEqual(["first-offsets", "state.json", "stderr.log", "stdout.log"]);
  for (const file of files) expect(modeOf(path("job1", file))).toBe(0o600);
  await store.write(record);
  expect(modeOf(path("job1", "state.json"))).toBe(0o600);
});

test("where the logs begin is kept only of jobs with a log limit, whoever chose it", async () => {
  const { store, path } = await openStore();
  await create(store, record);
  await create(store, someRecord(undefined, { spec: { id: "a", logLimitBytes: 65_536 } }));
  await create(store, someRecord(undefined, { spec: { id: "b" }, defaultLogLimitBytes: 65_536 }));
  const kept = ["job1", "a", "b"].map((id) => existsSync(path(id, "first-offsets")));
  expect(kept).toEqual([false, true, true]);
});

describe("what a crash has left", () => {
  test("of jobs that were never made, or are removed, is swept at load", async () => {
    const { store, jobs, path } = await openStore();
    await create(store, record);
    for (const name of [".new-x", ".removed-y"]) {
      mkdirSync(path(name));
      writeFileSync(path(name, "state.json"), "{");
    }
    writeFileSync(path(".removed-file"), "");
    expect(await store.load()).toEqual({ records: [record], unreadable: [] });
    expect(readdirSync(jobs)).toEqual(["job1"]);
  });

  test("in the place of a job does not hinder a new one, nor its removal", async () => {
    const { store, jobs, path } = await openStore();
    await create(store, record);
    writeFileSync(path("job1", "state.json.tmp"), "{");
    await store.write(running);
    expect((await store.load()).records).toEqual([running]);
    await store.remove("job1");
    expect(readdirSync(jobs)).toEqual([]);
  });
});

test("files that are no job's are left alone", async () => {
  const { store, path } = await openStore();
  writeFileSync(path("notes.txt"), "mine");
  expect(await store.load()).toEqual({ records: [], unreadable: [] });
  expect(readFileSync(path("notes.txt"), "utf8")).toBe("mine");
});

test("records that cannot be read are told of, and left as they are", async () => {
  const { store, path } = await openStore();
  await create(store, record);
  mkdirSync(path("empty"));
  mkdirSync(path("broken"));
  writeFileSync(path("broken", "state.json"), "{");
  // A copy: whose it is cannot be known.
  mkdirSync(path("copy"));
  writeFileSync(path("copy", "state.json"), readFileSync(path("job1", "state.json")));

  const { records, unreadable } = await store.load();
  expect(records).toEqual([record]);
  const causes = Object.fromEntries(unreadable.map(({ id, error }) => [id, error]));
  for (const [id, cause] of [
    ["broken", "JSON"],
    ["copy", "its id is job1"],
    ["empty", "ENOENT"],
  ] as const) {
    expect(causes[id]?.message).toBe(`read the record of job ${id}`);
    expect(String(causes[id]?.cause)).toContain(cause);
  }
  expect(unreadable).toHaveLength(3);
  expect(readFileSync(path("broken", "state.json"), "utf8")).toBe("{");
});

test("a removed job is gone with all its files, and can be removed again", async () => {
  const { store, jobs } = await openStore();
  await create(store, record);
  await store.remove("job1");
  expect(readdirSync(jobs)).toEqual([]);
  await store.remove("job1");
});

test("a record of a job whose directory somebody has deleted is not written", async () => {
  const { store, path } = await openStore();
  await create(store, record);
  rmSync(path("job1"), { recursive: true });
  await expect(store.write(running)).rejects.toMatchObject({
    reason: "JOB_NOT_FOUND",
    jobId: "job1",
  });
});

describe("without the directory of all jobs", () => {
  async function openWithout() {
    const { store, jobs } = await openStore();
    await create(store, record);
    // As of a file system that is not there for a while.
    renameSync(jobs, `${jobs}.away`);
    return { store, jobs };
  }
  const unavailable = (message: string) =>
    expect.objectContaining({
      reason: "STORAGE_UNAVAILABLE",
      jobId: "job1",
      message: expect.stringContaining(message),
    });

  test("nothing is created", async () => {
    const { store } = await openWithout();
    await expect(create(store, record)).rejects.toEqual(
      unavailable("create the directory of job job1: ENOENT"),
    );
  });

  test("the job is not taken to be deleted", async () => {
    const { store, jobs } = await openWithout();
    await expect(store.write(running)).rejects.toEqual(
      unavailable(`write ${join(jobs, "job1", "state.json")}: ENOENT`),
    );
    await expect(store.remove("job1")).rejects.toEqual(
      unavailable("remove the directory of job job1: ENOENT"),
    );
    renameSync(`${jobs}.away`, jobs);
    expect((await store.load()).records).toEqual([record]);
  });
});

test("a record that cannot be written is an error, and the old one stays", async () => {
  const { store, path } = await openStore();
  await create(store, record);
  mkdirSync(path("job1", "state.json.tmp"));
  await expect(store.write(running)).rejects.toMatchObject({
    reason: "INTERNAL",
    message: expect.stringContaining(`write ${path("job1", "state.json")}: EISDIR`),
  });
  expect((await store.load()).records).toEqual([record]);
});

test("a job that cannot be created leaves nothing behind", async () => {
  const { store, jobs, path } = await openStore();
  writeFileSync(path("job1"), "in the way");
  await expect(create(store, record)).rejects.toMatchObject({ jobId: "job1" });
  expect(readdirSync(jobs)).toEqual([]);
});
