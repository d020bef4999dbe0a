import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as eventLoopTurn } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { CHUNK_BYTES, LogFile } from "../../../src/logs/reading/log-file.js";
import { isTurnSpent, loadReadCached, readCached } from "../../../src/logs/reading/read-cached.js";
import { tempDir } from "../../helpers/temp-dir.js";

const MIB = 1024 * 1024;
const TMPFS_MAGIC = 0x01021994;

function fileOf(content: Buffer): string {
  const path = join(tempDir(), "log");
  writeFileSync(path, content);
  return path;
}

/** GNU dd's way; elsewhere the file stays in memory. */
function dropFromMemory(path: string): void {
  execFileSync("sh", ["-c", `dd of="$0" oflag=nocache conv=notrunc,fdatasync count=0 || :`, path], {
    stdio: "ignore",
  });
}

function openFile(path: string): number {
  const fd = openSync(path, "r");
  onTestFinished(() => closeSync(fd));
  return fd;
}

describe.runIf(process.platform === "linux")("readCached", () => {
  test("reads what was just written, from any offset", async () => {
    await loadReadCached();
    const content = randomBytes(3 * CHUNK_BYTES + 17);
    const fd = openFile(fileOf(content));
    await eventLoopTurn();
    for (const [offset, length] of [
      [0, CHUNK_BYTES],
      [4097, CHUNK_BYTES],
      [content.length - 17, 17],
    ] as const) {
      const into = Buffer.alloc(length);
      expect(readCached(fd, into, offset)).toBe(true);
      expect(into.equals(content.subarray(offset, offset + length))).toBe(true);
    }
  });

  test("reads beyond 4 GiB", async () => {
    await loadReadCached();
    const path = fileOf(Buffer.alloc(0));
    const offset = 5 * 1024 ** 3;
    execFileSync("sh", [
      "-c",
      `printf end | dd of="$0" bs=1M seek=5120 conv=notrunc status=none`,
      path,
    ]);
    await eventLoopTurn();
    const into = Buffer.alloc(3);
    expect(readCached(openFile(path), into, offset)).toBe(true);
    expect(into.toString()).toBe("end");
  });

  test("does not say it has read what is not there", async () => {
    await loadReadCached();
    const fd = openFile(fileOf(Buffer.from("abc")));
    await eventLoopTurn();
    expect(readCached(fd, Buffer.alloc(4), 0)).toBe(false);
    expect(readCached(fd, Buffer.alloc(1), 3)).toBe(false);
    expect(readCached(-1, Buffer.alloc(1), 0)).toBe(false);
  });

  test("does not wait for the disk", async () => {
    await loadReadCached();
    const path = fileOf(randomBytes(MIB));
    // There it is always in memory.
    if (statfsSync(path).type === TMPFS_MAGIC) return;
    dropFromMemory(path);
    await eventLoopTurn();
    expect(readCached(openFile(path), Buffer.alloc(CHUNK_BYTES), MIB / 2)).toBe(false);
  });

  test("leaves a turn to others after a MiB", async () => {
    await loadReadCached();
    const fd = openFile(fileOf(Buffer.alloc(CHUNK_BYTES)));
    const into = Buffer.alloc(CHUNK_BYTES);
    await eventLoopTurn();
    let reads = 0;
    expect(isTurnSpent()).toBe(false);
    while (readCached(fd, into, 0)) reads += 1;
    expect(reads).toBe(MIB / CHUNK_BYTES);
    expect(isTurnSpent()).toBe(true);
    await eventLoopTurn();
    expect(isTurnSpent()).toBe(false);
    expect(readCached(fd, into, 0)).toBe(true);
  });
});

test("a log is the same whether it has to be read from the disk or not", async () => {
  const content = randomBytes(2 * MIB);
  const path = fileOf(content);
  const read = async (): Promise<boolean> => {
    const file = new LogFile(path);
    onTestFinished(() => file.close());
    for (let offset = 0; offset < content.length; offset += CHUNK_BYTES) {
      const { data } = await file.readKept(offset, CHUNK_BYTES);
      if (!data.equals(content.subarray(offset, offset + CHUNK_BYTES))) return false;
    }
    return true;
  };
  expect(await read()).toBe(true);
  dropFromMemory(path);
  expect(await read()).toBe(true);
});

test("reading on and on keeps nothing else from going on", async () => {
  const file = new LogFile(fileOf(Buffer.alloc(64 * MIB)));
  onTestFinished(() => file.close());
  let turns = 0;
  let reading = true;
  const count = () => {
    turns += 1;
    if (reading) setImmediate(count);
  };
  setImmediate(count);
  for (let offset = 0; offset < 64 * MIB; offset += CHUNK_BYTES) {
    await file.readKept(offset, CHUNK_BYTES);
  }
  reading = false;
  expect(turns).toBeGreaterThan(16);
});
