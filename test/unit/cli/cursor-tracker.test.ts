import { expect, test } from "vitest";
import { CursorTracker } from "../../../src/cli/terminal/cursor-tracker.js";

const ESC = "\u001b";

test.each([
  ["nothing yet", "", true],
  ["a line", "text\n", true],
  ["a part of a line", "text", false],
  ["a line and a part", "text\nmore", false],
  ["a line that is drawn over", "text\n45%\r", false],
  ["colours that stay on", `${ESC}[1;31mtext\n`, false],
  ["colours that begin", `text\n${ESC}[38;5;0m`, false],
  ["colours that end", `${ESC}[1;31mtext${ESC}[0m\n`, true],
  ["each of them ended", `${ESC}[1;38;5;1;48;2;0;0;7mtext${ESC}[22m${ESC}[39;49m\n`, true],
  ["one of them ended", `${ESC}[1;31mtext${ESC}[39m\n`, false],
  ["none given, which ends all", `${ESC}[1;31mtext${ESC}[m\n`, true],
  ["colours that end on the next line", `${ESC}[44mtext\n${ESC}[0m`, false],
  ["a painted line", `text\n${ESC}[44m${ESC}[K${ESC}[0m`, false],
  ["an endless sequence", `text\n${ESC}[${"1;".repeat(50)}0m`, false],
  ["an erased rest of a line", `text${ESC}[K\n${ESC}[K`, true],
  ["a title", `text\n${ESC}]0;title\u0007`, true],
  ["a link", `${ESC}]8;;http://x${ESC}\\text${ESC}]8;;${ESC}\\\n`, true],
  ["coloured text", `${ESC}[31mtext${ESC}[0m`, false],
  ["half a sequence", `text\n${ESC}[3`, false],
  ["half a title", `text\n${ESC}]0;ti`, false],
  ["the cursor moved", `text\n${ESC}[A\n`, false],
  ["the cursor hidden", `${ESC}[?25ltext\n`, false],
  ["the cursor saved", `${ESC}7text\n`, false],
  ["another character set", `${ESC}(0text\n`, false],
])("after %s: %j", (_what, output, isAtFreshLine) => {
  const bytes = Buffer.from(output);
  const whole = new CursorTracker();
  whole.push(bytes);
  expect(whole.isAtFreshLine).toBe(isAtFreshLine);
  const byBytes = new CursorTracker();
  for (let n = 0; n < bytes.length; n += 1) byBytes.push(bytes.subarray(n, n + 1));
  expect(byBytes.isAtFreshLine).toBe(isAtFreshLine);
});
