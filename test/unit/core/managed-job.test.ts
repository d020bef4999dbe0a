import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { JobSpec } from "../../../src/contract/job.js";
import { silentLog } from "../../../src/contract/log.js";
import type { JobRecord } from "../../../src/core/ports.js";
import { type JobContext, ManagedJob } from "../../../src/core/managed-job.js";
import { processTable } from "../../../src/engine/local/process/processes.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { FileLogs } from "../../../src/logs/file-logs.js";
import { FileJobStore } from "../../../src/storage/file-job-store.js";
import { eventually } from "../../helpers/eventually.js";
import { someSpec } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { endJobs } from "../../helpers/test-server.js";

/** What jobs need, over real files and processes; the disk is full when the test says so. */
async function contextWithDisk() {
  const stateDir = tempDir();
  mkdirSync(join(stateDir, "jobs"));
  const disk = { full: false };
  const store = await FileJobStore.open(stateDir);
  const write = store.write.bind(store);
  store.write = (record: JobRecord) =>
    disk.full ? Promise.reject(new ProcmanError("DISK_FULL", "no room")) : write(record);
  const closing = new AbortController();
  const engine = new LocalEngine({ pollIntervalMs: 20 });
  const context: JobContext = {
    engine,
    store,
    logs: new FileLogs(),
    log: silentLog,
    pollIntervalMs: 20,
    defaultLogLimitBytes: undefined,
    onChange: () => {},
    onEnd: () => {},
    onSettled: () => {},
    closing: closing.signal,
  };
  onTestFinished(async () => {
    closing.abort();
    await endJobs(stateDir);
  });
  const start = async (spec: JobSpec): Promise<ManagedJob> => {
    const job = await ManagedJob.start(context, spec, 1);
    onTestFinished(() => job.close());
    return job;
  };
  const saved = (id: string) =>
    JSON.parse(readFileSync(store.dirOf(id).record, "utf8")) as { status: string };
  return { context, start, store, disk, stateDir, saved };
}

function spec(id: string, script: string): JobSpec {
  return someSpec({ id, requestId: id, command: "sh", args: ["-c", script] });
}

test("a disk that fills between the spawn and the record: the job runs and is known", async () => {
  const { start, disk, saved } = await contextWithDisk();
  disk.full = true;
  const job = await start(spec("full1", "sleep 0.2; exit 5"));
  expect(job.record.state.status).toBe("running");
  // What is on disk is enough to take it over: the record, and who the process is.
  expect(saved("full1").status).toBe("pending");
  await eventually("the end", () => job.ended.aborted);
  expect(job.record.state).toMatchObject({ status: "failed", exitCode: 5 });
  disk.full = false;
  await eventually("the record", () => saved("full1").status === "failed");
});

test("a record that was never brought up to date is taken over as what it has become", async () => {
  const { context, start, store, disk } = await contextWithDisk();
  disk.full = true;
  const job = await start(spec("full2", "exit 6"));
  await eventually("the end", () => job.ended.aborted);
  const { records } = await store.load();
  expect(records.map(({ state }) => state.status)).toEqual(["pending"]);
  disk.full = false;
  const adopted = await ManagedJob.adopt(context, records[0] as JobRecord);
  expect(adopted?.record.state).toMatchObject({ status: "failed", exitCode: 6 });
});

test("a start that fails leaves no directory", async () => {
  const { start, stateDir } = await contextWithDisk();
  const tooLong = { ...spec("long", ""), args: ["-c", "x".repeat(300_000)] };
  await expect(start(tooLong)).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  expect(readdirSync(join(stateDir, "jobs"))).toEqual([]);
});

test("a start whose directory does not come to be on disk ends its command, with all that has begun", async () => {
  const { start, store, stateDir } = await contextWithDisk();
  const draft = store.draft.bind(store);
  const running = join(stateDir, "running");
  store.draft = (record: JobRecord) => {
    const made = draft(record);
    const publish = async () => {
      await made.publish();
      // Not before the command has a child in a group of its own.
      await eventually("the child", () => existsSync(running));
      throw new ProcmanError("STORAGE_UNAVAILABLE", "EIO");
    };
    return { ...made, publish };
  };
  const child = `trap '' TERM HUP; echo $$ >${running}.tmp; mv ${running}.tmp ${running}; exec sleep 1000`;
  const script = `set -m; sh -c "${child.replaceAll("$", "\\$")}" & trap '' TERM HUP; sleep 1000`;
  const starting = start(spec("eio", script));
  await expect(starting).rejects.toMatchObject({ reason: "STORAGE_UNAVAILABLE" });
  expect(readdirSync(join(stateDir, "jobs"))).toEqual([]);
  const pid = Number(readFileSync(running, "utf8"));
  // Gone, or one that its parent has not asked about.
  expect(processTable().lookup(pid)?.zombie ?? true).toBe(true);
});
