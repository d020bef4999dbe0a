import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { NATIVE_RUNNER } from "../../src/engine/local/runner/native-runner.js";
import { hasNativeRunner } from "../helpers/native-runner.js";
import { tempDir } from "../helpers/temp-dir.js";

const ROOT = join(import.meta.dirname, "../..");
const SCRIPT = "scripts/build-runner.js";
const DIR = "dist/src/engine/local";

/** A tree of its own with what the script needs, and the runner of an earlier build. */
function newTree(): string {
  const root = tempDir();
  for (const name of [SCRIPT, "src/engine/local/runner.c", "package.json"]) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    cpSync(join(ROOT, name), join(root, name));
  }
  mkdirSync(join(root, DIR), { recursive: true });
  writeFileSync(join(root, DIR, NATIVE_RUNNER), "from before", { mode: 0o755 });
  return root;
}

/** A directory with programs of these names, each a shell's script. */
function binDir(programs: Readonly<Record<string, string>>): string {
  const dir = tempDir();
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  }
  return dir;
}

function build(root: string, env: Readonly<Record<string, string>>) {
  const script = join(root, SCRIPT);
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    env,
    encoding: "utf8",
  });
  return { status, stdout, stderr, files: readdirSync(join(root, DIR)) };
}

const NOTHING = { status: 0, stderr: "", files: [] };
const SHELL = "A shell will run the jobs, which is slower: ";

describe.skipIf(process.platform !== "linux")("the build of the native runner", () => {
  test("without a compiler it says so, and leaves none", () => {
    const result = build(newTree(), { PATH: binDir({}) });
    expect(result).toEqual({ ...NOTHING, stdout: `${SHELL}no C compiler was found\n` });
  });

  test.each(["cc", "gcc", "clang"])("where %s cannot, it says why, and leaves none", (name) => {
    const PATH = binDir({ [name]: "echo 'no such option' >&2; exit 1" });
    const result = build(newTree(), { PATH });
    expect(result).toEqual({ ...NOTHING, stdout: `${SHELL}no such option\n` });
  });

  test.each(["exit 3", "kill -9 $$"])("a compiler that says nothing is named: %s", (script) => {
    const result = build(newTree(), { PATH: binDir({ "my-cc": script }), CC: "my-cc" });
    expect(result).toEqual({ ...NOTHING, stdout: `${SHELL}my-cc failed\n` });
  });

  describe.skipIf(!hasNativeRunner())("with a compiler", () => {
    const PATH = process.env["PATH"] ?? "";

    test("it is in the place of the one from before, and nothing else is left", () => {
      const root = newTree();
      const result = build(root, { PATH });
      expect(result).toEqual({ ...NOTHING, stdout: "", files: [NATIVE_RUNNER] });
      const file = join(root, DIR, NATIVE_RUNNER);
      expect(statSync(file).mode & 0o111).not.toBe(0);
      expect(spawnSync(file, []).status).toBe(2);
    });

    test("another is asked where the first one cannot", () => {
      const result = build(newTree(), { PATH, CC: "false" });
      expect(result).toEqual({ ...NOTHING, stdout: "", files: [NATIVE_RUNNER] });
    });
  });

  test("it is not there where the source is at fault", () => {
    const root = newTree();
    writeFileSync(join(root, "src/engine/local/runner.c"), '#error "no system calls"\n');
    const result = build(root, { PATH: process.env["PATH"] ?? "" });
    expect(result).toMatchObject(NOTHING);
    expect(result.stdout).toContain(SHELL);
    expect(existsSync(join(root, DIR, NATIVE_RUNNER))).toBe(false);
  });
});
