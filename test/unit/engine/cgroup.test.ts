import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  cgroupMembers,
  isPopulated,
  killCgroup,
  leaveCgroup,
  makeCgroup,
  removeCgroup,
} from "../../../src/engine/local/containment/cgroup.js";
import { eventually } from "../../helpers/eventually.js";
import { needsCgroup } from "../../helpers/machine.js";

/** A cgroup with so many processes in it, and one in a cgroup within it. */
function populate(dir: string, count: number): { members: ChildProcess[]; inner: ChildProcess } {
  const within = join(dir, "inner");
  mkdirSync(within);
  const enter = (cgroup: string) => {
    const child = spawn("sleep", ["1000"]);
    writeFileSync(join(cgroup, "cgroup.procs"), String(child.pid));
    return child;
  };
  const members = Array.from({ length: count }, () => enter(dir));
  const inner = enter(within);
  onTestFinished(async () => {
    for (const child of [...members, inner]) child.kill("SIGKILL");
    await eventually("no cgroup", () => removeCgroup(within) && removeCgroup(dir));
  });
  return { members, inner };
}

test("the spared are not killed with a cgroup, in it or out of it, and do not count", async ({
  skip,
}) => {
  for (const leaves of [true, false]) {
    const dir = await makeCgroup();
    needsCgroup(dir !== "", skip);
    const { members, inner } = populate(dir, 4);
    const spared = members.slice(0, 2).map(({ pid }) => pid as number);
    if (leaves) for (const pid of spared) leaveCgroup(dir, pid);
    expect(cgroupMembers(dir)).toHaveLength(leaves ? 2 : 4);
    expect(isPopulated(dir, spared)).toBe(true);
    const others = [members[2]!, members[3]!];
    const ends = others.map((child) => once(child, "exit"));
    killCgroup(dir, spared);
    await Promise.all(ends);
    expect(members.slice(0, 2).map(({ signalCode }) => signalCode)).toEqual([null, null]);
    // Only cgroup.kill reaches what is in a cgroup within it.
    if (!leaves) inner.kill("SIGKILL");
    await eventually("its end", () => !isPopulated(dir, spared));
    for (const pid of spared) process.kill(pid, 0);
  }
});
