import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  LineSplitter,
  MAX_LINE_BYTES,
  type SplitLine,
} from "../../../src/logs/lines/line-splitter.js";
import { cutAt, outputBytes } from "./output-bytes.js";

function split(reads: readonly Uint8Array[], offset = 0, maxLineBytes?: number): SplitLine[] {
  const splitter = new LineSplitter(offset, maxLineBytes);
  const lines: SplitLine[] = [];
  const drain = (): void => {
    for (let line = splitter.next(); line !== undefined; line = splitter.next()) lines.push(line);
  };
  for (const read of reads) {
    splitter.push(read);
    drain();
  }
  splitter.end();
  drain();
  return lines;
}

function texts(...reads: string[]): [string, string][] {
  return split(reads.map((read) => Buffer.from(read))).map((l) => [l.text, l.terminator]);
}

/** What the lines should be, said as shortly as can be: by a regular expression over latin1. */
function expectedLines(bytes: Buffer): { text: string; end: number; terminator: string }[] {
  const names: Record<string, string> = { "\n": "lf", "\r\n": "crlf", "\r": "cr", "": "none" };
  return [...bytes.toString("latin1").matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g)]
    .filter((match) => match[0] !== "")
    .map((match) => ({
      text: Buffer.from(match[1] ?? "", "latin1").toString("utf8"),
      end: match.index + match[0].length,
      terminator: names[match[2] ?? ""] ?? "",
    }));
}

describe("lines", () => {
  test.each([
    ["nothing", [""], []],
    [
      "each terminator",
      ["a\nb\r\nc\rd"],
      [
        ["a", "lf"],
        ["b", "crlf"],
        ["c", "cr"],
        ["d", "none"],
      ],
    ],
    [
      "empty lines",
      ["\n\n\r\r\n\n"],
      [
        ["", "lf"],
        ["", "lf"],
        ["", "cr"],
        ["", "crlf"],
        ["", "lf"],
      ],
    ],
    ["no line after the last terminator", ["a\n"], [["a", "lf"]]],
    [
      "a CRLF in two reads",
      ["a\r", "\nb"],
      [
        ["a", "crlf"],
        ["b", "none"],
      ],
    ],
    [
      "a CR, and what follows in the next read",
      ["a\r", "b"],
      [
        ["a", "cr"],
        ["b", "none"],
      ],
    ],
    ["a CR at the end", ["a\r"], [["a", "cr"]]],
    [
      "two CRs in two reads",
      ["a\r", "\r", "\n"],
      [
        ["a", "cr"],
        ["", "crlf"],
      ],
    ],
    ["empty reads between", ["a", "", "\r", "", "\n"], [["a", "crlf"]]],
    ["a character in two reads", ["€"], [["€", "none"]]],
  ])("%s", (_, reads, expected) => {
    expect(texts(...reads)).toEqual(expected);
  });

  test("a CR at the end of what is there waits for what follows", () => {
    const splitter = new LineSplitter(0);
    splitter.push(Buffer.from("50%\r"));
    expect(splitter.next()).toBeUndefined();
    splitter.push(Buffer.from("\n"));
    expect(splitter.next()).toEqual({ text: "50%", offset: 0, nextOffset: 5, terminator: "crlf" });
  });

  test("bytes that are not UTF-8 become U+FFFD, others stay", () => {
    const bytes = Buffer.from([0x61, 0xff, 0x62, 0xe2, 0x82, 0x0a, 0x00, 0xc3, 0xa9]);
    expect(split([bytes]).map((l) => l.text)).toEqual(["a\ufffdb\ufffd", "\0é"]);
  });

  test("offsets begin where the first byte is", () => {
    const lines = split([Buffer.from("a\r\nbc")], 1000);
    expect(lines.map((l) => [l.offset, l.nextOffset])).toEqual([
      [1000, 1003],
      [1003, 1005],
    ]);
  });
});

describe("long lines", () => {
  test.each([
    ["as long as can be", "x".repeat(MAX_LINE_BYTES), [MAX_LINE_BYTES]],
    ["a byte longer", "x".repeat(MAX_LINE_BYTES + 1), [MAX_LINE_BYTES, 1]],
    ["twice as long", "x".repeat(2 * MAX_LINE_BYTES), [MAX_LINE_BYTES, MAX_LINE_BYTES]],
    ["a character across the border", `x${"€".repeat(30_000)}`, [65_536, 24_465]],
    ["two bytes across", `${"é".repeat(32_767)}xé`, [65_535, 2]],
    ["four bytes across", `xxx${"😀".repeat(16_384)}`, [65_535, 4]],
  ])("%s", (_, content, lengths) => {
    for (const [ending, terminator] of [
      ["\n", "lf"],
      ["\r\n", "crlf"],
      ["\r", "cr"],
      ["", "none"],
    ]) {
      const lines = split([Buffer.from(content + ending)]);
      expect(lines.map((l) => Buffer.byteLength(l.text))).toEqual(lengths);
      expect(lines.map((l) => l.text).join("")).toBe(content);
      const before = lines.slice(0, -1).map((l) => l.terminator);
      expect(before.every((t) => t === "none")).toBe(true);
      expect(lines.at(-1)?.terminator).toBe(terminator);
    }
  });

  test("going on from a piece gives the pieces that would have come", () => {
    const bytes = Buffer.from(`${"a€😀é".repeat(20_000)}\nb`);
    const lines = split([bytes]);
    for (const [i, { nextOffset }] of lines.entries()) {
      expect(split([bytes.subarray(nextOffset)], nextOffset)).toEqual(lines.slice(i + 1));
    }
  });
});

describe("whatever the bytes and however they were cut into reads", () => {
  test("the lines are those of the whole", () => {
    fc.assert(
      fc.property(outputBytes(), fc.array(fc.nat(200)), (bytes, cuts) => {
        const lines = split(cutAt(bytes, cuts));
        const seen = lines.map((l) => ({
          text: l.text,
          end: l.nextOffset,
          terminator: l.terminator,
        }));
        expect(seen).toEqual(expectedLines(bytes));
      }),
      { numRuns: 1000 },
    );
  });

  test("pieces too: they chain, have the length they should, and give back the bytes", () => {
    fc.assert(
      fc.property(
        outputBytes(),
        fc.array(fc.nat(200)),
        fc.integer({ min: 4, max: 20 }),
        (bytes, cuts, max) => {
          const lines = split(cutAt(bytes, cuts), 7, max);
          expect(lines).toEqual(split([bytes], 7, max));

          let position = 7;
          let whole = "";
          const wholes: string[] = [];
          for (const [i, line] of lines.entries()) {
            expect(line.offset).toBe(position);
            position = line.nextOffset;
            whole += line.text;
            const isPiece = line.terminator === "none" && i < lines.length - 1;
            const length = line.nextOffset - line.offset;
            if (isPiece) expect(length).toBeGreaterThan(max - 4);
            if (line.terminator === "none") expect(length).toBeLessThanOrEqual(max);
            if (isPiece) continue;
            wholes.push(whole);
            whole = "";
          }
          expect(position).toBe(7 + bytes.length);
          expect(wholes).toEqual(expectedLines(bytes).map((l) => l.text));
        },
      ),
      { numRuns: 1000 },
    );
  });
});

describe("what there is of the last line", () => {
  function restAfter(
    bytes: Buffer,
    maxLineBytes?: number,
  ): { rest: SplitLine | undefined; offset: number } {
    const splitter = new LineSplitter(100, maxLineBytes);
    splitter.push(bytes);
    while (splitter.next() !== undefined);
    return { rest: splitter.rest(), offset: splitter.offset };
  }

  test.each([
    ["", undefined],
    ["a\n", undefined],
    ["\r", undefined],
    ["a\r\n\r", undefined],
    ["a\nb", "b"],
    ["a\r", "a"],
    ["a\rbc\r", "bc"],
    ["> ", "> "],
  ])("of %j is %j", (text, rest) => {
    expect(restAfter(Buffer.from(text)).rest?.text).toBe(rest);
  });

  test("leaves out a character that is cut", () => {
    const bytes = Buffer.from("a😀€é");
    const texts = Array.from(bytes, (_, n) => restAfter(bytes.subarray(0, n + 1)).rest?.text);
    expect(texts).toEqual(["a", "a", "a", "a", "a😀", "a😀", "a😀", "a😀€", "a😀€", "a😀€é"]);
  });

  test("begins the next line, whatever follows", () => {
    fc.assert(
      fc.property(outputBytes(), outputBytes(), fc.integer({ min: 4, max: 30 }), (a, b, max) => {
        const { rest, offset } = restAfter(a, max);
        const line = split([a, b], 100, max).find((line) => line.offset >= offset);
        if (line) expect(line.offset).toBe(offset);
        if (!rest) return;
        expect(rest).toMatchObject({ offset, terminator: "none" });
        expect(rest.nextOffset).toBeLessThanOrEqual(100 + a.length);
        // A line that becomes too long may be cut a little before its rest's end.
        const text = line?.text ?? "";
        const isCut = text.length < rest.text.length;
        const [whole, beginning] = isCut ? [rest.text, text] : [text, rest.text];
        expect(whole.startsWith(beginning)).toBe(true);
        if (isCut) expect(rest.nextOffset - offset).toBeGreaterThan(max - 4);
      }),
    );
  });
});
