import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { endAll, launch, procman } from "../helpers/procman-command.js";
import { sharedTempDir } from "../helpers/temp-dir.js";

const stateDir = join(sharedTempDir(), "state");
const cli = (...args: string[]) => procman(stateDir, ...args);
beforeAll(async () => {
  mkdirSync(stateDir, { mode: 0o700 });
  expect((await cli("ls")).code).toBe(0);
});
afterAll(() => endAll(stateDir));

async function jobs(): Promise<{ id: string; status: string; error: string }[]> {
  const { stdout } = await cli("ls", "--json");
  return stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
}

test("run --lease and renew", async () => {
  const { stdout } = await cli("run", "-d", "--lease", "1h", "--", "sleep", "1000");
  const id = stdout.trim();
  expect((await cli("get", id)).stdout).toMatch(/lease: +1h; it ends in 59m .* unless/);
  const renewed = await cli("renew", "--lease", "200ms", id);
  expect(renewed).toMatchObject({ code: 0, stderr: "" });
  expect(renewed.stdout).toMatch(new RegExp(`^${id} \\d{4}-.*Z\n$`));
  const waited = await cli("wait", id);
  expect(waited.stdout).toContain("cancelled");
  expect(waited.stdout).toContain("its lease of 200 ms was not renewed");
  expect(await cli("renew", id)).toMatchObject({ code: 1 });
  const wrong = await cli("run", "-d", "--lease", "0", "--", "true");
  expect(wrong.stderr).toContain("--lease");
});

test("run --rm removes the job that it has followed to its end, and exits as that did", async () => {
  const before = await jobs();
  const ran = await cli("run", "--rm", "--", "sh", "-c", "echo out; exit 3");
  expect(ran).toMatchObject({ code: 3, stdout: "out\n" });
  expect(await jobs()).toHaveLength(before.length);
  const refused = await cli("run", "--rm", "--name", "x", "--if-running", "return", "--", "true");
  expect(refused.code).toBe(125);
});

test.each([
  ["SIGINT", 130],
  ["SIGHUP", 130],
  ["SIGTERM", 130],
] as const)("run --with-me: %s ends the job, whose last output is shown", async (signal, code) => {
  const script = "trap 'echo bye; exit 0' TERM; echo begun; while :; do sleep 0.05; done";
  const running = launch(stateDir, ["run", "--with-me", "--rm", "--", "sh", "-c", script]);
  await eventually("the output", () => running.stdout() === "begun\n");
  running.signal(signal);
  expect(await running.ended).toMatchObject({ code, stdout: "begun\nbye\n" });
  expect((await jobs()).filter(({ status }) => status === "running")).toEqual([]);
});

test("run --with-me: where it is killed, the job's lease ends that", async () => {
  const args = ["run", "--with-me", "--lease", "2s", "--", "sh", "-c", "echo $$; exec sleep 1000"];
  const running = launch(stateDir, args);
  await eventually("the output", () => running.stdout() !== "");
  const [job] = await jobs();
  expect(job).toMatchObject({ status: "running" });
  running.signal("SIGKILL");
  await running.ended;
  const waited = await cli("wait", job!.id);
  expect(waited.stdout).toContain("its lease of 2000 ms was not renewed");
});

test("run --with-me keeps the lease of a job that takes longer", async () => {
  const args = ["run", "--with-me", "--lease", "900ms", "--", "sh", "-c", "sleep 2.5; echo done"];
  expect(await cli(...args)).toMatchObject({ code: 0, stdout: "done\n" });
});
