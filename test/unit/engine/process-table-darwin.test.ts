import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { darwinProcessTable } from "../../../src/engine/local/process/process-table-darwin.js";
import { processTable } from "../../../src/engine/local/process/processes.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { eventually } from "../../helpers/eventually.js";
import { someRecord } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

// Linux's ps(1) prints the same columns, so that what macOS sees of a job can be
// held against what the kernel says.
test.skipIf(process.platform !== "linux")(
  "ps tells the group, the session and the state of a job's processes as /proc does",
  async () => {
    const dir = new JobDir(join(tempDir(), "job"));
    mkdirSync(dir.path);
    for (const log of ["stdout.log", "stderr.log"]) writeFileSync(join(dir.path, log), "");
    const engine = new LocalEngine({ pollIntervalMs: 50 });
    const stop = new AbortController();
    onTestFinished(async () => {
      await engine.open(dir).stop(0, stop.signal);
      await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
      engine.open(dir).release();
    });
    // A child in a group of its own, with a child of its own in turn.
    const script = "set -m; bash -c 'sleep 1000 & echo $!; wait' & echo $!; wait";
    const { spec } = someRecord();
    // With input, the job's directory is among the arguments of its scripts.
    const wanted = { ...spec, command: "bash", args: ["-c", script], workDir: "/", stdin: true };
    const { started } = await (await engine.prepare(wanted)).start(dir);
    const { pid } = started;
    const pids = await eventually("the pids", () => {
      const found = readFileSync(join(dir.path, "stdout.log"), "utf8")
        .trim()
        .split("\n")
        .map(Number);
      return found.length === 2 ? [pid, ...found] : undefined;
    });
    const byPs = new Map(darwinProcessTable.all().map((info) => [info.pid, info]));
    for (const each of pids) {
      const { groupId, sessionId, zombie } = processTable().lookup(each)!;
      expect(byPs.get(each)).toMatchObject({ pid: each, groupId, sessionId, zombie });
    }
    expect(new Set(pids.map((each) => byPs.get(each)!.groupId)).size).toBe(2);
    expect(darwinProcessTable.hasArgument(dir.path)).toBe(true);
  },
);

test("a line that the runner wrote of itself names the process as ps does", () => {
  expect(darwinProcessTable.parseIdentity("123 Tue Nov  3 14:41:10 2026")).toEqual({
    pid: 123,
    startTime: "Tue Nov 3 14:41:10 2026",
  });
});

test.each(["", "123", "123 ", "x Tue Nov  3 14:41:10 2026"])("%j names nobody", (line) => {
  expect(darwinProcessTable.parseIdentity(line)).toBeUndefined();
});

test("times are told to the second", () => {
  const before = Math.floor(Date.now() / 1000) * 1000;
  const mark = darwinProcessTable.mark();
  expect(Date.parse(`${mark} UTC`)).toBeGreaterThanOrEqual(before);
  expect(mark).toMatch(/^[A-Z][a-z]{2} \d{2} \d{2}:\d{2}:\d{2} \d{4}$/);
  expect(darwinProcessTable.ageMs(mark)).toBeLessThan(60_000);
  expect(darwinProcessTable.ageMs("Tue Nov 3 14:41:10 2020")).toBeGreaterThan(86_400_000);
  expect(darwinProcessTable.ageMs("Tue Nov 3 14:41:10 2099")).toBe(0);
  const [second, next] = ["Tue Nov 3 14:41:10 2026", "Tue Nov 3 14:41:11 2026"];
  expect(darwinProcessTable.startedBy(second, "Nov 03 14:41:10 2026")).toBe(true);
  expect(darwinProcessTable.startedBy(next, "Nov 03 14:41:10 2026")).toBe(false);
});

test.skipIf(process.platform !== "linux")("ps measures a process as /proc does", () => {
  const [byPs] = [...darwinProcessTable.measured([process.pid])];
  const [byProc] = [...processTable().measured([process.pid])];
  expect(Math.abs(byPs!.cpuTimeMs - byProc!.cpuTimeMs)).toBeLessThan(2000);
  expect(byPs!.memoryBytes / byProc!.memoryBytes).toBeGreaterThan(0.5);
  expect(byPs!.memoryBytes / byProc!.memoryBytes).toBeLessThan(2);
});
