import { spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { afterAll, expect, test } from "vitest";
import { managerPid } from "../../src/manager-pid.js";
import { eventually } from "../helpers/eventually.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { endJobs, MAIN } from "../helpers/test-server.js";

const stateDir = join(sharedTempDir(), "state");
afterAll(async () => {
  await procman("", "stop");
  await endJobs(stateDir);
});

function launch(...args: string[]) {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, PROCMAN_STATE_DIR: stateDir },
    stdio: "pipe",
  });
  child.stdin.on("error", () => {});
  const text = (stream: Readable) => stream.toArray().then((all) => Buffer.concat(all).toString());
  const ended = Promise.all([once(child, "close"), text(child.stdout), text(child.stderr)]).then(
    ([[code], stdout, stderr]) => ({ code: code as number | null, stdout, stderr }),
  );
  return { child, ended };
}

/** The real program, with that as its stdin. */
function procman(input: string | Uint8Array, ...args: string[]) {
  const { child, ended } = launch(...args);
  child.stdin.end(input);
  return ended;
}

test("run -i is a filter like any other", async () => {
  expect(await procman("b\na\n", "run", "-i", "--", "sort")).toEqual({
    code: 0,
    stdout: "a\nb\n",
    stderr: "",
  });
  expect(await procman("x", "run", "-i", "--", "sh", "-c", "cat; exit 3")).toMatchObject({
    code: 3,
    stdout: "x",
  });
  // One that reads no more does not hold it up.
  const much = Buffer.alloc(8_000_000, "y\n");
  expect(await procman(much, "run", "-i", "--", "head", "-n", "1")).toMatchObject({
    code: 0,
    stdout: "y\n",
  });
});

test("run without -i leaves stdin alone", async () => {
  expect(await procman("x", "run", "--", "cat")).toMatchObject({ code: 0, stdout: "" });
});

test("run -t is a terminal for the command, whatever this one has", async () => {
  const ran = await procman("", "run", "-t", "--", "sh", "-c", "[ -t 1 ] && stty size <&1; exit 4");
  expect(ran).toMatchObject({ code: 4, stdout: "24 80\r\n" });
});

test("run -it takes bytes where there is no terminal: their end is Ctrl-D", async () => {
  const ran = await procman("b\na\n", "run", "-it", "--", "sort");
  expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining("a\r\nb\r\n") });
});

test("run -i that is repeated goes on with the same input", async () => {
  const run = ["run", "--request-id", "again", "-i", "--", "cat"];
  const { child, ended } = launch(...run);
  child.stdin.write("one\n");
  let shown = "";
  child.stdout.on("data", (data: Buffer) => (shown += data.toString()));
  await eventually("the first line", () => shown === "one\n");
  child.kill("SIGINT");
  const { stderr } = await ended;
  const id = /attach -i (\w+)/.exec(stderr)?.[1] as string;
  expect(await procman("between\n", "send", id)).toMatchObject({ code: 0 });
  const output = "one\nbetween\ntwo\n";
  expect(await procman("one\ntwo\n", ...run)).toMatchObject({ code: 0, stdout: output });
  expect(await procman("one\ntwo\n", ...run)).toMatchObject({ code: 0, stdout: output });
});

test("two that send the same at once are two; attach -i leaves the input open", async () => {
  const { stdout } = await procman("", "run", "-d", "-i", "--", "cat");
  const id = stdout.trim();
  const attached = launch("attach", "-i", id);
  attached.child.stdin.end("a\n");
  const sending = Array.from({ length: 6 }, () => procman("y\n", "send", id));
  for (const sent of await Promise.all(sending)) expect(sent.code).toBe(0);
  expect(await procman("z\n", "send", "--close", id)).toMatchObject({ code: 0 });
  const { stdout: shown } = await attached.ended;
  expect(shown.split("\n").sort().join("")).toBe("ayyyyyyz");
});

test("send, from one process after another, then the end", async () => {
  const { stdout } = await procman("", "run", "-d", "-i", "--", "cat");
  const id = stdout.trim();
  expect(await procman("one\n", "send", id)).toEqual({ code: 0, stdout: "", stderr: "" });
  expect(await procman("two\n", "send", id.slice(0, 8), "--close")).toMatchObject({ code: 0 });
  expect(await procman("", "wait", id)).toMatchObject({ code: 0 });
  expect((await procman("", "attach", id)).stdout).toBe("one\ntwo\n");
  const late = await procman("three\n", "send", id);
  expect(late).toMatchObject({ code: 1, stderr: expect.stringContaining("not running") });
});

test("resize, and what get tells of a terminal", async () => {
  const { stdout } = await procman("", "run", "-d", "-it", "--", "sleep", "1000");
  const id = stdout.trim();
  expect(await procman("", "resize", id, "132x50")).toMatchObject({ code: 0 });
  const { stdout: told } = await procman("", "get", id);
  expect(told).toMatch(/terminal: +80x24/);
  expect(told).toMatch(/input: +open/);
  expect(await procman("", "resize", id, "wide")).toMatchObject({ code: 2 });
  expect(await procman("", "cancel", "--grace", "0", id)).toMatchObject({ code: 0 });
});

test("a pipe through a server that is killed on the way: every byte, once", async () => {
  const input = randomBytes(24 * 1024 * 1024);
  const { child, ended } = launch("run", "-i", "--", "sh", "-c", "echo begun; sha256sum");
  let shown = "";
  child.stdout.on("data", (data: Buffer) => (shown += data.toString()));
  await eventually("the job", () => shown.includes("begun"));
  for (let begin = 0; begin < input.length; begin += 4 * 1024 * 1024) {
    const written = new Promise((resolve) =>
      child.stdin.write(input.subarray(begin, begin + 4 * 1024 * 1024), resolve),
    );
    if (begin === 8 * 1024 * 1024 || begin === 16 * 1024 * 1024) {
      process.kill((await managerPid(stateDir)) as number, "SIGKILL");
      // Any command starts the next one.
      await procman("", "ls");
    }
    await written;
  }
  child.stdin.end();
  const { code } = await ended;
  expect(code).toBe(0);
  expect(shown).toContain(createHash("sha256").update(input).digest("hex"));
});
