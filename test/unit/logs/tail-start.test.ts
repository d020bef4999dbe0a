import { appendFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { LineSplitter } from "../../../src/logs/lines/line-splitter.js";
import { LogFile } from "../../../src/logs/reading/log-file.js";
import { type ByteSource, tailStart } from "../../../src/logs/reading/tail-start.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { outputBytes } from "./output-bytes.js";

const TEN_GB = 10_000_000_000;

/** Bytes in memory, and how many of them were read. */
class Memory implements ByteSource {
  bytesRead = 0;
  constructor(readonly bytes: Buffer) {}
  async read(offset: number, length: number): Promise<Buffer> {
    this.bytesRead += length;
    return this.bytes.subarray(offset, offset + length);
  }
}

/** Where lines begin, as the splitter says. */
function lineStarts(bytes: Buffer): number[] {
  const splitter = new LineSplitter(0);
  splitter.push(bytes);
  splitter.end();
  const starts = [];
  for (let line = splitter.next(); line !== undefined; line = splitter.next()) {
    starts.push(line.offset);
  }
  return starts;
}

test("the last lines begin where the splitter says, whatever the blocks", async () => {
  await fc.assert(
    fc.asyncProperty(
      outputBytes(),
      fc.integer({ min: 1, max: 12 }),
      fc.integer({ min: 1, max: 30 }),
      fc.nat(300),
      async (bytes, lines, blockBytes, floor) => {
        const start = await tailStart(new Memory(bytes), {
          size: bytes.length,
          lines,
          floor,
          blockBytes,
        });
        expect(start).toBe(Math.max(floor, lineStarts(bytes).at(-lines) ?? 0));
      },
    ),
    { numRuns: 2000 },
  );
});

test.each([
  ["an empty log", "", 3, 0],
  ["no lines: the end", "a\nb\n", 0, 4],
  ["an unterminated last line counts", "a\nb\nc", 1, 4],
  ["a terminator at the end begins no line", "a\nb\nc\n", 1, 4],
  ["CRLF is one terminator", "a\r\nb\r\n", 1, 3],
  ["a lone CR is one too", "10%\r20%\r30%\r", 2, 4],
  ["a CR at the end of what is there", "a\nb\r", 1, 2],
  ["empty lines count", "a\n\n\n", 2, 2],
  ["fewer lines than asked for", "a\nb\n", 5, 0],
])("%s", async (_, content, lines, expected) => {
  const bytes = Buffer.from(content);
  for (const blockBytes of [1, 2, 3, 64]) {
    expect(await tailStart(new Memory(bytes), { size: bytes.length, lines, blockBytes })).toBe(
      expected,
    );
  }
});

test("lines as long as can be are found whole", async () => {
  const bytes = Buffer.from(`x\n${`${"y".repeat(65_536)}\r\n`.repeat(5)}`);
  expect(await tailStart(new Memory(bytes), { size: bytes.length, lines: 5 })).toBe(2);
});

test("longer lines are not sought to their beginning, and no character is split", async () => {
  for (const [before, char] of [
    ["", "x"],
    ["", "é"],
    ["x", "é"],
    ["", "😀"],
    ["xxx", "😀"],
  ] as const) {
    const bytes = Buffer.from(`${before}${char.repeat(1000)}`);
    const start = await tailStart(new Memory(bytes), {
      size: bytes.length,
      lines: 3,
      maxLineBytes: 100,
    });
    expect(bytes.length - start).toBeGreaterThan(300);
    expect(bytes.length - start).toBeLessThanOrEqual(306);
    expect(bytes.subarray(start).toString()).not.toContain("\ufffd");
  }
  const crlf = Buffer.from(`x\r\n${"y".repeat(11)}`);
  expect(await tailStart(new Memory(crlf), { size: 14, lines: 1, maxLineBytes: 10 })).toBe(3);
});

test("nothing before the floor is read", async () => {
  const memory = new Memory(Buffer.alloc(100_000, "x"));
  expect(await tailStart(memory, { size: 100_000, lines: 10, floor: 99_990 })).toBe(99_990);
  expect(memory.bytesRead).toBe(10);
});

test("of a log of 10 GB only the end is read", async () => {
  const path = join(tempDir(), "stdout.log");
  writeFileSync(path, "");
  truncateSync(path, TEN_GB);
  const file = new LogFile(path);
  try {
    let bytesRead = 0;
    const counted: ByteSource = {
      read: (offset, length) => {
        bytesRead += length;
        return file.read(offset, length);
      },
    };
    // No terminator at all: it goes back as far as ten lines can be long.
    const start = await tailStart(counted, { size: TEN_GB, lines: 10 });
    expect(start).toBe(TEN_GB - 10 * (65_536 + 2));
    expect(bytesRead).toBeLessThan(12 * 65_536);

    bytesRead = 0;
    appendFileSync(path, "\nline".repeat(12));
    const size = await file.size();
    expect(await tailStart(counted, { size, lines: 10 })).toBe(size - 10 * 5 + 1);
    expect(bytesRead).toBe(65_536);
  } finally {
    file.close();
  }
});
