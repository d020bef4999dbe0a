import { expect, test } from "vitest";
import type { Stream } from "../../../src/contract/job.js";
import type { OutputChunk, OutputLine } from "../../../src/contract/procman.js";
import { linesOfChunks } from "../../../src/logs/lines/lines-of-chunks.js";

type Piece = readonly [stream: Stream, offset: number, text: string, seenAtMs?: number];

async function* chunks(...pieces: readonly Piece[]): AsyncGenerator<OutputChunk> {
  for (const [stream, offset, text, seenAtMs] of pieces) {
    const chunk = { stream, offset, data: Buffer.from(text) };
    yield seenAtMs === undefined ? chunk : { ...chunk, seenTime: new Date(seenAtMs) };
  }
}

async function linesOf(...pieces: readonly Piece[]): Promise<OutputLine[]> {
  const lines: OutputLine[] = [];
  for await (const line of linesOfChunks(chunks(...pieces), undefined)) lines.push(line);
  return lines;
}

test("a line that has lost its end to a log limit comes as it is, and is joined to no other", async () => {
  const lines = await linesOf(["stdout", 0, "one\ntw"], ["stdout", 100, "ee\nfour"]);
  expect(lines.map(({ text, offset, terminator }) => [text, offset, terminator])).toEqual([
    ["one", 0, "lf"],
    ["tw", 4, "none"],
    ["ee", 100, "lf"],
    ["four", 103, "none"],
  ]);
});

test("what is left of each stream comes at the end", async () => {
  const lines = await linesOf(["stderr", 5, "err"], ["stdout", 0, "o"], ["stdout", 1, "ut\r"]);
  expect(lines.map(({ stream, text, offset }) => [stream, text, offset])).toEqual([
    ["stderr", "err", 5],
    ["stdout", "out", 0],
  ]);
});

test("a line was seen when its end was, also where that was lost", async () => {
  const lines = await linesOf(
    ["stdout", 0, "a", 1],
    ["stdout", 1, "b\nc", 2],
    ["stdout", 9, "d\ne", 3],
    ["stdout", 12, "f", 4],
  );
  expect(lines.map(({ text, seenTime }) => [text, seenTime?.getTime()])).toEqual([
    ["ab", 2],
    ["c", 2],
    ["d", 3],
    ["ef", 4],
  ]);
});

test.each([
  ["between two lines of a chunk", [["stdout", 0, "1\n2\n3\n"]], 1],
  [
    "at the last line before a gap",
    [
      ["stdout", 0, "1"],
      ["stdout", 9, "2\n"],
    ],
    1,
  ],
  [
    "between the last lines of both streams",
    [
      ["stdout", 0, "1"],
      ["stderr", 0, "2"],
    ],
    1,
  ],
  ["after the very last line", [["stdout", 0, "1\n2"]], 2],
] as const)("the signal ends it %s", async (_, pieces, count) => {
  const stop = new AbortController();
  const lines = linesOfChunks(chunks(...(pieces as readonly Piece[])), stop.signal);
  for (let line = 1; line <= count; line += 1) {
    expect((await lines.next()).value).toMatchObject({ text: String(line) });
  }
  stop.abort(new Error("enough"));
  await expect(lines.next()).rejects.toThrow("enough");
});
