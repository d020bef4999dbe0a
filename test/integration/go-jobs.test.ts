import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { errorReason } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { endProcess, isRunning, stranger } from "../helpers/strangers.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestManager } from "../helpers/test-manager.js";

/** A record as the Go library writes it, with what it leaves out left out. */
function writeRecord(at: TestManager, id: string, more: object): void {
  mkdirSync(at.path(id), { recursive: true });
  const record = {
    id,
    command: "bash",
    args: ["-c", "echo hi"],
    env: null,
    work_dir: "/tmp",
    labels: { team: "go" },
    pid: 4242,
    started_at: "2026-01-02T03:04:05.123456789+01:00",
    ...more,
  };
  at.write(id, "state.json", JSON.stringify(record));
}

/** Runs a script as the Go library does: in a session of its own, with files as its output. */
function runBare(at: TestManager, id: string, script: string): ChildProcess {
  mkdirSync(at.path(id), { recursive: true });
  const logs = ["stdout.log", "stderr.log"].map((name) => openSync(at.path(id, name), "a"));
  const startedTime = new Date();
  const child = spawn("bash", ["-c", script], { detached: true, stdio: ["ignore", ...logs] });
  for (const log of logs) closeSync(log);
  onTestFinished(() => endProcess(-(child.pid as number)));
  writeRecord(at, id, {
    args: ["-c", script],
    pid: child.pid,
    status: "running",
    started_at: startedTime.toISOString(),
  });
  return child;
}

test("ended jobs of the Go library are shown with their output, removed and cleaned up", async () => {
  const at = TestManager.prepare();
  const completed_at = "2026-01-02T03:05:05Z";
  writeRecord(at, "first", { status: "completed", completed_at });
  const later = { started_at: "2026-01-02T03:04:05.123457789+01:00", completed_at };
  writeRecord(at, "second", { status: "failed", exit_code: 3, error: "exit status 3", ...later });
  const latest = { started_at: "2026-01-02T04:04:05+01:00", completed_at };
  writeRecord(at, "killed", {
    status: "failed",
    exit_code: -1,
    error: "signal: killed",
    ...latest,
  });
  at.write("second", "stdout.log", "one\ntwo\n");
  await at.open();
  const { jobs } = await at.manager.list({ labels: { team: "go" }, pageSize: 2 });
  expect(jobs.map(({ id }) => id)).toEqual(["killed", "second"]);
  const { nextPageToken: pageToken } = await at.manager.list({ pageSize: 2 });
  expect((await at.manager.list({ pageSize: 2, pageToken })).jobs.map(({ id }) => id)).toEqual([
    "first",
  ]);
  expect(await at.manager.get("first")).toMatchObject({
    status: "completed",
    exitCode: 0,
    command: "bash",
    workDir: "/tmp",
    completedTime: new Date(completed_at),
  });
  expect(await at.manager.get("second")).toMatchObject({ exitCode: 3, error: "exit status 3" });
  expect(await at.manager.get("killed")).toMatchObject({
    status: "orphaned",
    error: 'recorded as "failed", without an exit code: signal: killed',
  });
  const lines: string[] = [];
  for await (const event of at.manager.watch("second")) {
    if (event.type === "line") lines.push(event.text);
  }
  expect(lines).toEqual(["one", "two"]);
  await at.manager.remove("second");
  expect(existsSync(at.path("second"))).toBe(false);
  expect([...(await at.manager.cleanup({ olderThanMs: 0 }))].sort()).toEqual(["first", "killed"]);
  // New jobs are ordered after them.
  const job = await at.manager.start({ command: "true" });
  expect((await at.manager.list()).jobs[0]?.id).toBe(job.id);
});

test("one that runs is followed to its end, of which nothing more is known", async () => {
  const at = TestManager.prepare();
  const go = join(tempDir(), "go");
  runBare(at, "bare", `echo one; while [ ! -e ${go} ]; do sleep 0.05; done; echo two; exit 3`);
  await at.open();
  expect(await at.manager.get("bare")).toMatchObject({ status: "running" });
  await at.close();
  // Also by the next manager.
  await at.open();
  const lines: string[] = [];
  for await (const event of at.manager.watch("bare")) {
    if (event.type === "line") lines.push(event.text);
    writeFileSync(go, "");
  }
  expect(lines).toEqual(["one", "two"]);
  expect(await at.manager.get("bare")).toMatchObject({
    status: "orphaned",
    error: "another program started it, and has not recorded how it ended",
  });
});

test("where its own program records the end, that counts", async () => {
  const at = TestManager.prepare();
  const go = join(tempDir(), "go");
  const child = runBare(at, "bare", `while [ ! -e ${go} ]; do sleep 0.05; done; exit 3`);
  await at.open();
  const ended = at.manager.wait("bare");
  child.once("exit", (exit_code) =>
    writeRecord(at, "bare", {
      pid: child.pid,
      status: "failed",
      exit_code,
      started_at: new Date().toISOString(),
      completed_at: new Date().toISOString(),
    }),
  );
  writeFileSync(go, "");
  expect(await ended).toMatchObject({ status: "failed", exitCode: 3 });
});

test("Cancel and signals reach all of its processes", async () => {
  const at = TestManager.prepare();
  const child = runBare(
    at,
    "bare",
    "trap 'echo got it' USR1; sleep 1000 & echo ready; while :; do wait; done",
  );
  await eventually("its first line", () => at.read("bare", "stdout.log").includes("ready"));
  await at.open();
  await at.manager.signal("bare", "USR1");
  await eventually("the signal", () => at.read("bare", "stdout.log").includes("got it"));
  const job = await at.manager.cancel("bare", { gracePeriodMs: 100 });
  expect(job.status).toBe("orphaned");
  expect(isRunning(child.pid as number)).toBe(false);
});

test("another process that has its pid now is none of it, and is left alone", async () => {
  const at = TestManager.prepare();
  const { pid } = await stranger();
  writeRecord(at, "gone", { pid, status: "running" });
  await at.open();
  expect(await at.manager.get("gone")).toMatchObject({
    status: "orphaned",
    error: "the process that its record names is gone, and nothing tells how it ended",
  });
  expect(await errorReason(at.manager.cancel("gone"))).toBe("JOB_NOT_RUNNING");
  expect(isRunning(pid)).toBe(true);
  expect(existsSync(join(dirname(at.path("gone", "state.json")), "process"))).toBe(false);
});
