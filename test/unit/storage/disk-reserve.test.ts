import { existsSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { keepReserve, withReserve } from "../../../src/storage/disk-reserve.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";

const RESERVE_BYTES = 1024 * 1024;

function keep(dir: string, intervalMs?: number): string {
  onTestFinished(keepReserve(dir, intervalMs));
  return join(dir, "reserve");
}

/** A disk that has room once so much of the reserve was given up. */
function fullUntil(path: string, givenUpBytes: number, code = "ENOSPC") {
  const attempts: number[] = [];
  const write = async () => {
    const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    attempts.push(size);
    if (RESERVE_BYTES - size < givenUpBytes) throw Object.assign(new Error("full"), { code });
    return "written";
  };
  return { write, attempts };
}

test("the reserve is a private file with content of its own, and one that is there is left", () => {
  const dir = tempDir();
  const path = keep(dir);
  expect(statSync(path)).toMatchObject({ size: RESERVE_BYTES, mode: 0o100600 });
  const content = readFileSync(path);
  expect(content.equals(Buffer.alloc(RESERVE_BYTES))).toBe(false);
  keep(dir);
  expect(readFileSync(path).equals(content)).toBe(true);
});

test("one that was used or deleted is made again after a while", async () => {
  const path = keep(tempDir(), 5);
  truncateSync(path, 4096);
  await eventually("a whole one", () => statSync(path).size === RESERVE_BYTES);
  rmSync(path);
  await eventually("a new one", () => existsSync(path));
});

test("where none can be made there is none", () => {
  expect(existsSync(keep(join(tempDir(), "gone")))).toBe(false);
});

test("a write that has room leaves it alone, and so does another failure", async () => {
  const dir = tempDir();
  const path = keep(dir);
  expect(await withReserve(dir, fullUntil(path, 0).write)).toBe("written");
  const denied = fullUntil(path, 1, "EACCES");
  await expect(withReserve(dir, denied.write)).rejects.toThrow("full");
  expect(denied.attempts).toHaveLength(1);
  expect(statSync(path).size).toBe(RESERVE_BYTES);
});

test.each(["ENOSPC", "EDQUOT"])("as much as a write needs is given up: %s", async (code) => {
  const dir = tempDir();
  const path = keep(dir);
  const { write, attempts } = fullUntil(path, 100_000, code);
  expect(await withReserve(dir, write)).toBe("written");
  expect(attempts).toEqual([RESERVE_BYTES, RESERVE_BYTES - 65_536, RESERVE_BYTES - 131_072]);
  expect(statSync(path).size).toBe(RESERVE_BYTES - 131_072);
});

test("at last the file is given up, and then the write fails", async () => {
  const dir = tempDir();
  const path = keep(dir);
  const { write, attempts } = fullUntil(path, RESERVE_BYTES + 1);
  await expect(withReserve(dir, write)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(attempts).toHaveLength(RESERVE_BYTES / 65_536 + 1);
  expect(existsSync(path)).toBe(false);
  await expect(withReserve(dir, write)).rejects.toMatchObject({ code: "ENOSPC" });
});

test("one of an odd size is given up too", async () => {
  const dir = tempDir();
  const path = join(dir, "reserve");
  writeFileSync(path, "little");
  expect(await withReserve(dir, fullUntil(path, RESERVE_BYTES).write)).toBe("written");
});
