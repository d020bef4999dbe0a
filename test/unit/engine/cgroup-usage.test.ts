import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import {
  cgroupUsage,
  legacyUsage,
  outOfMemory,
} from "../../../src/engine/local/containment/cgroup-usage.js";
import { tempDir } from "../../helpers/temp-dir.js";

/** A directory with these files, as the kernel shows a cgroup. */
function cgroup(files: Readonly<Record<string, string>>, controllers = "cpu io memory"): string {
  const dir = join(tempDir(), "cgroup");
  mkdirSync(dir);
  writeFileSync(join(dir, "cgroup.controllers"), `${controllers}\n`);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

const CPU = "usage_usec 1234567\nuser_usec 1000000\nsystem_usec 234567\nnr_periods 0\n";

test("what a cgroup has used is read from its controllers, over all devices", () => {
  const dir = cgroup({
    "cpu.stat": CPU,
    "memory.current": "1048576\n",
    "memory.peak": "2097152\n",
    "io.stat":
      "8:0 rbytes=4096 wbytes=100 rios=1 wios=1 dbytes=7 dios=0\n259:0 rbytes=1 wbytes=20 rios=1\n",
  });
  expect(cgroupUsage(dir)).toEqual({
    cpuTimeMs: 1234.567,
    memoryBytes: 1_048_576,
    memoryPeakBytes: 2_097_152,
    readBytes: 4097,
    writtenBytes: 120,
  });
});

test("what its controllers do not tell is not known", () => {
  expect(cgroupUsage(cgroup({ "cpu.stat": CPU }))).toStrictEqual({ cpuTimeMs: 1234.567 });
  expect(cgroupUsage(cgroup({ "memory.peak": "max\n" }))).toStrictEqual({});
  expect(cgroupUsage(cgroup({ "cpu.stat": CPU }, ""))).toStrictEqual({ cpuTimeMs: 1234.567 });
  // A device that was not used yet has no figures.
  expect(cgroupUsage(cgroup({ "io.stat": "" }))).toStrictEqual({ readBytes: 0, writtenBytes: 0 });
  expect(cgroupUsage("/nonexistent")).toStrictEqual({});
  expect(cgroupUsage("")).toStrictEqual({});
});

test("of version 1, the memory's controller tells its use and its peak", () => {
  const memory = cgroup({
    "memory.usage_in_bytes": "5\n",
    "memory.max_usage_in_bytes": "7\n",
  });
  expect(legacyUsage([cgroup({ "pids.current": "1\n" }), memory])).toEqual({
    memoryBytes: 5,
    memoryPeakBytes: 7,
  });
  expect(legacyUsage([])).toStrictEqual({});
});

test("processes that were ended for want of memory are counted, and by whose limit", () => {
  const events = (oom: number, kills: number) =>
    cgroup({ "memory.events": `low 0\nhigh 0\nmax 3\noom ${oom}\noom_kill ${kills}\n` });
  expect(outOfMemory(events(1, 2), [])).toEqual({ killedProcesses: 2, isOwnLimit: true });
  expect(outOfMemory(events(0, 1), [])).toEqual({ killedProcesses: 1, isOwnLimit: false });
  expect(outOfMemory(events(1, 0), [])).toBeUndefined();
  expect(outOfMemory("", [])).toBeUndefined();
  const legacy = (kills: number) =>
    cgroup({ "memory.oom_control": `oom_kill_disable 0\nunder_oom 0\noom_kill ${kills}\n` });
  expect(outOfMemory("", [legacy(1)])).toEqual({ killedProcesses: 1, isOwnLimit: true });
  expect(outOfMemory(cgroup({}), [legacy(0)])).toBeUndefined();
});
