import { expect, test } from "vitest";
import {
  checkArguments,
  checkVariables,
  checkWorkDir,
  type RawProcess,
} from "../../../src/cli/command-line-bytes.js";

const UNKNOWN: RawProcess = {
  words: () => undefined,
  variables: () => undefined,
  workDir: () => undefined,
};
const latin1 = (text: string) => Buffer.from(text, "latin1");

test("an argument that was changed is named, with its bytes", () => {
  const raw = { ...UNKNOWN, words: () => ["node", "main", "rm", "caf\xe9"].map(latin1) };
  expect(() => checkArguments(["rm", "caf\uFFFD"], raw)).toThrow(
    "argument 2 is not UTF-8: $'caf\\xe9'",
  );
});

test("U+FFFD that was given is no fault, where that can be known", () => {
  const raw = { ...UNKNOWN, words: () => [Buffer.from("node"), Buffer.from("\uFFFD")] };
  expect(() => checkArguments(["\uFFFD"], raw)).not.toThrow();
  expect(() => checkArguments(["\uFFFD"], UNKNOWN)).toThrow("argument 1 is not UTF-8");
  expect(() => checkArguments(["a", "é"], UNKNOWN)).not.toThrow();
});

test("a variable that was changed is named, unless --env sets it anew", () => {
  const raw = { ...UNKNOWN, variables: () => [latin1("A=\xe9"), Buffer.from("B=\uFFFD")] };
  const given = { A: "\uFFFD", B: "\uFFFD" };
  expect(() => checkVariables(given, given, raw)).toThrow("variable A is not UTF-8");
  expect(() => checkVariables({ ...given, A: "x" }, given, raw)).not.toThrow();
});

test("the current directory", () => {
  const raw = { ...UNKNOWN, workDir: () => latin1("/caf\xe9") };
  expect(() => checkWorkDir("/caf\uFFFD", raw)).toThrow("current directory's name is not UTF-8");
  expect(() =>
    checkWorkDir("/\uFFFD", { ...raw, workDir: () => Buffer.from("/\uFFFD") }),
  ).not.toThrow();
});
