import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Identity } from "../../../src/engine/local/runner/runner-records.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { processTable } from "../../../src/engine/local/process/processes.js";
import { SessionStop } from "../../../src/engine/local/containment/session-stop.js";
import { readProcessRecord } from "../../../src/engine/local/runner/runner-records.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { eventually } from "../../helpers/eventually.js";
import { someRecord } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

const never = new AbortController().signal;
const MARKER = "PROCMAN_STOP_TEST";

/** A running job whose processes only its session holds together, wherever the test runs. */
async function startWithoutCgroup(script: string) {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path);
  for (const log of ["stdout.log", "stderr.log"]) writeFileSync(join(dir.path, log), "");
  const engine = new LocalEngine({ pollIntervalMs: 50 });
  const marker = `${MARKER}${Math.random()}`;
  onTestFinished(async () => {
    for (const pid of processesOf(marker)) process.kill(pid, "SIGKILL");
    await eventually("the end", async () => (await engine.open(dir).inspect()).kind !== "alive");
    engine.open(dir).release();
  });
  const { spec } = someRecord();
  const env = { [MARKER]: marker };
  const wanted = { ...spec, command: "bash", args: ["-c", script], env, workDir: "/" };
  await (await engine.prepare(wanted)).start(dir);
  await eventually("its word", () => readFileSync(join(dir.path, "stdout.log"), "utf8") !== "");
  const record = readProcessRecord(dir);
  if (record.kind !== "complete") throw new Error(`the process record is ${record.kind}`);
  // As it would be for a user who may make none.
  const identity: Identity = { ...record, cgroup: "" };
  return { dir, identity, alive: () => processesOf(marker) };
}

function processesOf(marker: string): number[] {
  return processTable()
    .all()
    .filter(({ pid, zombie }) => !zombie && environment(pid).includes(`${MARKER}=${marker}`))
    .map(({ pid }) => pid)
    .filter((pid) => !isRunner(pid));
}

function environment(pid: number): string {
  return read(`/proc/${pid}/environ`);
}

function isRunner(pid: number): boolean {
  return read(`/proc/${pid}/cmdline`).split("\0")[1]?.endsWith("runner.sh") ?? false;
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}

describe.skipIf(process.platform !== "linux")("where only the session holds a job together", () => {
  test("a child that outlives the command and its runner is ended after the grace", async () => {
    // Both end at the SIGTERM, before anybody has had a second look.
    for (let run = 0; run < 10; run += 1) {
      const job = await startWithoutCgroup(
        "(trap '' TERM; echo ready; exec sleep 1000) & exec sleep 1000",
      );
      await new SessionStop(job.dir).stop(job.identity, 50, never);
      expect(job.alive()).toEqual([]);
      expect(new SessionStop(job.dir).isUnfinished).toBe(false);
    }
  });

  test("nothing escapes by forking all the time", async () => {
    for (let run = 0; run < 5; run += 1) {
      const job = await startWithoutCgroup(
        "trap '' TERM; echo ready; while :; do (sleep 0.01; exec sleep 500) & sleep 0.02; done",
      );
      await new SessionStop(job.dir).stop(job.identity, 100, never);
      expect(job.alive()).toEqual([]);
    }
  });

  test("a stop that a dead server began is carried on, though only a child is left", async () => {
    const job = await startWithoutCgroup(
      "(trap '' TERM; echo ready; exec sleep 1000) & exec sleep 1000",
    );
    const dying = new AbortController();
    const begun = new SessionStop(job.dir).stop(job.identity, 60_000, dying.signal);
    await eventually("the command's end", () => job.alive().length === 1);
    dying.abort();
    await expect(begun).rejects.toThrow();
    expect(new SessionStop(job.dir).isUnfinished).toBe(true);
    // Whoever was there when it began is the job's. Less grace, so as not to wait for it.
    await new SessionStop(job.dir).stop(job.identity, 0, never);
    expect(job.alive()).toEqual([]);
    expect(new SessionStop(job.dir).isUnfinished).toBe(false);
  });

  test("the time that an earlier server gave counts as grace", async () => {
    const job = await startWithoutCgroup("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    const longAgo = Number(processTable().mark()) - 100 * 60 * 60;
    writeFileSync(join(job.dir.path, "stopping"), `${job.identity.bootId}\n${longAgo}\n`);
    // An hour of grace, which has passed.
    await new SessionStop(job.dir).stop(job.identity, 60 * 60 * 1000, never);
    expect(job.alive()).toEqual([]);
  });

  test("a session of which nobody is known is left alone", async () => {
    const job = await startWithoutCgroup("echo ready; exec sleep 1000");
    const { runner, command } = job.identity;
    // The same numbers, of processes that were there before and have ended: a session
    // that has come round.
    const earlier = { startTime: String(Number(runner.startTime) - 1) };
    const identity = {
      ...job.identity,
      runner: { ...runner, ...earlier },
      command: { pid: command.pid, ...earlier },
    };
    await new SessionStop(job.dir).stop(identity, 0, never);
    expect(job.alive()).toHaveLength(1);
    rmSync(join(job.dir.path, "stopping"), { force: true });
  });

  test("several at once are one, and the shortest grace counts", async () => {
    const job = await startWithoutCgroup("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    const stops = new SessionStop(job.dir);
    const patient = stops.stop(job.identity, 60 * 60 * 1000, never);
    expect(stops.isUnderWay).toBe(true);
    await stops.stop(job.identity, 10, never);
    await patient;
    expect(stops.isUnderWay).toBe(false);
    expect(job.alive()).toEqual([]);
  });
});
