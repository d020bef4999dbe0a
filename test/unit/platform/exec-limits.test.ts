import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { maxExecBytes } from "../../../src/platform/exec-limits.js";

test.each([
  ["8388608", 2 * 1024 * 1024],
  ["unlimited", 6 * 1024 * 1024],
  ["100000000", 6 * 1024 * 1024],
  ["65536", 128 * 1024],
])("a stack of %s bytes", (stack, expected) => {
  const limits = `Limit   Soft Limit   Hard Limit   Units\nMax stack size            ${stack}   unlimited  bytes\n`;
  expect(maxExecBytes("linux", () => limits)).toBe(expected);
});

test("is what this machine's kernel takes", () => {
  const [word, pointerAndNul] = [60_000, 9];
  const take = (bytes: number) => {
    const count = Math.floor(bytes / (word + pointerAndNul));
    const words = Array.from({ length: count }, () => "x".repeat(word));
    execFileSync("/bin/true", words, { env: {} });
  };
  take(maxExecBytes() - 4096);
  expect(() => take(maxExecBytes() + word + 4096)).toThrow(/E2BIG/);
});
