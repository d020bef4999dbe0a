import { mkdirSync, rmSync } from "node:fs";
import { expect, test } from "vitest";
import type { Job } from "../../../src/index.js";
import { TestManager } from "../../helpers/test-manager.js";
import { endProcess, stranger } from "../../helpers/strangers.js";

/** What a runner writes in one go when its command has ended. */
const EXIT = "3\n0m0.01s 0m0.02s\n0m1.25s 0m0.50s\n";

/** What jobs are taken for whose runners have ended and whose exit records say that. */
async function takenOver(records: readonly string[]): Promise<Job[]> {
  const { at, id } = await TestManager.withForgedJob();
  const gone = await stranger();
  await endProcess(gone.pid);
  records.forEach((text, n) => {
    at.copyJob(id, `job${n}`);
    at.claim(`job${n}`, { runner: gone.stat, command: gone.stat });
    at.write(`job${n}`, "exit", text);
  });
  await at.open();
  return Promise.all(records.map((_, n) => at.manager.get(`job${n}`)));
}

const onLinuxTest = test.skipIf(process.platform !== "linux");

onLinuxTest(
  "an exit record counts once it ends in a newline, cut anywhere else it does not",
  async () => {
    const prefixes = Array.from({ length: EXIT.length + 1 }, (_, length) => EXIT.slice(0, length));
    const jobs = await takenOver(prefixes);
    jobs.forEach((job, length) => {
      const text = prefixes[length] as string;
      const expected = text.endsWith("\n")
        ? { status: "failed", exitCode: 3 }
        : {
            status: "orphaned",
            error: expect.stringContaining("is gone and left no record"),
          };
      expect(job, JSON.stringify(text)).toMatchObject(expected);
    });
    // Times that are cut short are not made up.
    expect(jobs[2]).not.toHaveProperty("cpuTimeMs");
    expect(jobs.at(-1)).toMatchObject({ cpuTimeMs: 1750 });
  },
);

onLinuxTest("what is no exit code is none", async () => {
  const times = "0m0.01s 0m0.02s\n0m1.25s 0m0.50s\n";
  const texts = [
    times,
    "\n",
    "x\n",
    "-1\n",
    "+1\n",
    " 1\n",
    "1 \n",
    "1234\n",
    "0x1\n",
    "1.5\n",
    "1\r\n",
  ];
  for (const job of await takenOver(texts)) expect(job.status).toBe("orphaned");
});

onLinuxTest("codes over 128 are death by a signal, by those that there are", async () => {
  const codes = [0, 1, 126, 127, 128, 129, 137, 143, 159, 192, 255];
  const jobs = await takenOver(codes.map((code) => `${code}\n\n\n`));
  const signals = jobs.map((job) => ("signal" in job ? job.signal : undefined));
  const by: Record<number, string> = {
    129: "SIGHUP",
    137: "SIGKILL",
    143: "SIGTERM",
    159: "SIGSYS",
  };
  expect(signals).toEqual(codes.map((code) => by[code]));
  expect(jobs.map((job) => ("exitCode" in job ? job.exitCode : undefined))).toEqual(codes);
  expect(jobs[0]?.status).toBe("completed");
});

onLinuxTest("a record that is being written is waited for while its runner lives", async () => {
  const { at, id } = await TestManager.withForgedJob();
  const runner = await stranger();
  at.claim(id, { runner: runner.stat, command: runner.stat });
  at.write(id, "exit", "3");
  await at.open();
  expect((await at.manager.get(id)).status).toBe("running");
  expect(await at.manager.refresh()).toEqual([]);
  at.write(id, "exit", EXIT);
  expect(await at.manager.wait(id)).toMatchObject({ status: "failed", exitCode: 3 });
});

onLinuxTest("one that cannot be read says nothing of the job", async () => {
  const { at, id } = await TestManager.withForgedJob();
  const gone = await stranger();
  await endProcess(gone.pid);
  at.claim(id, { runner: gone.stat, command: gone.stat });
  rmSync(at.path(id, "exit"));
  mkdirSync(at.path(id, "exit"));
  await at.open();
  expect((await at.manager.get(id)).status).toBe("running");
  rmSync(at.path(id, "exit"), { recursive: true });
  at.write(id, "exit", EXIT);
  await at.manager.refresh();
  expect(await at.manager.get(id)).toMatchObject({ status: "failed", exitCode: 3 });
});
