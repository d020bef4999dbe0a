import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { canTrace } from "../helpers/machine.js";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs } from "../helpers/test-server.js";

const run = promisify(execFile);
const DIST = join(import.meta.dirname, "../../dist/src/index.js");

/** Says of each call how long it took, or why it failed. */
const DRIVER = `
import { statSync } from "node:fs";
const [index, stateDir] = process.argv.slice(-2);
const { Manager } = await import(index);
setTimeout(() => process.exit(1), 50_000).unref();
const manager = await Manager.open({ stateDir, pollIntervalMs: 50 });
if (process.env.WITH_JOURNAL) {
  const isMade = () => statSync(stateDir + "/journal/a", { throwIfNoEntry: false })?.size > 1e6;
  // It may be given up soon after it was made.
  const made = new Promise((resolve) => {
    const timer = setInterval(() => isMade() && resolve(clearInterval(timer)), 1);
  });
  const first = manager.start({ command: "true" }).then(({ id }) => manager.wait(id));
  // That fails too where it comes late.
  await Promise.all([made, first.catch(() => {})]);
}
const timed = async (call) => {
  const before = performance.now();
  const answer = await call.catch((error) => ({ reason: error.reason }));
  return { tookMs: performance.now() - before, ...answer };
};
const command = ["-c", "echo ran >>" + stateDir + "/ran; sleep 1000"];
const onEnd = { command: "sh", args: ["-c", "echo ran >>" + stateDir + "/on-end-ran"] };
const atEnd = process.env.WITH_ON_END ? { onEnd } : {};
const start = await timed(manager.start({ command: "sh", args: command, ...atEnd }));
const said = { start };
if (start.id !== undefined) {
  said.cancel = await timed(manager.cancel(start.id, { gracePeriodMs: 0 }));
  said.remove = await timed(manager.remove(start.id));
}
console.log(JSON.stringify(said));
await manager.close();
`;

interface Timed {
  readonly tookMs: number;
  readonly reason?: string;
}

interface SlowDisk {
  /** What strace(1) does to syncs. */
  readonly injection: string;
  /** Of which files, within the state directory. */
  readonly paths: readonly string[];
  readonly calls?: string;
  /** Whether there is a journal when it begins, or none can be made. Default: it is made meanwhile. */
  readonly withJournal?: boolean;
  /** Whether something is to be run at the job's end. Default: false. */
  readonly withOnEnd?: boolean;
}

/** What becomes of a Start, a Cancel and a Remove where syncs are so. */
async function withSyncs(disk: SlowDisk) {
  const { injection, paths, calls = "fsync,fdatasync", withJournal, withOnEnd } = disk;
  const stateDir = join(tempDir(), "state");
  const jobs = join(stateDir, "jobs");
  mkdirSync(jobs, { recursive: true, mode: 0o700 });
  if (withJournal === false) mkdirSync(join(stateDir, "journal/a"), { recursive: true });
  onTestFinished(() => endJobs(stateDir));
  const only = paths.flatMap((path) => ["-P", join(stateDir, path)]);
  const inject = `inject=${calls}:${injection}`;
  const words = ["-f", "-qq", ...only, "-e", `trace=${calls}`, "-e", inject];
  const driver = ["--input-type=module", "-e", DRIVER, DIST, stateDir];
  const { stdout } = await run(
    "strace",
    ["-o", "/dev/null", ...words, process.execPath, ...driver],
    // strace counts the calls of each thread: one makes all of these.
    {
      env: {
        ...process.env,
        UV_THREADPOOL_SIZE: "1",
        ...(withJournal ? { WITH_JOURNAL: "yes" } : {}),
        ...(withOnEnd ? { WITH_ON_END: "yes" } : {}),
      },
    },
  );
  const said = JSON.parse(stdout) as Partial<Record<"start" | "cancel" | "remove", Timed>>;
  return { ...said, stateDir, jobs };
}

/** The processes that have this text in their arguments. */
function processesWith(text: string): string[] {
  const lines = execFileSync("ps", ["-A", "-ww", "-o", "args="], { encoding: "utf8" }).split("\n");
  return lines.filter((line) => line.includes(text));
}

describe.skipIf(!canTrace())("where syncing the directory of jobs", () => {
  test("is slow, a Start and a Remove wait for it, and a Cancel need not", async () => {
    const { start, cancel, remove } = await withSyncs({
      injection: "delay_enter=600000",
      paths: ["jobs", "journal/a"],
    });
    expect(start).toMatchObject({ tookMs: expect.any(Number), status: "running" });
    expect(start?.tookMs).toBeGreaterThan(600);
    expect(cancel).toMatchObject({ status: "cancelled" });
    expect(remove).not.toHaveProperty("reason");
    expect(remove?.tookMs).toBeGreaterThan(600);
  });

  test("fails once, a Start does, and leaves nothing", async () => {
    const { start, stateDir, jobs } = await withSyncs({
      injection: "error=EIO:when=1",
      paths: ["jobs"],
    });
    expect(start).toMatchObject({ reason: "STORAGE_UNAVAILABLE" });
    expect(readdirSync(jobs)).toEqual([]);
    await eventually("all that had begun to be gone", () => processesWith(stateDir).length === 0);
  });

  test("fails from then on, a Remove says so", async () => {
    const { start, cancel, remove } = await withSyncs({
      injection: "error=EIO:when=2+",
      paths: ["jobs"],
      withJournal: false,
    });
    expect(start).not.toHaveProperty("reason");
    expect(cancel).toMatchObject({ status: "cancelled" });
    expect(remove).toMatchObject({ reason: "STORAGE_UNAVAILABLE" });
  });
});

describe.skipIf(!canTrace())("where the journal cannot be synced", () => {
  const injection = "error=EIO";
  // Not those of its making.
  const calls = "fdatasync,syncfs";

  test("all goes on: files are synced instead", async () => {
    const { start, cancel, remove } = await withSyncs({
      injection,
      calls,
      paths: ["journal/a"],
      withJournal: true,
    });
    expect(start).toMatchObject({ status: "running" });
    expect(cancel).toMatchObject({ status: "cancelled" });
    expect(remove).not.toHaveProperty("reason");
  });

  test("nor the files instead of it, a Start says so, and leaves nothing running", async () => {
    const { start, stateDir } = await withSyncs({
      injection,
      calls,
      paths: ["journal/a", "jobs"],
      withJournal: true,
      withOnEnd: true,
    });
    expect(start).toMatchObject({ reason: "STORAGE_UNAVAILABLE" });
    await eventually("all that had begun to be gone", () => processesWith(stateDir).length === 0);
    // The command has run until then, and what was to run at its end has not.
    expect(existsSync(join(stateDir, "on-end-ran"))).toBe(false);
  });
});
