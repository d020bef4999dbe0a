import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import { firstOffsetFiles, newFirstOffsetsFile } from "../../../src/storage/first-offset-files.js";
import { tempDir } from "../../helpers/temp-dir.js";

function newJob(): { dir: JobDir; path: string } {
  const dir = new JobDir(tempDir());
  const path = dir.firstOffsets;
  writeFileSync(path, newFirstOffsetsFile());
  return { dir, path };
}

test("what was written last is read, and the file never grows", async () => {
  const { dir, path } = newJob();
  expect(await firstOffsetFiles.read(dir)).toEqual({ stdout: 0, stderr: 0 });
  const { size } = statSync(path);
  for (const offsets of [
    { stdout: 5, stderr: 0 },
    { stdout: 5, stderr: Number.MAX_SAFE_INTEGER },
    { stdout: 20_000_000_000, stderr: 1 },
  ]) {
    await firstOffsetFiles.write(dir, offsets);
    expect(await firstOffsetFiles.read(dir)).toEqual(offsets);
    expect(statSync(path).size).toBe(size);
  }
});

test("a write that is cut short at any byte leaves what was there before", async () => {
  const { dir, path } = newJob();
  for (const [before, after] of [
    [
      { stdout: 111, stderr: 2 },
      { stdout: 3333, stderr: 44 },
    ],
    [
      { stdout: 99_999, stderr: 44 },
      { stdout: 100_000, stderr: 44 },
    ],
  ] as const) {
    await firstOffsetFiles.write(dir, before);
    const old = readFileSync(path);
    await firstOffsetFiles.write(dir, after);
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length += 1) {
      writeFileSync(path, Buffer.concat([whole.subarray(0, length), old.subarray(length)]));
      expect([before, after]).toContainEqual(await firstOffsetFiles.read(dir));
    }
    writeFileSync(path, whole);
  }
});

test.each([
  ["missing", (path: string) => rmSync(path)],
  ["empty", (path: string) => writeFileSync(path, "")],
  ["overwritten", (path: string) => writeFileSync(path, Buffer.alloc(1024))],
  ["of another kind", (path: string) => writeFileSync(path, "0 5 5 0123456789abcdef\n")],
])("a file that is %s tells nothing, and the next write mends it", async (_, damage) => {
  const { dir, path } = newJob();
  damage(path);
  expect(await firstOffsetFiles.read(dir)).toBeUndefined();
  await firstOffsetFiles.write(dir, { stdout: 7, stderr: 8 });
  expect(await firstOffsetFiles.read(dir)).toEqual({ stdout: 7, stderr: 8 });
});

test("what the file system says is passed on", async () => {
  const file = join(tempDir(), "file");
  writeFileSync(file, "");
  await expect(firstOffsetFiles.read(new JobDir(file))).rejects.toMatchObject({
    reason: "STORAGE_UNAVAILABLE",
    message: expect.stringContaining(file),
  });
  await expect(
    firstOffsetFiles.write(new JobDir(join(file, "gone")), { stdout: 1, stderr: 1 }),
  ).rejects.toMatchObject({
    reason: "STORAGE_UNAVAILABLE",
  });
});
