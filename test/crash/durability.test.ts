import { execFile } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { isTerminalStatus, type Status } from "../../src/contract/job.js";
import { silentLog } from "../../src/contract/log.js";
import type { JobDir } from "../../src/core/job-dir.js";
import type { JobRecord } from "../../src/core/ports.js";
import { FileJobStore } from "../../src/storage/file-job-store.js";
import { canTrace } from "../helpers/machine.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { endJobs } from "../helpers/test-server.js";
import { type Loss, parseTrace, TRACED_CALLS, type TracedCall, TracedDisk } from "./traced-disk.js";

const run = promisify(execFile);
const DIST = join(import.meta.dirname, "../../dist/src/index.js");

/** Makes a directory at each call and each answer, so that it is among the system calls. */
const DRIVER = `
import { mkdirSync, readFileSync, statSync } from "node:fs";
const [index, stateDir, marks] = process.argv.slice(-3);
const { Manager } = await import(index);
const answered = (name, { id }) => mkdirSync(marks + "/" + name + "." + id);
const remove = async (job) => {
  answered("removing", job);
  await manager.remove(job.id);
  answered("removed", job);
};
const isThere = (path) => statSync(path, { throwIfNoEntry: false }) !== undefined;
const until = async (isTrue) => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 10));
};
setTimeout(() => process.exit(1), 110_000).unref();
const manager = await Manager.open({ stateDir, pollIntervalMs: 50 });

const ends = await manager.start({ command: "sh", args: ["-c", "sleep 0.3; exit 3"] });
answered("started", ends);
answered("ended", await manager.wait(ends.id));
await remove(ends);

const burst = Array.from({ length: 6 }, async () => {
  const job = await manager.start({ command: "true" });
  answered("started", job);
  answered("ended", await manager.wait(job.id));
});
await Promise.all(burst);
// Before, each file was synced.
await until(() => isThere(stateDir + "/journal/b"));
const generation = () => readFileSync(stateDir + "/journal/a", "utf8").split("\\n", 1)[0];
const before = generation();
await Promise.all(Array.from({ length: 6 }, async () => {
  const job = await manager.start({ command: "true" });
  answered("started", job);
  answered("ended", await manager.wait(job.id));
}));

for (const streams of [{ stdin: true }, { output: "pipe" }]) {
  const piped = await manager.start({ command: "cat", ...streams });
  answered("started", piped);
  answered("cancelled", await manager.cancel(piped.id, { gracePeriodMs: 20_000 }).catch(() => piped));
}

const runs = await manager.start({ command: "sleep", args: ["1000"] });
answered("started", runs);
answered("cancelled", await manager.cancel(runs.id, { gracePeriodMs: 20_000 }));
await remove(runs);
const { jobs } = await manager.list();
for (const job of jobs) answered("removing", job);
await manager.cleanup({ olderThanMs: 0 });
for (const job of jobs) answered("removed", job);

const older = await manager.start({ command: "sleep", args: ["1000"] });
answered("started", older);
const leaves = await manager.start({ command: "sh", args: ["-c", "sleep 1000 &"] });
answered("started", leaves);
answered("ended", await manager.wait(leaves.id));
await manager.cancel(leaves.id, { includeRemaining: true });
await remove(leaves);
// The files are synced, and the journal goes on in another file.
await until(() => generation() !== before);
const later = await manager.start({ command: "sleep", args: ["1000"] });
answered("started", later);
answered("cancelled", await manager.cancel(later.id, { gracePeriodMs: 20_000 }));

// The journal has nothing of it any more.
answered("cancelled", await manager.cancel(older.id, { gracePeriodMs: 20_000 }));

const script = "head -c 3000000 /dev/zero; echo done >&2; exec sleep 1000";
const options = { command: "sh", args: ["-c", script], logLimitBytes: 65_536 };
const limited = await manager.start(options);
answered("started", limited);
await manager.wait(limited.id, { until: { type: "output", pattern: "done" } });
while ((await manager.get(limited.id)).stdoutFirstOffset === 0) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
answered("cancelled", await manager.cancel(limited.id, { gracePeriodMs: 0 }));
await remove(limited);
await manager.close();
`;

/** By a signal, or all of a cgroup at once. */
function endsProcesses(call: TracedCall): boolean {
  if (call.name === "kill") return ["SIGTERM", "SIGSTOP", "SIGKILL"].includes(call.signal);
  return call.name === "write" && basename(call.path) === "cgroup.kill";
}

/** Whether a power cut may leave something else after it, or something else is told. */
function changesWhatIsLeft(call: TracedCall, loss: Loss): boolean {
  switch (call.name) {
    case "mkdir":
    case "synced":
      return true;
    case "mkfifo":
      return loss === "contents";
    case "open":
      return call.creates && loss === "contents";
    case "rename":
    case "delete":
      return loss === "contents";
    case "write":
    case "resize":
    case "punch":
    case "sync-begun":
    case "kill":
      return false;
  }
}

/** What was told of a job. */
interface Told {
  state: "started" | "ended" | "cancelled" | "removing" | "removed";
}

/** What a server finds on a disk after the power was cut and is back. */
interface Found {
  readonly status: Status;
  readonly isStopping: boolean;
  readonly isIdentified: boolean;
}

/** Some hundred directories are made and opened. */
const ALL_CUTS_TIMEOUT_MS = 240_000;

const LOSSES: readonly Loss[] = ["names-and-contents", "contents"];

const canRun = canTrace();

describe.skipIf(!canRun)("what is durable, by the system calls of a manager", () => {
  const dir = sharedTempDir();
  const stateDir = join(dir, "state");
  const marks = join(dir, "marks");
  let calls: readonly TracedCall[] = [];

  afterAll(() => endJobs(stateDir));

  beforeAll(async () => {
    mkdirSync(stateDir, { mode: 0o700 });
    mkdirSync(marks);
    const file = join(dir, "trace");
    // All that is written, to the last byte.
    const what = ["-f", "-y", "-qq", "-s", "3000000", "-o", file];
    const words = [...what, "-e", `trace=${TRACED_CALLS.replaceAll(" ", ",")}`];
    const driver = ["--input-type=module", "-e", DRIVER, DIST, stateDir, marks];
    await run("strace", [...words, process.execPath, ...driver]);
    calls = parseTrace(readFileSync(file, "utf8"));
    rmSync(file);
  }, 120_000);

  /** Goes through the calls; `look` is called after each of them. */
  async function replay(
    look: (call: TracedCall, disk: TracedDisk, told: ReadonlyMap<string, Told>) => unknown,
  ): Promise<void> {
    const disk = new TracedDisk(stateDir);
    const told = new Map<string, Told>();
    for (const call of calls) {
      disk.apply(call);
      if (call.name === "mkdir" && call.path.startsWith(`${marks}/`)) {
        const [state, id] = basename(call.path).split(".") as [Told["state"], string];
        told.set(id, { state });
      }
      await look(call, disk, told);
    }
  }

  /** Cuts the power, and returns the jobs that the next server finds. */
  async function afterCut(disk: TracedDisk, loss: Loss): Promise<ReadonlyMap<string, Found>> {
    const copy = mkdtempSync(join(dir, "cut-"));
    try {
      disk.writeAfterCut(copy, loss);
      const lost: object[] = [];
      const durability = {
        bootId: "the-next-one",
        log: { ...silentLog, error: (fields: object) => lost.push(fields) },
        inodeOf: removedInodes(copy),
      };
      const store = await FileJobStore.open(copy, { durability });
      const { ended, records, unreadable } = await store.load();
      const all = [...records, ...ended.map(({ id }) => store.read(id))];
      await store.close();
      expect({ lost, unreadable }).toEqual({ lost: [], unreadable: [] });
      return new Map(all.map((record) => [record.spec.id, found(store, record)]));
    } finally {
      rmSync(copy, { recursive: true });
    }
  }

  test.each(LOSSES)(
    "a power cut after any call, which takes %s, undoes nothing told",
    async (loss) => {
      let looks = 0;
      await replay(async (call, disk, told) => {
        if (!changesWhatIsLeft(call, loss)) return;
        const jobs = await afterCut(disk, loss);
        looks += 1;
        for (const [id, { state }] of told) {
          const job = jobs.get(id);
          switch (state) {
            case "started":
              expect(job, id).toMatchObject({ isIdentified: true });
              break;
            case "ended":
            case "cancelled":
              expect(job && isTerminalStatus(job.status), `${id} is ${job?.status}`).toBe(true);
              break;
            case "removed":
              expect(job, id).toBeUndefined();
              break;
            case "removing":
              // As it was, or gone.
              expect(job === undefined || isTerminalStatus(job.status), id).toBe(true);
              break;
          }
        }
      });
      expect(looks).toBeGreaterThan(100);
    },
    ALL_CUTS_TIMEOUT_MS,
  );

  test("before a command is signalled: that it is to be", async () => {
    let signals = 0;
    await replay(async (call, disk, told) => {
      if (!endsProcesses(call)) return;
      signals += 1;
      const [id] = [...told].findLast(([, { state }]) => state !== "removed") ?? [];
      expect((await afterCut(disk, "names-and-contents")).get(id ?? "")).toMatchObject({
        isStopping: true,
      });
    });
    expect(signals).toBeGreaterThan(1);
  });

  test("before the oldest part of a log is removed: where the log begins then", async () => {
    let before = "";
    let cuts = 0;
    await replay((call, disk) => {
      if (call.name !== "punch") return;
      cuts += 1;
      const path = join(call.path, "../first-offsets");
      const offsets = disk.contentAfterCut(path);
      expect(offsets).toMatch(/[1-9]/);
      expect(offsets).not.toBe(before);
      before = offsets ?? "";
    });
    expect(cuts).toBeGreaterThan(0);
  });
});

/** Looks up the inodes that directories had before they were copied, as far as they are recorded. */
function removedInodes(copy: string): (dir: JobDir) => number | undefined {
  const journal = ["a", "b"].map((name) => join(copy, "journal", name)).filter(existsSync);
  const text = journal.map((path) => readFileSync(path, "utf8")).join("");
  const entries = [...text.matchAll(/"removed","(\w+)",(\d+)\]/g)];
  const inodes = new Map(entries.map(([, id, ino]) => [id, Number(ino)]));
  return (dir) => (existsSync(dir.path) ? inodes.get(dir.jobId) : undefined);
}

function found(store: FileJobStore, { spec, state, stop, remaining }: JobRecord): Found {
  return {
    status: state.status,
    isStopping: stop !== undefined || remaining?.stop !== undefined,
    isIdentified: isTerminalStatus(state.status) || isComplete(store.dirOf(spec.id).process),
  };
}

/** Whether it tells who the command is. */
function isComplete(processFile: string): boolean {
  try {
    return readFileSync(processFile, "utf8").split("\n").length > 4;
  } catch {
    return false;
  }
}
