import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Stream } from "../../../src/contract/job.js";
import { LinePattern } from "../../../src/core/line-pattern.js";
import type { LogChunk, LogLine, LogSearched, OutputPositions } from "../../../src/core/ports.js";
import { linesOfChunks } from "../../../src/logs/lines/lines-of-chunks.js";
import { matchingLines } from "../../../src/logs/lines/matching-lines.js";

const MIB = 1024 * 1024;

function chunk(stream: Stream, offset: number, data: string | Buffer): LogChunk {
  return { stream, offset, data: Buffer.from(data) };
}

async function* each<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

interface SearchOptions {
  readonly from?: OutputPositions;
  readonly invert?: boolean;
}

async function search(
  pattern: string,
  chunks: readonly LogChunk[],
  { from = { stdout: 0, stderr: 0 }, invert = false }: SearchOptions = {},
): Promise<(LogLine | LogSearched)[]> {
  const filter = { pattern: new LinePattern(pattern), invert };
  const found: (LogLine | LogSearched)[] = [];
  for await (const item of matchingLines(each(chunks), from, filter, undefined)) found.push(item);
  return found;
}

function shown(item: LogLine | LogSearched): string {
  if ("isSearched" in item) {
    return `${item.isEnd ? "all" : "searched"} ${item.stdoutOffset} ${item.stderrOffset}`;
  }
  if (item.isTruncation) return `truncated ${item.offset}`;
  return `${item.stream} ${item.offset}-${item.nextOffset} ${item.text}`;
}

test("the lines that match come with their offsets, and the end of both streams", async () => {
  const chunks = [
    chunk("stdout", 0, "error 1\nfine\n10%\r2"),
    chunk("stderr", 0, "no err"),
    chunk("stdout", 18, "0%\rer"),
    chunk("stderr", 6, "or\r\nfine"),
    chunk("stdout", 23, "ror 2"),
  ];
  expect((await search("error", chunks)).map(shown)).toEqual([
    "stdout 0-8 error 1",
    "stderr 0-10 no error",
    "stdout 21-28 error 2",
    "all 28 14",
  ]);
  expect((await search("error|fine", chunks, { invert: true })).map(shown)).toEqual([
    "stdout 13-17 10%",
    "stdout 17-21 20%",
    "all 28 14",
  ]);
});

test("a line that has lost its end counts as it is; a truncation is told", async () => {
  const chunks: LogChunk[] = [
    chunk("stdout", 0, "error o"),
    chunk("stdout", 100, "f old\nerror b"),
    { ...chunk("stdout", 200, ""), isTruncation: true },
    chunk("stdout", 200, "error c\n"),
  ];
  expect((await search("error", chunks, { from: { stdout: 0 } })).map(shown)).toEqual([
    "stdout 0-7 error o",
    "stdout 106-113 error b",
    "truncated 200",
    "stdout 200-208 error c",
    "all 208 0",
  ]);
});

test("each piece of a long line is looked at, and what is found in it", async () => {
  const line = `${"x".repeat(66_000)}error${"y".repeat(66_000)}\n`;
  const found = await search("error", [chunk("stdout", 0, line)], { from: { stdout: 0 } });
  expect(found).toMatchObject([{ offset: 65_536, nextOffset: 131_072 }, { isEnd: true }]);
});

test("how far it has come is told once in a MiB where nothing matches, and not where all does", async () => {
  const block = Buffer.from(`${"x".repeat(63)}\n`.repeat(1024));
  const blocks = Array.from({ length: 40 }, (_, index) =>
    chunk("stdout", index * block.length, block),
  );
  const from = { stdout: 0, stderr: 7 };
  expect((await search("y", blocks, { from })).map(shown)).toEqual([
    `searched ${MIB} 7`,
    `searched ${2 * MIB} 7`,
    `all ${2.5 * MIB} 7`,
  ]);
  const all = await search("x", blocks, { from });
  expect(all.filter((item) => "isSearched" in item).map(shown)).toEqual([`all ${2.5 * MIB} 7`]);
});

test("others have their turn while it searches", async () => {
  const block = Buffer.from("\n".repeat(64 * 1024));
  const blocks = Array.from({ length: 40 }, (_, index) =>
    chunk("stdout", index * block.length, block),
  );
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 1);
  await search("(?i)error|warn", blocks);
  clearInterval(timer);
  expect(turns).toBeGreaterThan(10);
});

test("the signal ends it between two lines", async () => {
  const stop = new AbortController();
  const filter = { pattern: new LinePattern("[12]"), invert: false };
  const chunks = each([chunk("stdout", 0, "1\nx\n2\n")]);
  const lines = matchingLines(chunks, { stdout: 0 }, filter, stop.signal);
  expect((await lines.next()).value).toMatchObject({ text: "1" });
  stop.abort(new Error("enough"));
  await expect(lines.next()).rejects.toThrow("enough");
});

test("a reader who goes on from any place that it was told finds the rest, each line once", async () => {
  const output = fc
    .array(fc.constantFrom("a", "b", "ab", "\n", "\r", "\r\n"), { maxLength: 40 })
    .map((parts) => parts.join(""));
  const cuts = fc.array(fc.nat({ max: 60 }), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(output, cuts, cuts, fc.nat(), async (text, some, others, pick) => {
      const all = await search("a", cutUp(text, some), { from: { stdout: 0 } });
      const expected: LogLine[] = [];
      for await (const line of linesOfChunks(each(cutUp(text, others)), undefined)) {
        if (line.text.includes("a")) expected.push(line);
      }
      const linesOf = (found: typeof all) => found.filter((item) => !("isSearched" in item));
      expect(linesOf(all)).toEqual(expected);
      expect(all.at(-1)).toMatchObject({ isEnd: true, stdoutOffset: text.length });
      const last = expected[pick % (expected.length + 1)];
      if (!last) return;
      const from = last.nextOffset;
      const rest = await search("a", cutUp(text, others, from), { from: { stdout: from } });
      expect(linesOf(rest)).toEqual(expected.slice(expected.indexOf(last) + 1));
    }),
  );
});

/** The text from a place on, in chunks that end at these places. */
function cutUp(text: string, cuts: readonly number[], from = 0): LogChunk[] {
  const ends = [
    ...new Set([...cuts.filter((cut) => cut > from && cut < text.length), text.length]),
  ];
  let begin = from;
  return ends
    .sort((a, b) => a - b)
    .flatMap((end) => {
      const piece = text.slice(begin, end);
      const offset = begin;
      begin = end;
      return piece === "" ? [] : [chunk("stdout", offset, piece)];
    });
}
