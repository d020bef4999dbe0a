import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
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
    async append(...entries: JournalEntry[]) {
      kept.push(...entries.map(({ kind }) => `entry: ${kind}`));
    },
  };
  const synced = new (class extends SyncedFiles {
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
  expect(kept).toEqual(["entry: record", "entry: process"]);
});

test("where the journal is lost meanwhile, the record and its name are synced after all", async () => {
  const { dir, kept, journal, files } = opened();
  await (await files.writeNew(dir, "pending"))();
  journal.canAppend = false;
  await files.keepProcess(dir, "running");
  expect(kept.toSorted()).toEqual(["names", "process", "record"]);
});
