import { spawn } from "node:child_process";
import { join } from "node:path";
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { loadLibc } from "../../../src/platform/libc.js";
import { spawnDetached } from "../../../src/platform/spawn-detached.js";
import { eventually } from "../../helpers/eventually.js";

const DIST = join(import.meta.dirname, "../../../dist/src/platform/spawn-detached.js");
const at = { cwd: "/", env: { PATH: "/bin:/usr/bin" } };

async function hasEnded({ ended }: { ended: AbortSignal }): Promise<void> {
  await eventually("its end", () => ended.aborted);
}

test("each end is told, of very many as well, beside children of Node's own", async () => {
  const forked = spawn("true");
  const children = await Promise.all(
    Array.from({ length: 80 }, () => spawnDetached(["/bin/true"], at)),
  );
  await Promise.all(children.map(hasEnded));
  if (forked.exitCode === null) await once(forked, "exit");
  expect(forked.exitCode).toBe(0);
});

test.runIf(process.platform === "linux").each([1, 60])(
  "an end is told behind a child that nobody waits for, with %d children that run",
  async (running) => {
    const posixSpawn = (await loadLibc()).posixSpawn!;
    const children = await Promise.all(
      Array.from({ length: running }, () => spawnDetached(["/bin/sleep", "1000"], at)),
    );
    onTestFinished(() => children.forEach(({ pid }) => process.kill(pid, "SIGKILL")));
    // As pid 1 has them. The kernel names it first, and whoever asks for all waits for it.
    const zombie = await posixSpawn.spawn(["/bin/true"], "/", []);
    onTestFinished(() => void posixSpawn.reap(zombie.pid));
    await eventually("the zombie", () => posixSpawn.endedChild() === zombie.pid);
    const child = await spawnDetached(["/bin/sleep", "0.2"], at);
    await hasEnded(child);
    expect(posixSpawn.endedChild()).toBe(zombie.pid);
  },
);

test("an end is told in a worker thread, where no signal is heard", async () => {
  const script = `
    const { workerData, parentPort } = require("node:worker_threads");
    import(workerData.dist).then(async ({ spawnDetached }) => {
      const child = await spawnDetached(["/bin/sleep", "0.1"], workerData.at);
      const keepAlive = setInterval(() => {}, 1000);
      child.ended.addEventListener("abort", () => {
        clearInterval(keepAlive);
        parentPort.postMessage(child.pid);
      });
    });`;
  const worker = new Worker(script, { eval: true, workerData: { dist: DIST, at } });
  onTestFinished(() => void worker.terminate());
  const [pid] = (await once(worker, "message")) as [number];
  expect(pid).toBeGreaterThan(1);
});
