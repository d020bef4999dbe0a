import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import { watchExit } from "../../../src/engine/local/runner/exit-watch.js";
import type { Ticker } from "../../../src/platform/ticker.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";

/** Above any pid. */
const NOBODY = 2 ** 30;

function watched(runnerPid: number, isEndTold: boolean) {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path);
  writeFileSync(dir.exit, "");
  const seen = { changes: 0, fullChecks: 0 };
  let tick = () => {};
  const ticker = { add: (onTick: () => void) => ((tick = onTick), () => (tick = () => {})) };
  const job = {
    dir,
    runnerPid: () => runnerPid,
    isEndTold: () => isEndTold,
    onChange: () => void (seen.changes += 1),
    onFullCheck: () => void (seen.fullChecks += 1),
  };
  const stop = watchExit(job, ticker as unknown as Ticker);
  onTestFinished(stop);
  const ticks = (count: number) => {
    for (let i = 0; i < count; i += 1) tick();
    return seen;
  };
  return { dir, seen, stop, ticks };
}

test("a change of the exit record is told of at once", async () => {
  const { dir, seen } = watched(process.pid, false);
  writeFileSync(dir.exit, "0\n");
  await eventually("the change", () => seen.changes > 0);
});

test("no watch of the kernel's is taken where the runner's end is told, which follows", async () => {
  const told = watched(process.pid, true);
  const inherited = watched(process.pid, false);
  for (const { dir } of [told, inherited]) writeFileSync(dir.exit, "0\n");
  await eventually("the change of the other", () => inherited.seen.changes > 0);
  expect(told.seen.changes).toBe(0);
});

test("a runner that is gone is found by the next tick, unless others tell", () => {
  expect(watched(NOBODY, false).ticks(1).changes).toBe(1);
  expect(watched(NOBODY, true).ticks(1).changes).toBeLessThanOrEqual(1);
  expect(watched(process.pid, false).ticks(1).changes).toBeLessThanOrEqual(1);
});

test("one that runs is inspected now and then, rarely where its end is told of", () => {
  const inherited = watched(process.pid, false);
  expect(inherited.ticks(300)).toEqual({ changes: 10, fullChecks: 10 });
  const own = watched(process.pid, true);
  expect(own.ticks(300)).toEqual({ changes: 1, fullChecks: 10 });
});

test("once stopped, it asks no more", () => {
  const { stop, ticks } = watched(NOBODY, false);
  stop();
  expect(ticks(60)).toEqual({ changes: 0, fullChecks: 0 });
});
