import { existsSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { errorReason } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import {
  earlier,
  endProcess,
  isRunning,
  startTimeOf,
  statOf,
  stranger,
  zombie,
} from "../helpers/strangers.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestManager } from "../helpers/test-manager.js";

/** Who has ended, by a number that nobody has. */
async function ended(): Promise<string> {
  const { pid, stat } = await stranger();
  await endProcess(pid);
  await eventually("its number to be free", () => !existsSync(`/proc/${pid}`));
  return stat;
}

/** A session of somebody else's: its leader, and a process that the leader has started. */
async function foreignSession() {
  const file = `${tempDir()}/child`;
  const leader = await stranger("bash", ["-c", `sleep 1000 & echo $! >${file}; wait`]);
  const child = await eventually("the child", () => Number(readFileSync(file, "utf8")));
  await eventually("its program", () => statOf(child).includes("(sleep)"));
  return { leader, child, childStat: statOf(child) };
}

/** A forged job that was being ended when its server died. */
async function stopping(lines: { runner: string; command: string }, mark: number) {
  const { at, id } = await TestManager.withForgedJob();
  at.claim(id, lines);
  const requestedTime = new Date().toISOString();
  at.changeRecord(id, {
    status: "cancelled",
    stop: { kind: "cancel", requestedTime, gracePeriodMs: 0 },
  });
  const [bootId] = at.read(id, "process").split("\n", 1);
  at.write(id, "stopping", `${bootId}\n${mark}\n`);
  await at.open();
  await eventually("the end of the stop", () => !existsSync(at.path(id, "stopping")));
  return { at, id };
}

describe.skipIf(process.platform !== "linux")("a job's session number is another's by now", () => {
  test("led by another process: who is in it is left alone", async () => {
    const { leader, child } = await foreignSession();
    // Proven by the mark, if it were not for the leader.
    const runner = earlier(leader.stat);
    await stopping({ runner, command: await ended() }, startTimeOf(leader.stat) + 1_000_000);
    expect([leader.pid, child].filter(isRunning)).toEqual([leader.pid, child]);
  });

  test("with nobody in it from before the stop: who is in it is left alone", async () => {
    const { leader, child, childStat } = await foreignSession();
    await endProcess(leader.pid);
    const mark = startTimeOf(childStat) - 1;
    // Nor does it help that the command had the pid of one of them.
    await stopping({ runner: earlier(leader.stat), command: earlier(childStat) }, mark);
    expect(isRunning(child)).toBe(true);
  });

  test("with somebody in it from before the stop: that is the job's", async () => {
    const { leader, child, childStat } = await foreignSession();
    await endProcess(leader.pid);
    await stopping({ runner: leader.stat, command: await ended() }, startTimeOf(childStat));
    await eventually("the child's end", () => !isRunning(child));
  });

  test("the command's pid is that of a process in another session: it is left alone", async () => {
    const { leader } = await foreignSession();
    const command = earlier(leader.stat);
    await stopping({ runner: await ended(), command }, startTimeOf(leader.stat) + 1_000_000);
    expect(isRunning(leader.pid)).toBe(true);
  });
});

describe.skipIf(process.platform !== "linux")("a runner's pid is another's by now", () => {
  test("that its command has ended is noticed all the same", async () => {
    const command = await stranger();
    const other = await stranger();
    const { at, id } = await TestManager.withForgedJob({ pollIntervalMs: 10 });
    at.claim(id, { runner: earlier(other.stat), command: command.stat });
    await at.open();
    expect(await at.manager.get(id)).toMatchObject({ status: "running", pid: command.pid });
    await endProcess(command.pid);
    const job = await at.manager.wait(id, { timeoutMs: 20_000 });
    expect(job).toMatchObject({ status: "orphaned", pid: command.pid });
    expect(isRunning(other.pid)).toBe(true);
  });

  test("the same of many jobs, none of which is passed over", async () => {
    const commands = await Promise.all(Array.from({ length: 8 }, () => stranger()));
    const other = await stranger();
    const { at, id } = await TestManager.withForgedJob({ pollIntervalMs: 10 });
    const ids = commands.map((command, n) => {
      at.copyJob(id, `copy${n}`);
      at.claim(`copy${n}`, { runner: earlier(other.stat), command: command.stat });
      return `copy${n}`;
    });
    await at.open();
    // The first one stays: those after it are looked at all the same.
    for (const { pid } of commands.slice(1)) process.kill(pid, "SIGKILL");
    for (const each of ids.slice(1)) {
      const job = await at.manager.wait(each, { timeoutMs: 20_000 });
      expect(job.status).toBe("orphaned");
    }
  });

  test.each(["leads its session", "has left others in its session"])(
    "the stranger, who %s, is not ended in its name",
    async (who) => {
      const { leader, child } = await foreignSession();
      const strangers = who === "leads its session" ? [leader.pid, child] : [child];
      if (strangers.length === 1) await endProcess(leader.pid);
      const command = await stranger();
      const { at, id } = await TestManager.withForgedJob();
      at.claim(id, { runner: earlier(leader.stat), command: command.stat });
      await at.open();
      expect(await errorReason(at.manager.cancel(id, { gracePeriodMs: 0 }))).toBeUndefined();
      expect(isRunning(command.pid)).toBe(false);
      expect(strangers.filter(isRunning)).toEqual(strangers);
    },
  );

  test.each(["TERM", "KILL"])("nor is it sent %s", async (signal) => {
    const { leader, child } = await foreignSession();
    const command = await stranger();
    const { at, id } = await TestManager.withForgedJob({ pollIntervalMs: 60_000 });
    at.claim(id, { runner: earlier(leader.stat), command: command.stat });
    await at.open();
    await endProcess(command.pid);
    expect(await errorReason(at.manager.signal(id, signal))).toBe("JOB_NOT_RUNNING");
    expect([leader.pid, child].filter(isRunning)).toEqual([leader.pid, child]);
  });
});

test.skipIf(process.platform !== "linux")(
  "a runner that is no more than a zombie does not keep its job running",
  async () => {
    const { stat } = await zombie();
    const { at, id } = await TestManager.withForgedJob();
    at.claim(id, { runner: stat, command: stat });
    await at.open();
    expect((await at.manager.get(id)).status).toBe("orphaned");
  },
);
