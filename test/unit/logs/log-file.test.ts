import { unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { bytesFrom, bytesUpTo, LogFile, statLog } from "../../../src/logs/reading/log-file.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { fileOperationsDone } from "./event-loop-turn.js";
import { openFilesBelow } from "./held-resources.js";

const isLinux = process.platform === "linux";

function newLog(content?: string): { file: LogFile; dir: string; path: string } {
  const dir = tempDir();
  const path = join(dir, "stdout.log");
  if (content !== undefined) writeFileSync(path, content);
  const file = new LogFile(path);
  onTestFinished(() => file.close());
  return { file, dir, path };
}

describe("a log file", () => {
  test("that is not there is empty, and is looked for again", async () => {
    const { file, path } = newLog();
    expect(await file.open()).toBe(false);
    expect(await file.size()).toBe(0);
    expect(await file.read(0, 10)).toHaveLength(0);
    writeFileSync(path, "there");
    expect(await file.open()).toBe(true);
    expect(await file.size()).toBe(5);
  });

  test("is read from any offset, as far as it goes", async () => {
    const { file } = newLog("0123456789");
    expect(String(await file.read(2, 3))).toBe("234");
    expect(String(await file.read(8, 10))).toBe("89");
    expect(await file.read(10, 10)).toHaveLength(0);
    const memory = Buffer.alloc(4);
    expect((await file.read(4, 3, memory)).buffer).toBe(memory.buffer);
    expect(String(memory)).toBe("456\0");
  });

  test("is read to its end although it was deleted", async () => {
    const { file, path } = newLog("content");
    await file.open();
    unlinkSync(path);
    expect(String(await file.read(0, 10))).toBe("content");
    expect(statLog(path)).toEqual({ size: 0, allocatedBytes: 0, modifiedMs: 0 });
  });

  test.runIf(isLinux)("is opened once, however many ask at the same time", async () => {
    const { file, dir } = newLog("content");
    await Promise.all([file.open(), file.size(), file.read(0, 1), file.open()]);
    expect(openFilesBelow(dir)).toHaveLength(1);
    file.close();
    await eventually("it to be closed", () => openFilesBelow(dir).length === 0);
  });

  test.runIf(isLinux)("that is closed while it is being opened does not stay open", async () => {
    const { file, dir } = newLog("content");
    const opening = file.open();
    file.close();
    expect(await opening).toBe(false);
    await fileOperationsDone();
    expect(openFilesBelow(dir)).toEqual([]);
  });

  test.runIf(isLinux)("that was closed is not opened again", async () => {
    const { file, dir } = newLog("content");
    await file.open();
    file.close();
    expect(await file.open()).toBe(false);
    expect(await file.read(0, 10)).toHaveLength(0);
    await fileOperationsDone();
    expect(openFilesBelow(dir)).toEqual([]);
  });
});

describe("of bytes from 10 to 15,", () => {
  const bytes = { offset: 10, data: Buffer.from("abcde") };

  test.each([
    [0, 10, "abcde"],
    [10, 10, "abcde"],
    [12, 12, "cde"],
    [15, 15, ""],
    // There are none from there on, and they end where they end.
    [99, 15, ""],
  ])("those from %i on are at %i: %j", (position, offset, text) => {
    const from = bytesFrom(bytes, position);
    expect([from.offset, String(from.data)]).toEqual([offset, text]);
  });

  test.each([
    [99, "abcde"],
    [15, "abcde"],
    [12, "ab"],
    [10, ""],
    [8, ""],
    [3, ""],
  ])("those up to %i are %j", (position, text) => {
    const upTo = bytesUpTo(bytes, position);
    expect([upTo.offset, String(upTo.data)]).toEqual([10, text]);
  });
});
