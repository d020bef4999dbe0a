import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { newStateDir, procman } from "../helpers/procman-command.js";
import { TestManager } from "../helpers/test-manager.js";
import { TestServer } from "../helpers/test-server.js";

/** Writes so many KiB. */
const writing = (kib: number) => ({
  command: "sh",
  args: ["-c", `head -c ${kib * 1024} /dev/zero`],
});

test("by age: also what ended before this server; a job that runs and one that is read stay", async () => {
  const at = await TestManager.open();
  const { id: old } = await at.manager.start(writing(1));
  const { id: read } = await at.manager.start(writing(1));
  const { id: running } = await at.manager.start({ command: "sleep", args: ["1000"] });
  await Promise.all([at.manager.wait(old), at.manager.wait(read)]);
  await at.close();

  await at.open({ retainAgeMs: 1000 });
  // Its reader has begun, and takes its time.
  const reader = at.manager.attach(read)[Symbol.asyncIterator]();
  await reader.next();
  await eventually("the old job to go", () => !existsSync(at.path(old)));
  const { id: next } = await at.manager.start({ command: "true" });
  await eventually("the next one to go", () => !existsSync(at.path(next)));
  expect(existsSync(at.path(read))).toBe(true);
  await reader.return?.(undefined);
  const { id: last } = await at.manager.start({ command: "true" });
  await eventually("the one that was read, and the last", async () => {
    const { jobs } = await at.manager.list();
    return jobs.length === 1 && jobs[0]?.id === running;
  });
  expect(existsSync(at.path(last))).toBe(false);
});

test("by bytes: the oldest first, by what they take on the disk", async () => {
  const at = await TestManager.open({ retainBytes: 300 * 1024 });
  const ids: string[] = [];
  for (const kib of [100, 100, 100, 100]) {
    const { id } = await at.manager.start(writing(kib));
    await at.manager.wait(id);
    ids.push(id);
  }
  await eventually("the first one to go", () => !existsSync(at.path(ids[0] as string)));
  expect(ids.slice(1).map((id) => existsSync(at.path(id)))).toEqual([true, true, true]);
});

test("serve takes both, by options or variables, and status tells", async () => {
  const server = await TestServer.start({
    args: ["--listen", "none", "--retain-age", "7d"],
    env: { PROCMAN_RETAIN_BYTES: "10GB" },
  });
  const status = await procman(server.stateDir, "status");
  expect(status.stdout).toMatch(/^logs: +0 B on disk$/m);
  expect(status.stdout).toMatch(/^deletes: +jobs that ended 7d ago; .* more than 10 GB$/m);
  const json = JSON.parse((await procman(server.stateDir, "status", "--json")).stdout);
  expect(json).toMatchObject({ retainAgeMs: 604_800_000, retainBytes: 1e10, logBytes: 0 });

  const stateDir = newStateDir();
  await procman(stateDir, "run", "--", "sh", "-c", "head -c 100000 /dev/zero");
  const plain = await procman(stateDir, "status");
  expect(plain.stdout).toMatch(/^logs: +10\d kB on disk$/m);
  expect(plain.stdout).not.toContain("deletes:");
  expect(existsSync(join(stateDir, "jobs"))).toBe(true);
});
