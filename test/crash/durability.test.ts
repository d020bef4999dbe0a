import { execFile } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { canTrace } from "../helpers/machine.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { endJobs } from "../helpers/test-server.js";
import { parseTrace, TRACED_CALLS, type TracedCall, TracedDisk } from "./traced-disk.js";

const run = promisify(execFile);
const DIST = join(import.meta.dirname, "../../dist/src/index.js");

/** Makes a directory at each answer, so that it is among the system calls. */
const DRIVER = `
import { mkdirSync } from "node:fs";
const [index, stateDir, marks] = process.argv.slice(-3);
const { Manager } = await import(index);
const answered = (name, { id }) => mkdirSync(marks + "/" + name + "." + id);
setTimeout(() => process.exit(1), 50_000).unref();
const manager = await Manager.open({ stateDir, pollIntervalMs: 50 });

const ends = await manager.start({ command: "sh", args: ["-c", "sleep 0.3; exit 3"] });
answered("started", ends);
answered("ended", await manager.wait(ends.id));
await manager.remove(ends.id);
answered("removed", ends);

const burst = Array.from({ length: 6 }, async () => {
  const job = await manager.start({ command: "true" });
  answered("started", job);
  answered("ended", await manager.wait(job.id));
});
await Promise.all(burst);

const runs = await manager.start({ command: "sleep", args: ["1000"] });
answered("started", runs);
answered("cancelled", await manager.cancel(runs.id, { gracePeriodMs: 20_000 }));
await manager.cleanup({ olderThanMs: 0 });
answered("removed", runs);

const leaves = await manager.start({ command: "sh", args: ["-c", "sleep 1000 &"] });
answered("started", leaves);
answered("ended", await manager.wait(leaves.id));
await manager.cancel(leaves.id, { includeRemaining: true });
await manager.remove(leaves.id);

const script = "head -c 3000000 /dev/zero; echo done >&2; exec sleep 1000";
const options = { command: "sh", args: ["-c", script], logLimitBytes: 65_536 };
const limited = await manager.start(options);
answered("started", limited);
await manager.wait(limited.id, { until: { type: "output", pattern: "done" } });
while ((await manager.get(limited.id)).stdoutFirstOffset === 0) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
answered("cut", limited);
await manager.cancel(limited.id, { gracePeriodMs: 0 });
await manager.remove(limited.id);
await manager.close();
`;

/** By a signal, or all of a cgroup at once. */
function endsProcesses(call: TracedCall): boolean {
  if (call.name === "kill") return ["SIGTERM", "SIGSTOP", "SIGKILL"].includes(call.signal);
  return call.name === "write" && basename(call.path) === "cgroup.kill";
}

const canRun = canTrace();

describe.skipIf(!canRun)("what is durable, by the system calls of a manager", () => {
  const dir = sharedTempDir();
  const jobs = join(dir, "state/jobs");
  const marks = join(dir, "marks");
  let trace = "";

  afterAll(() => endJobs(join(dir, "state")));

  beforeAll(async () => {
    mkdirSync(marks);
    const file = join(dir, "trace");
    const words = [
      "-f",
      "-y",
      "-qq",
      "-s",
      "256",
      "-e",
      `trace=${TRACED_CALLS.replaceAll(" ", ",")}`,
      "-o",
      file,
    ];
    const driver = ["--input-type=module", "-e", DRIVER, DIST, join(dir, "state"), marks];
    await run("strace", [...words, process.execPath, ...driver]);
    trace = readFileSync(file, "utf8");
  });

  /** Looks at the disk at each answer of that name; there has to be one. */
  function atAnswers(
    name: string,
    look: (id: string, disk: TracedDisk, writesAtStart: number) => void,
  ): void {
    const disk = new TracedDisk();
    const writesAtStart = new Map<string, number>();
    let looks = 0;
    for (const call of parseTrace(trace)) {
      disk.apply(call);
      if (call.name !== "mkdir" || !call.path.startsWith(`${marks}/`)) continue;
      const [answer, id] = basename(call.path).split(".") as [string, string];
      if (answer === "started") writesAtStart.set(id, disk.writesOf(recordOf(id)));
      if (answer !== name) continue;
      looks += 1;
      look(id, disk, writesAtStart.get(id) ?? 0);
    }
    expect(looks).toBeGreaterThan(0);
  }

  const recordOf = (id: string) => join(jobs, id, "state.json");

  test("at the answer of a Start: the job's directory, its record, its logs and who runs it", () => {
    atAnswers("started", (id, disk) => {
      const missing = disk.missing(join(jobs, id));
      expect(missing).not.toContain(`name ${join(jobs, id)}`);
      for (const name of ["state.json", "process", "stdout.log", "stderr.log"]) {
        const path = join(jobs, id, name);
        expect(disk.exists(path), name).toBe(true);
        expect(missing).not.toContain(`name ${path}`);
      }
      expect(disk.writesOf(recordOf(id))).toBeGreaterThan(0);
      expect(missing).not.toContain(`content of ${recordOf(id)}`);
      // And who the command is, which the runner has written.
      const identity = join(jobs, id, "process");
      expect(disk.exists(identity)).toBe(true);
      expect(missing.filter((what) => what.endsWith(` ${identity}`))).toEqual([]);
      expect(missing).not.toContain(`content of ${join(jobs, id, "process")}`);
    });
  });

  test("at the answer of a Start with a log limit: where its logs begin", () => {
    let limited = 0;
    atAnswers("started", (id, disk) => {
      const path = join(jobs, id, "first-offsets");
      if (!disk.exists(path)) return;
      limited += 1;
      expect(disk.writesOf(path)).toBe(1);
      expect(disk.missing(path)).toEqual([]);
    });
    expect(limited).toBe(1);
  });

  test.each(["ended", "cancelled"])("once a job is said to have %s: its record", (name) => {
    atAnswers(name, (id, disk, writesAtStart) => {
      expect(disk.missing(recordOf(id))).toEqual([]);
      expect(disk.writesOf(recordOf(id))).toBeGreaterThan(writesAtStart);
    });
  });

  test("at the answer of a Remove, and of a Cleanup: that the job is gone", () => {
    atAnswers("removed", (id, disk) => {
      expect(disk.exists(join(jobs, id))).toBe(false);
      expect(disk.missing(jobs)).not.toContain(`name ${join(jobs, id)}`);
    });
  });

  test("before a record, or a job's directory, gets its name: what is in it", () => {
    const disk = new TracedDisk();
    const renamed: string[] = [];
    for (const call of parseTrace(trace)) {
      if (call.name === "rename" && call.path.startsWith(`${jobs}/`)) {
        const isGoing = basename(call.to).startsWith(".removed-");
        // Its own name is the only one that is new.
        const missing = disk.missing(call.path).filter((what) => what !== `name ${call.path}`);
        if (!isGoing) expect(missing, `${call.path} -> ${call.to}`).toEqual([]);
        renamed.push(isGoing ? "removed" : basename(call.to) === "state.json" ? "record" : "job");
      }
      disk.apply(call);
    }
    expect(renamed.filter((what) => what === "job")).toHaveLength(10);
    expect(renamed.filter((what) => what === "removed")).toHaveLength(10);
    // An intent and an end of the two that are cancelled, an end of the others, and the intent
    // to end what one has left; and that they run, of those that do for long enough.
    expect(renamed.filter((what) => what === "record").length).toBeGreaterThanOrEqual(7);
  });

  test("before a command is signalled: that it is to be", () => {
    const disk = new TracedDisk();
    let id = "";
    let writesAtStart = 0;
    let signals = 0;
    for (const call of parseTrace(trace)) {
      disk.apply(call);
      if (call.name === "mkdir" && call.path.startsWith(`${marks}/started.`)) {
        id = basename(call.path).slice("started.".length);
        writesAtStart = disk.writesOf(recordOf(id));
      }
      if (!endsProcesses(call)) continue;
      signals += 1;
      expect(disk.writesOf(recordOf(id))).toBeGreaterThan(writesAtStart);
      expect(disk.missing(recordOf(id))).toEqual([]);
    }
    expect(signals).toBeGreaterThan(1);
  });

  test("before the oldest part of a log is removed: where the log begins then", () => {
    const disk = new TracedDisk();
    let cuts = 0;
    let writes = 1;
    for (const call of parseTrace(trace)) {
      disk.apply(call);
      if (call.name !== "punch") continue;
      cuts += 1;
      const path = join(call.path, "../first-offsets");
      expect(disk.writesOf(path)).toBeGreaterThan(writes);
      writes = disk.writesOf(path);
      expect(disk.missing(path)).toEqual([]);
    }
    expect(cuts).toBeGreaterThan(0);
  });
});
