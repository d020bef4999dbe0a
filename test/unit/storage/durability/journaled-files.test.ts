import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { JobDir } from "../../../../src/core/job-dir.js";
import type { Journal } from "../../../../src/storage/durability/journal.js";
import type { JournalEntry } from "../../../../src/storage/durability/journal-segment.js";
import { JournaledFiles } from "../../../../src/storage/durability/journaled-files.js";
import { SyncedFiles } from "../../../../src/storage/durability/synced-files.js";
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
