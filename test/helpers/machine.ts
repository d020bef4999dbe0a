import { spawnSync } from "node:child_process";
import type { TestContext } from "vitest";

/*
 * What some tests need of the machine. Where it is not there they are skipped,
 * and say so; in CI it has to be there.
 */

/** To mount, to become another user, to have a limit of one's own. */
export function isRoot(): boolean {
  return process.getuid?.() === 0 || lacks("root");
}

/** strace(1), and that this process may trace others. */
export function canTrace(): boolean {
  if (process.platform !== "linux") return false;
  return spawnSync("strace", ["-o", "/dev/null", "true"]).status === 0 || lacks("strace");
}

/** Skips a test of cgroups where its job has none. */
export function needsCgroup(hasOne: boolean, skip: TestContext["skip"]): void {
  const what = "cgroups: version 2 mounted, writable, with cgroup.kill (Linux 5.14)";
  if (!hasOne && !lacks(what)) skip(`needs ${what}`);
}

export function lacks(what: string): false {
  if (process.env["CI"]) throw new Error(`CI needs ${what}`);
  console.warn(`skipped: needs ${what}`);
  return false;
}
