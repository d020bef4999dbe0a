import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { JobSpec } from "../../../src/contract/job.js";
import { silentLog } from "../../../src/contract/log.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { Supervisor } from "../../../src/core/supervisor.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { FileJobStore } from "../../../src/storage/file-job-store.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { endJobs } from "../../helpers/test-server.js";

/** A supervisor over real files and processes, whose disk is full when the test says so. */
async function supervisorWithDisk() {
  const stateDir = tempDir();
  mkdirSync(join(stateDir, "jobs"));
  const disk = { full: false };
  const store = await FileJobStore.open(stateDir);
  const write = store.write.bind(store);
  store.write = (record: JobRecord) =>
    disk.full ? Promise.reject(new ProcmanError("DISK_FULL", "no room")) : write(record);
  const closing = new AbortController();
  const engine = new LocalEngine({ pollIntervalMs: 20 });
  const supervisor = new Supervisor({
    engine,
    store,
    output: { limit: () => {}, forget: () => {} },
    log: silentLog,
    pollIntervalMs: 20,
    defaultLogLimitBytes: undefined,
    onChange: () => {},
    closing: closing.signal,
  });
  onTestFinished(async () => {
    closing.abort();
    supervisor.close();
    engine.close();
    await endJobs(stateDir);
  });
  const saved = (id: string) =>
    JSON.parse(readFileSync(join(store.dirOf(id), "state.json"), "utf8")) as { status: string };
  return { supervisor, store, disk, stateDir, saved };
}

function spec(id: string, script: string): JobSpec {
  return {
    id,
    requestId: id,
    command: "sh",
    args: ["-c", script],
    env: {},
    clearEnv: false,
    workDir: "/",
    labels: {},
    mergeOutput: false,
    pty: false,
    stdin: false,
  };
}

test("a disk that fills between the spawn and the record: the job runs and is known", async () => {
  const { supervisor, disk, saved } = await supervisorWithDisk();
  disk.full = true;
  const entry = await supervisor.start(spec("full1", "sleep 0.2; exit 5"), 1);
  expect(entry.record.state.status).toBe("running");
  // What is on disk is enough to take it over: the record, and who the process is.
  expect(saved("full1").status).toBe("pending");
  await eventually("the end", () => entry.ended.aborted);
  expect(entry.record.state).toMatchObject({ status: "failed", exitCode: 5 });
  disk.full = false;
  await eventually("the record", () => saved("full1").status === "failed");
  entry.release();
});

test("a record that was never brought up to date is taken over as what it has become", async () => {
  const { supervisor, store, disk } = await supervisorWithDisk();
  disk.full = true;
  const entry = await supervisor.start(spec("full2", "exit 6"), 1);
  await eventually("the end", () => entry.ended.aborted);
  const { records } = await store.load();
  expect(records.map(({ state }) => state.status)).toEqual(["pending"]);
  disk.full = false;
  const adopted = await supervisor.adopt(records[0] as JobRecord);
  expect(adopted?.record.state).toMatchObject({ status: "failed", exitCode: 6 });
});

test("a start that fails leaves no directory", async () => {
  const { supervisor, stateDir } = await supervisorWithDisk();
  const tooLong = { ...spec("long", ""), args: ["-c", "x".repeat(300_000)] };
  await expect(supervisor.start(tooLong, 1)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  expect(readdirSync(join(stateDir, "jobs"))).toEqual([]);
});

test("a stop that comes as the command has just ended lets its own end stand", async () => {
  const { supervisor, saved } = await supervisorWithDisk();
  const entry = await supervisor.start(spec("ended", "exit 0"), 1);
  const stop = supervisor.stop(entry, "cancel", 100).then(
    () => "cancelled",
    (error: ProcmanError) => error.reason,
  );
  const outcome = await stop;
  await eventually("the end", () => entry.ended.aborted);
  const { status } = entry.record.state;
  // Either the intent was first, or the exit: never both.
  expect([`${outcome} ${status}`]).toEqual([
    outcome === "cancelled" ? "cancelled cancelled" : "JOB_NOT_RUNNING completed",
  ]);
  expect(saved("ended")).toMatchObject({ status });
  if (outcome !== "cancelled") expect(saved("ended")).not.toHaveProperty("stop");
});
