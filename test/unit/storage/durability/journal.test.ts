import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import type { FileSystemSync } from "../../../../src/platform/durable-file.js";
import { Journal } from "../../../../src/storage/durability/journal.js";
import {
  type JournalEntry,
  readSegment,
} from "../../../../src/storage/durability/journal-segment.js";
import { eventually } from "../../../helpers/eventually.js";
import { tempDir } from "../../../helpers/temp-dir.js";

/** What becomes of syncs of the journal's own files. */
const disk = vi.hoisted(() => ({ syncs: 0, error: undefined as Error | undefined }));

vi.mock("node:fs", async (importOriginal) => {
  const fs = await importOriginal<typeof import("node:fs")>();
  const fdatasync: typeof fs.fdatasync = Object.assign(
    (fd: number, callback: (error: NodeJS.ErrnoException | null) => void) => {
      disk.syncs += 1;
      if (disk.error) callback(disk.error);
      else fs.fdatasync(fd, callback);
    },
    { __promisify__: fs.fdatasync.__promisify__ },
  );
  return { ...fs, fdatasync };
});

afterEach(() => {
  disk.error = undefined;
});

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

/** More than a file holds. */
const LARGE = "x".repeat(5_000_000);

/** Opens the journal in a directory. */
async function open(dir: string, { bootId = "this" } = {}) {
  const files = new FakeFileSystem();
  const recovered: JournalEntry[] = [];
  const rewritten: JournalEntry[] = [];
  const recover = async (entries: readonly JournalEntry[]) => void recovered.push(...entries);
  const rewrite = (entries: readonly JournalEntry[]) => void rewritten.push(...entries);
  const journal = await Journal.open({ dir, bootId, files, recover, rewrite });
  return { journal, files, recovered, rewritten, dir };
}

/** Opens one, and waits until it is made. */
async function openReady(dir = join(tempDir(), "journal")) {
  const opened = await open(dir);
  await makeIt(opened.journal);
  return opened;
}

async function makeIt(journal: Journal): Promise<void> {
  await eventually("the journal to be made", () => {
    journal.makeSoon();
    return journal.canAppend;
  });
}

/** Returns the entries that are there for the next boot, synced or not: nothing of the process that wrote them is done. */
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

test("a new one is made when that is asked for, and not before", async () => {
  const { journal, dir } = await open(join(tempDir(), "journal"));
  expect(journal.canAppend).toBe(false);
  expect(existsSync(join(dir, "a"))).toBe(false);
  await makeIt(journal);
  expect(readdirSync(dir)).toEqual(["a", "b"]);
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

test("an append resolves once its own bytes are synced, and many share a sync", async () => {
  const { journal } = await openReady();
  const before = disk.syncs;
  await journal.append(record("a"));
  expect(disk.syncs).toBe(before + 1);
  await Promise.all(["b", "c", "d", "e", "f"].map((id) => journal.append(record(id))));
  // The first one's, and one for all that came while it was under way.
  expect(disk.syncs).toBe(before + 3);
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
      const left = readSegment(copy).entries;
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
  expect(next.journal.canAppend).toBe(true);
  const appended = vi.fn<() => void>();
  const append = next.journal.append(record("b")).then(appended);
  expect(await leftIn(dir)).toEqual([record("a")]);
  expect(appended).not.toHaveBeenCalled();
  release();
  await append;
  expect(await leftIn(dir)).toEqual([record("b")]);
  await next.journal.close();
});

test("entries of this boot are no news, whatever the other file's boot was", async () => {
  const first = await openReady();
  await first.journal.append(record("a"));
  const second = await open(first.dir, { bootId: "next" });
  expect(second.recovered).toEqual([record("a")]);
  await makeIt(second.journal);
  await second.journal.append(record("b"));
  // Both have the header of an earlier boot, and one of them entries.
  const bytes = readFileSync(join(first.dir, "b"), "utf8").replace(/ next\n/, " earlier\n");
  writeFileSync(join(first.dir, "b"), bytes);
  const third = await open(first.dir, { bootId: "next" });
  expect(third.recovered).toEqual([]);
  for (const { journal } of [first, second, third]) await journal.close();
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
  expect(left).toEqual(left.length === 0 ? [] : ids.slice(-left.length));
  await journal.close();
});

test("an entry that fits into no file is not written, but the files that it tells of are synced", async () => {
  const { journal, dir, files } = await openReady();
  await journal.append(record("a", "old"));
  await journal.append(record("a", LARGE));
  expect(files.syncs).toBe(1);
  expect(await leftIn(dir)).toEqual([]);
  await journal.append(record("a", "new"));
  expect(await leftIn(dir)).toEqual([record("a", "new")]);
  await journal.close();
});

test("a large entry waits for a sync that begins after it was told of", async () => {
  const { journal, files } = await openReady();
  let release = () => {};
  let begun = 0;
  files.before = () => {
    begun += 1;
    return new Promise((resolve) => (release = resolve));
  };
  const answered: string[] = [];
  const first = journal.append(record("a", LARGE)).then(() => answered.push("a"));
  await eventually("the first sync", () => begun === 1);
  const second = journal.append(record("b", LARGE)).then(() => answered.push("b"));
  release();
  await first;
  await eventually("a second sync", () => begun === 2);
  expect(answered).toEqual(["a"]);
  release();
  await second;
  await journal.close();
});

test("an entry is kept by syncing all files where it cannot be written", async () => {
  const { journal, dir, files } = await openReady();
  await journal.append(record("a", "old"));
  disk.error = new Error("the disk is broken");
  await Promise.all([journal.append(record("a", "new")), journal.append(record("b"))]);
  expect(files.syncs).toBeGreaterThan(0);
  // What it said would replace what comes later.
  expect(readdirSync(dir)).toEqual([]);
  expect(journal.canAppend).toBe(false);
  journal.makeSoon();
  expect(journal.canAppend).toBe(false);
  await journal.close();
});

test("a failed sync of the files gives nothing up, and has what it left out written again", async () => {
  const { journal, dir, files, rewritten } = await openReady();
  await journal.append(record("a"));
  files.before = async () => {
    throw new Error("the disk is broken");
  };
  await expect(journal.append(record("b", LARGE))).rejects.toThrow("broken");
  expect(await leftIn(dir)).toEqual([record("a")]);
  expect(journal.canAppend).toBe(true);
  expect(rewritten).toEqual([record("a")]);
  files.before = async () => {};
  await journal.append(record("c")).catch(() => {});
  expect(rewritten.length).toBeGreaterThan(1);
  expect((await leftIn(dir)).map(({ id }) => id)).not.toContain("a");
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

test("one that was being made when its process was killed is of no earlier boot", async () => {
  const dir = join(tempDir(), "journal");
  mkdirSync(dir);
  // Before the first line of it is there; and one that is whole.
  writeFileSync(join(dir, "a"), Buffer.alloc(4096));
  const begun = await open(dir);
  expect(begun.journal.isOfEarlierBoot).toBe(false);
  await makeIt(begun.journal);
  await begun.journal.close();
  expect((await open(dir)).journal.isOfEarlierBoot).toBe(false);
  expect((await open(dir, { bootId: "next" })).journal.isOfEarlierBoot).toBe(true);
});
