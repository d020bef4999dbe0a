import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { JobDir } from "../../../../src/core/job-dir.js";
import { Journal } from "../../../../src/storage/durability/journal.js";
import type { JournalEntry } from "../../../../src/storage/durability/journal-segment.js";
import { JournaledFiles } from "../../../../src/storage/durability/journaled-files.js";
import { rewriteRecords } from "../../../../src/storage/durability/recover-jobs.js";
import { SyncedFiles } from "../../../../src/storage/durability/synced-files.js";
import { formatRecord } from "../../../../src/storage/job-record.js";
import { eventually } from "../../../helpers/eventually.js";
import { someRecord } from "../../../helpers/records.js";
import { tempDir } from "../../../helpers/temp-dir.js";

/** Tells in which order what is synced: journal entries, files and the jobs' names. */
function opened() {
  const jobsDir = tempDir();
  const dir = new JobDir(join(jobsDir, "job1"));
  mkdirSync(dir.path);
  const kept: string[] = [];
  const journal = {
    canAppend: true,
    makeSoon() {},
    /** Whether the entries of the next calls count until the file is written. */
    areLast: [] as boolean[],
    isThere: true,
    async append(...entries: JournalEntry[]) {
      kept.push(...entries.map(({ kind }) => `entry: ${kind}`));
      if (existsSync(dir.record)) kept.push(readFileSync(dir.record, "utf8"));
      const isLast = journal.areLast.shift() ?? true;
      return { isThere: journal.isThere, isLast: () => isLast };
    },
  };
  const synced = new (class extends SyncedFiles {
    override async replace(_: JobDir, text: string) {
      kept.push(`synced: ${text}`);
    }
    override async keepRecord() {
      kept.push("record");
    }
    override async keepProcess() {
      kept.push("process");
    }
    override async keepNames() {
      kept.push("names");
    }
  })(jobsDir);
  const files = new JournaledFiles(journal as unknown as Journal, synced);
  return { dir, kept, journal, files };
}

test("a new job's record is written, and is in the journal once its command is known", async () => {
  const { dir, kept, files } = opened();
  const keepName = await files.writeNew(dir, "pending");
  await keepName();
  expect(readFileSync(dir.record, "utf8")).toBe("pending");
  expect(kept).toEqual([]);
  writeFileSync(dir.process, "who it is");
  await files.keepProcess(dir, "running");
  expect(kept).toEqual(["entry: record", "entry: process", "pending"]);
});

test("where the journal is lost meanwhile, the record and its name are synced after all", async () => {
  const { dir, kept, journal, files } = opened();
  await (await files.writeNew(dir, "pending"))();
  journal.canAppend = false;
  await files.keepProcess(dir, "running");
  expect(kept.toSorted()).toEqual(["names", "process", "record"]);
});

test("a record is in the journal before it is replaced, since its old content is gone then", async () => {
  const { dir, kept, files } = opened();
  writeFileSync(dir.record, "old");
  await files.replace(dir, "new");
  expect(kept).toEqual(["entry: record", "old"]);
  expect(readFileSync(dir.record, "utf8")).toBe("new");
});

test("a record whose entry may be given up meanwhile is entered again first", async () => {
  const { dir, kept, journal, files } = opened();
  writeFileSync(dir.record, "old");
  journal.areLast = [false, false, true];
  await files.replace(dir, "new");
  expect(kept).toEqual(["entry: record", "old", "entry: record", "old", "entry: record", "old"]);
  expect(readFileSync(dir.record, "utf8")).toBe("new");
});

test("a record that is in no journal after all is synced", async () => {
  const { dir, kept, journal, files } = opened();
  writeFileSync(dir.record, "old");
  journal.areLast = [false];
  journal.isThere = false;
  await files.replace(dir, "new");
  expect(kept).toEqual(["entry: record", "old", "synced: new"]);
});

test("what cannot be written is in no journal", async () => {
  const { dir, kept, files } = opened();
  rmdirSync(dir.path);
  await expect(files.replace(dir, "new")).rejects.toMatchObject({ code: "ENOENT" });
  expect(kept).toEqual([]);
});

test("nothing stays beside a record where the journal and the disk fail", async () => {
  const { dir, journal, files } = opened();
  writeFileSync(dir.record, "old");
  journal.append = () => Promise.reject(new Error("EIO"));
  await expect(files.replace(dir, "new")).rejects.toThrow("EIO");
  expect(readdirSync(dir.path)).toEqual(["state.json"]);
});

test("a record is replaced also where all are written again meanwhile, after a failed sync", async () => {
  const { dir } = opened();
  let failures = 2;
  const syncs = {
    sync: async () => {
      if (failures-- > 0) throw new Error("EIO");
    },
    close() {},
  };
  const rewrite = (entries: readonly JournalEntry[]) =>
    rewriteRecords(entries, { dirOf: () => dir });
  const journal = await Journal.open({
    dir: join(tempDir(), "journal"),
    bootId: "this",
    files: syncs,
    recover: async () => {},
    rewrite,
  });
  const files = new JournaledFiles(journal, new SyncedFiles(join(dir.path, "..")));
  await eventually("the journal", () => {
    journal.makeSoon();
    return journal.canAppend;
  });
  const text = (revision: number) => formatRecord(someRecord(), revision);
  for (const revision of [1, 2, 3]) {
    // More than an entry may have: all files are to be synced instead.
    const large = { kind: "record", id: "x", text: "x".repeat(5e6) } as const;
    if (revision === 2) await expect(journal.append(large)).rejects.toThrow("EIO");
    await files.replace(dir, text(revision));
    expect(readFileSync(dir.record, "utf8")).toBe(text(revision));
    expect(readdirSync(dir.path)).toEqual(["state.json"]);
  }
  await journal.close();
});
