import { expect, test } from "vitest";
import { cut, lastLine, plainText } from "../../../src/mcp/plain-text.js";

test.each([
  ["\x1b[1;31mred\x1b[0m", "red"],
  ["\x1b]0;a title\x07text", "text"],
  ["\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"],
  ["\x1bPdevice\x1b\\after", "after"],
  ["\x1b(Btext\x1bM", "text"],
  ["a\r\nb\r\n", "a\nb\n"],
  ["10%\r90%\rdone\n", "done\n"],
  ["10%\r90%\r", "90%"],
  ["a\r\n\r\nb", "a\n\nb"],
  ["tab\tand\nline", "tab\tand\nline"],
  ["nul\0bell\x07", "nul\\u{0}bell\\u{7}"],
  ["right \u202e left\u200b\u{e0041}", "right \\u{202e} left\\u{200b}\\u{e0041}"],
  ["👩‍💻 é", "👩‍💻 é"],
  ["\x1b[", ""],
])("%j is read as %j", (output, text) => {
  expect(plainText(output)).toBe(text);
});

test("takes time that grows with the output alone", () => {
  const pieces = ["\x1b]", "\x1b[", "\x1bP", "x", "\r", "\x1b[3"];
  const outputs = pieces.map((piece) => piece.repeat(250_000 / piece.length));
  const sinceMs = performance.now();
  for (const output of outputs) plainText(output);
  expect(performance.now() - sinceMs).toBeLessThan(5000);
});

test("the last line that says something is cut, not within a character", () => {
  expect(lastLine("one\n\x1b[32m two \x1b[0m\n \n", 20)).toBe("two");
  expect(lastLine("", 20)).toBe("");
  expect(lastLine("abcdef", 4)).toBe("abc…");
  expect(cut("ab😀cd", 4)).toBe("ab…");
  expect(cut("abcd", 4)).toBe("abcd");
});
