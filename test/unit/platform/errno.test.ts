import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { codeOf, hasCode } from "../../../src/platform/errno.js";

function failureOf(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("it did not fail");
}

test("a system call's error has its code, and no other", () => {
  const error = failureOf(() => readFileSync("/does/not/exist"));
  expect(codeOf(error)).toBe("ENOENT");
  expect(hasCode(error, "ENOENT")).toBe(true);
  expect(hasCode(error, "EEXIST", "ENOENT")).toBe(true);
  expect(hasCode(error, "EEXIST", "ESRCH")).toBe(false);
});

test.each([
  ["an error without a code", new Error("ENOENT")],
  ["one with a number for a code", Object.assign(new Error("exit"), { code: 1 })],
  ["what is no error", { code: "ENOENT" }],
  ["nothing", undefined],
])("%s has none", (_, error) => {
  expect(codeOf(error)).toBeUndefined();
  expect(hasCode(error, "ENOENT", "")).toBe(false);
});
