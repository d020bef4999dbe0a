import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { FileSystemSync } from "../../../../src/platform/durable-file.js";
import { Journal } from "../../../../src/storage/durability/journal.js";
import {
  type JournalEntry,
  readSegment,
} from "../../../../src/storage/durability/journal-segment.js";
import { eventually } from "../../../helpers/eventually.js";
import { tempDir } from "../../../helpers/temp-dir.js";

/** A file system whose syncs are counted, and can be held up or made to fail. */
class FakeFileSystem implements FileSystemSync {
  syncs = 0;
  isClosed = false;
  before: () => Promise<void> = async () => {};

  async sync(): Promise<void> {
    await this.before();
    this.syncs += 1;
  }

  close(): void {
    this.isClosed = true;
  }
}

const record = (id: string, text = `{"of": "${id}"}`): JournalEntry => ({
  kind: "record",
  id,
  text,
});

/** Opens the journal in a directory. */
async function open(dir: string, { bootId = "this", recover = async () => true } = {}) {
  const files = new FakeFileSystem();
  const recovered: JournalEntry[] = [];
  const journal = await Journal.open({ dir, bootId, files }, async (entries) => {
    recovered.push(...entries);
    return recover();
  });
  return { journal, files, recovered, dir };
}

/** Opens one, and waits until it is made. */
async function openReady(dir = join(tempDir(), "journal")) {
  const opened = await open(dir);
  await eventually("the journal to be made", () => opened.journal.isReady);
  return opened;
}

/** Returns the entries that a power cut leaves: nothing of the process that wrote them is done. */
async function leftIn(dir: string): Promise<readonly JournalEntry[]> {
  const copy = join(tempDir(), "journal");
  mkdirSync(copy);
  for (const name of ["a", "b"]) {
    if (existsSync(join(dir, name))) copyFileSync(join(dir, name), join(copy, name));
  }
  const { journal, recovered } = await open(copy, { bootId: "next" });
  await journal.close();
  return recovered;
}

test("a new one is made when it is first asked for, and not before", async () => {
  const { journal, dir } = await open(join(tempDir(), "journal"));
  expect(existsSync(join(dir, "a"))).toBe(false);
  expect(journal.isReady).toBe(false);
  await eventually("it to be made", () => journal.isReady);
  await journal.close();
});

test("what was appended is there in the next boot, in its order, and then no more", async () => {
  const { journal, dir } = await openReady();
  const entries: JournalEntry[] = [
    record("a", "one\n\u0000 \u{1F600}"),
    { kind: "process", id: "a", text: "boot\n1\n2\n" },
    { kind: "removed", id: "b", ino: 17 },
    record("a", "two"),
  ];
  await journal.append(entries[0] as JournalEntry, entries[1] as JournalEntry);
  await Promise.all(entries.slice(2).map((entry) => journal.append(entry)));
  expect(await leftIn(dir)).toEqual(entries);
  const next = await open(dir, { bootId: "next" });
  expect(next.recovered).toEqual(entries);
  expect(next.files.syncs).toBeGreaterThan(0);
  expect(await leftIn(dir)).toEqual([]);
  await next.journal.close();
  await journal.close();
});

test("cut short at any byte, it has a beginning of what was appended, and nothing else", async () => {
  const { journal, dir } = await openReady();
  const entries = ["a", "b", "c"].map((id) => record(id));
  for (const entry of entries) await journal.append(entry);
  const bytes = readFileSync(join(dir, "a"));
  const end = bytes.indexOf(0);
  const copy = join(tempDir(), "a");
  let most = 0;
  for (let cut = 0; cut <= end; cut += 1) {
    // The rest is of an earlier use: zeros, or garbage.
    for (const rest of [0, 0x30, 0x0a]) {
      writeFileSync(copy, Buffer.concat([bytes.subarray(0, cut), Buffer.alloc(300, rest)]));
      const left = readSegment(copy)?.entries ?? [];
      expect(left).toEqual(entries.slice(0, left.length));
      most = Math.max(most, left.length);
    }
  }
  expect(most).toBe(3);
  await journal.close();
});

test("of the same boot, its entries are no news; they count until all files are synced", async () => {
  const { dir } = await openReady().then(async (first) => {
    await first.journal.append(record("a"));
    return first;
  });
  const next = await open(dir);
  expect(next.recovered).toEqual([]);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  next.files.before = () => held;
  expect(next.journal.isReady).toBe(true);
  const appended = vi.fn<() => void>();
  const append = next.journal.append(record("b")).then(appended);
  expect(await leftIn(dir)).toEqual([record("a")]);
  expect(appended).not.toHaveBeenCalled();
  release();
  await append;
  expect(await leftIn(dir)).toEqual([record("b")]);
  await next.journal.close();
});

test("what cannot be recovered waits for the next server, and there is no journal meanwhile", async () => {
  const { dir, journal } = await openReady();
  await journal.append(record("a"));
  const next = await open(dir, { bootId: "next", recover: async () => false });
  expect(next.journal.isReady).toBe(false);
  await next.journal.close();
  expect(await leftIn(dir)).toEqual([record("a")]);
  await journal.close();
});

test("more than fits goes on in the other file, and what was synced is given up", async () => {
  const { journal, dir, files } = await openReady();
  const text = "x".repeat(100_000);
  const ids = Array.from({ length: 100 }, (_, index) => `job${index}`);
  await Promise.all(ids.map((id) => journal.append(record(id, text))));
  // 2 MiB hold 20 of them.
  expect(files.syncs).toBeGreaterThanOrEqual(4);
  expect(files.syncs).toBeLessThan(20);
  const left = (await leftIn(dir)).map(({ id }) => id);
  expect(left.length).toBeLessThanOrEqual(40);
  expect(left).toEqual(ids.slice(-left.length));
  await journal.close();
});

test("an entry that fits into no file is not written, but the files that it tells of are synced", async () => {
  const { journal, dir, files } = await openReady();
  await journal.append(record("a", "old"));
  await journal.append(record("a", "x".repeat(5_000_000)));
  expect(files.syncs).toBe(1);
  expect(await leftIn(dir)).toEqual([]);
  await journal.append(record("a", "new"));
  expect(await leftIn(dir)).toEqual([record("a", "new")]);
  await journal.close();
});

test("an entry is kept by syncing all files where it cannot be written", async () => {
  const { journal, dir, files } = await openReady();
  await journal.append(record("a", "old"));
  rmSync(dir, { recursive: true });
  // Its other file cannot be made either.
  await journal.append(record("a", "x".repeat(5_000_000)));
  expect(files.syncs).toBeGreaterThan(0);
  files.before = async () => {
    throw new Error("the disk is broken");
  };
  await expect(journal.append(record("a", "x".repeat(5_000_000)))).rejects.toThrow();
  await journal.close();
});

test("a failed sync of the files gives nothing up", async () => {
  const { journal, dir, files } = await openReady();
  await journal.append(record("a"));
  files.before = async () => {
    throw new Error("the disk is broken");
  };
  await expect(journal.append(record("b", "x".repeat(5_000_000)))).rejects.toThrow("broken");
  expect(await leftIn(dir)).toEqual([record("a")]);
  files.before = async () => {};
  await journal.append(record("c"));
  expect(await leftIn(dir)).toEqual([record("c")]);
  await journal.close();
});

test("closing syncs the files and gives all up, unless the disk takes too long", async () => {
  const { journal, dir, files } = await openReady();
  await journal.append(record("a"));
  await journal.close();
  expect(files).toMatchObject({ syncs: 1 });
  await eventually("the file system to be closed", () => files.isClosed);
  expect(await leftIn(dir)).toEqual([]);

  const slow = await openReady(dir);
  await slow.journal.append(record("b"));
  let release = () => {};
  slow.files.before = () => new Promise((resolve) => (release = resolve));
  await slow.journal.close();
  expect(await leftIn(dir)).toEqual([record("b")]);
  release();
  await eventually("the file system to be closed", () => slow.files.isClosed);
  expect(await leftIn(dir)).toEqual([record("b")]);
});
