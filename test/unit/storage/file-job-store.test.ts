import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentLog } from "../../../src/contract/log.js";
import { type EndedJob, endedJob } from "../../../src/core/ended-jobs.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { EndedJobsFile } from "../../../src/storage/ended-jobs-file.js";
import { FileJobStore } from "../../../src/storage/file-job-store.js";
import { readSegment } from "../../../src/storage/durability/journal-segment.js";
import { formatRecord, revisionOf } from "../../../src/storage/job-record.js";
import { someRecord } from "../../helpers/records.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { endedState } from "../core/fake-ports.js";

const STOP = { kind: "cancel", requestedTime: new Date(0), gracePeriodMs: 7 } as const;
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
  expect(await store.load()).toEqual({ ended: [], records: [record], unreadable: [] });
  await store.write(running);
  const next = await FileJobStore.open(stateDir);
  expect(await next.load()).toEqual({ ended: [], records: [running], unreadable: [] });
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

test("with a journal, a record tells its revisions, and a removal the directory that it was", async () => {
  const stateDir = join(tempDir(), "state");
  const open = () =>
    FileJobStore.open(stateDir, { durability: { bootId: "boot", log: silentLog } });
  const store = await open();
  const dir = store.dirOf("job1");
  const revision = () => revisionOf(readFileSync(dir.record, "utf8"));
  await create(store, record);
  const entries = () =>
    ["a", "b"].flatMap((name) => readSegment(join(stateDir, "journal", name)).entries);
  await eventually("the journal", async () => {
    await store.write(running);
    return entries().length > 0;
  });
  const before = revision();
  await store.write(running);
  expect(revision()).toBe(before + 1);
  const { ino } = statSync(dir.path);
  await store.remove("job1");
  expect(entries().at(-1)).toEqual({ kind: "removed", id: "job1", ino });
  await create(store, record);
  expect(revision()).toBe(1);
  await store.write(running);
  await store.close();
  const next = await open();
  await next.write(record);
  expect(revision()).toBe(3);
  await next.close();
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
    expect(await store.load()).toEqual({ ended: [], records: [record], unreadable: [] });
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
  expect(await store.load()).toEqual({ ended: [], records: [], unreadable: [] });
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

describe("a record without content", () => {
  /** Opens a directory that has one such job with an empty log, and one with output. */
  async function openAfter(bootBefore: string, damageJournal: (dir: string) => void = () => {}) {
    const stateDir = join(tempDir(), "state");
    const open = (bootId: string) =>
      FileJobStore.open(stateDir, { durability: { bootId, log: silentLog } });
    const before = await open(bootBefore);
    await create(before, record);
    const journal = join(stateDir, "journal");
    await eventually("the journal", () => existsSync(join(journal, "b")));
    await before.close();
    const jobs = join(stateDir, "jobs");
    for (const [id, logged] of [
      ["cut-off", ""],
      ["damaged", "output"],
    ] as const) {
      mkdirSync(join(jobs, id));
      writeFileSync(join(jobs, id, "state.json"), "");
      writeFileSync(join(jobs, id, "stdout.log"), logged);
    }
    damageJournal(journal);
    const store = await open("this-one");
    const { unreadable } = await store.load();
    await store.close();
    const left = readdirSync(jobs).filter((id) => id !== "job1");
    return { told: unreadable.map(({ id }) => id).toSorted(), left: left.toSorted() };
  }

  const all = ["cut-off", "damaged"];

  test("is of a Start that a power cut has cut off, and is removed unless there is output", async () => {
    expect(await openAfter("another")).toEqual({ told: ["damaged"], left: ["damaged"] });
  });

  test("is told of where the machine was not started anew", async () => {
    expect(await openAfter("this-one")).toEqual({ told: all, left: all });
  });

  test("is told of where the journal of what was answered cannot be read", async () => {
    const damage = (journal: string) => {
      rmSync(join(journal, "a"));
      mkdirSync(join(journal, "a"));
    };
    expect(await openAfter("another", damage)).toEqual({ told: all, left: all });
  });
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
    reason: "STORAGE_UNAVAILABLE",
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

describe("a job that has ended", () => {
  const ended = someRecord(endedState(), {
    sequence: 3,
    spec: { id: "ended", requestId: "r", labels: { queue: "q" } },
  });
  const job = endedJob(ended) as EndedJob;

  /** A state directory whose ended job is noted, with another label than its record has. */
  async function withNote() {
    const { store, stateDir, path, jobs } = await openStore();
    await create(store, ended);
    await store.load();
    await store.close();
    const { ino, size, ctimeMs } = statSync(path("ended", "state.json"));
    const notes = new EndedJobsFile(join(stateDir, "ended-jobs"));
    const note = { ...job, labels: { queue: "as noted" } };
    notes.add({ job: note, stamp: { ino, size, ctimeMs } });
    await notes.close();
    const load = async () => {
      const next = await FileJobStore.open(stateDir);
      const loaded = await next.load();
      await next.close();
      return loaded;
    };
    return { note, load, jobs, path };
  }

  test("is loaded compactly, and its record is read when it is asked for", async () => {
    const { store } = await openStore();
    await create(store, ended);
    expect(await store.load()).toEqual({ ended: [job], records: [], unreadable: [] });
    expect(store.read("ended")).toEqual(ended);
  });

  test.each([
    ["a stop, whose processes may be left", { stop: STOP }],
    ["a log limit", { spec: { ...ended.spec, logLimitBytes: 65_536 } }],
    ["a log limit by default", { defaultLogLimitBytes: 65_536 }],
  ])("and has %s: it is loaded as a whole", async (_, rest) => {
    const { store } = await openStore();
    const whole = { ...ended, ...rest };
    await create(store, whole);
    expect(await store.load()).toEqual({ ended: [], records: [whole], unreadable: [] });
  });

  test("is not read again where it was noted, and nothing has changed", async () => {
    const { note, load } = await withNote();
    expect(await load()).toEqual({ ended: [note], records: [], unreadable: [] });
  });

  test("stays noted where the lines of jobs that are gone are given up", async () => {
    const { store, stateDir } = await openStore();
    await create(store, ended);
    const file = join(stateDir, "ended-jobs");
    writeFileSync(file, "of a job that is gone\n".repeat(10_001));
    await store.load();
    await eventually("the lines to go", () => !readFileSync(file, "utf8").includes("gone"));
    await store.close();
    expect([...(await new EndedJobsFile(file).load()).keys()]).toEqual(["ended"]);
  });

  test("is noted when the core has it remembered", async () => {
    const { store, stateDir } = await openStore();
    const stopped = { ...ended, stop: STOP };
    await create(store, stopped);
    store.remember(endedJob(stopped) as EndedJob);
    store.remember({ ...job, id: "gone" });
    await store.close();
    const next = await FileJobStore.open(stateDir);
    expect(await next.load()).toEqual({ ended: [job], records: [], unreadable: [] });
  });

  describe("is read again, whatever was noted, where its record", () => {
    test("was changed in place, to the same size and time", async () => {
      const { load, path } = await withNote();
      const file = path("ended", "state.json");
      const { atime, mtime } = statSync(file);
      const text = readFileSync(file, "utf8");
      writeFileSync(file, text.replace('"queue": "q"', '"queue": "p"'));
      utimesSync(file, atime, mtime);
      expect((await load()).ended).toEqual([{ ...job, labels: { queue: "p" } }]);
    });

    test("was replaced, as by a restored backup in which the job runs", async () => {
      const { load, path } = await withNote();
      const file = path("ended", "state.json");
      writeFileSync(`${file}.new`, formatRecord({ ...ended, state: running.state }));
      renameSync(`${file}.new`, file);
      const { ended: none, records } = await load();
      expect(none).toEqual([]);
      expect(records).toMatchObject([{ spec: ended.spec, state: { status: "running" } }]);
    });

    test("is in a copy of the state directory", async () => {
      const { load, jobs, path } = await withNote();
      cpSync(jobs, `${jobs}.copy`, { recursive: true, preserveTimestamps: true });
      rmSync(jobs, { recursive: true });
      renameSync(`${jobs}.copy`, jobs);
      expect(statSync(path("ended")).isDirectory()).toBe(true);
      expect((await load()).ended).toEqual([job]);
    });
  });

  test("is reported where its record is damaged or missing, though it was noted", async () => {
    for (const damage of [
      (file: string) => writeFileSync(file, "{"),
      (file: string) => rmSync(file),
    ]) {
      const { load, path } = await withNote();
      damage(path("ended", "state.json"));
      const { ended: none, unreadable } = await load();
      expect(none).toEqual([]);
      expect(unreadable).toMatchObject([{ id: "ended" }]);
    }
  });

  test("is gone with its directory, though it was noted", async () => {
    const { load, path } = await withNote();
    rmSync(path("ended"), { recursive: true });
    expect(await load()).toEqual({ ended: [], records: [], unreadable: [] });
  });

  test("tells why its record cannot be read", async () => {
    const { store, jobs, path } = await openStore();
    await create(store, ended);
    expect(() => store.read("other")).toThrow(
      expect.objectContaining({ reason: "JOB_NOT_FOUND", jobId: "other" }),
    );
    renameSync(jobs, `${jobs}.away`);
    expect(() => store.read("ended")).toThrow(
      expect.objectContaining({ reason: "STORAGE_UNAVAILABLE", jobId: "ended" }),
    );
    renameSync(`${jobs}.away`, jobs);
    writeFileSync(path("ended", "state.json"), "{");
    const unreadable = expect.objectContaining({ reason: "RECORD_UNREADABLE", jobId: "ended" });
    expect(() => store.read("ended")).toThrow(unreadable);
    rmSync(path("ended", "state.json"));
    expect(() => store.read("ended")).toThrow(unreadable);
  });
});
