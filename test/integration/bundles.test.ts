import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, readdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { launch } from "../helpers/procman-command.js";
import { tempDir } from "../helpers/temp-dir.js";
import { MAIN, TestServer } from "../helpers/test-server.js";

const BIN = dirname(MAIN);

function caches(dir: string): string[] {
  return readdirSync(dir).filter((name) => name.endsWith(".cache"));
}

test("options of Node's own are left to the job's command, and to procman", () => {
  const dir = tempDir();
  writeFileSync(join(dir, "env"), "A=of the file\n");
  const env = { ...process.env, PROCMAN_STATE_DIR: join(dir, "state"), PROCMAN_LISTEN: "none" };
  const run = (...words: string[]) => spawnSync(MAIN, words, { env, encoding: "utf8" });
  const missing = run("run", "--env-file", "/nonesuch", "true");
  expect(missing).toMatchObject({ status: 125 });
  expect(missing.stderr).toContain("procman: --env-file: ");
  const words = ["--env-file=env", "-p", "process.env.A"];
  const ran = run("run", "--work-dir", dir, process.execPath, ...words);
  expect(ran).toMatchObject({ stdout: "of the file\n", status: 0 });
  run("stop");
});

describe("modules of Node's that are loaded late", () => {
  test("can be called where they are functions", () => {
    const bin = tempDir();
    cpSync(MAIN, join(bin, "procman.cjs"));
    const bundle = `exports.main = () => {
      const isLoaded = () => process.moduleLoadList.includes("NativeModule assert");
      const assert = require("late:assert");
      const before = isLoaded();
      assert(true, "is not thrown");
      let error;
      try { assert(false, "is thrown"); } catch (thrown) { error = thrown; }
      const isOne = error instanceof assert.AssertionError;
      console.log(JSON.stringify([before, isLoaded(), error.message, isOne]));
    };`;
    writeFileSync(join(bin, "cli.cjs"), bundle);
    const told = execFileSync(process.execPath, [join(bin, "procman.cjs")]);
    expect(JSON.parse(told.toString())).toEqual([false, true, "is thrown", true]);
  });

  test("are not loaded by a command that asks the server on its unix socket", async () => {
    const server = await TestServer.start();
    const tell = join(tempDir(), "tell.cjs");
    const list = "process.moduleLoadList";
    writeFileSync(tell, `process.on("exit", () => console.log(${list}.join("\\n")));`);
    const env = { NODE_OPTIONS: `--require ${tell}` };
    const { code, stdout } = await launch(server.stateDir, ["ls"], env).ended;
    expect(code).toBe(0);
    const loaded = stdout.split("\n").map((line) => line.replace("NativeModule ", ""));
    expect(loaded).toContain("http");
    for (const name of ["tls", "https", "http2"]) expect(loaded).not.toContain(name);
  });
});

describe("the bundles' code caches", () => {
  test("are made by the build, for this Node", () => {
    const ending = `${process.version}-${process.platform}-${process.arch}.cache`;
    expect(caches(BIN).sort()).toEqual([`cli.cjs.${ending}`, `server.cjs.${ending}`]);
  });

  test.each([
    ["are not there", (path: string) => rmSync(path)],
    ["are cut short", (path: string) => truncateSync(path, 100_000)],
    ["are empty", (path: string) => truncateSync(path, 0)],
  ])("are done without where they %s", (_, spoil) => {
    const root = tempDir();
    const bin = join(root, "dist/bin");
    cpSync(BIN, bin, { recursive: true });
    symlinkSync(join(BIN, "../src"), join(root, "dist/src"));
    for (const name of caches(bin)) spoil(join(bin, name));
    const help = execFileSync(process.execPath, [join(bin, "procman.cjs"), "ls", "--help"]);
    expect(help.toString()).toContain("list jobs, newest first");
  });

  test("are refused by V8 where they are another's", () => {
    const options = ["--no-lazy", MAIN, "ls", "--help"];
    expect(execFileSync(process.execPath, options).toString()).toContain("newest first");
  });
});
