import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../../platform/errno.js";
import { sendSignal } from "../process/signals.js";

/*
 * A job's own cgroup (version 2) holds all processes that descend from its command,
 * even those that have called setsid, and can be killed as a whole. See cgroups(7) and
 * the kernel's cgroup-v2.rst. Used where this process may create cgroups and the
 * kernel has cgroup.kill (5.14).
 */

/** The directory to create cgroups in; undefined: none can be created; null: not known yet. */
let base: string | undefined | null = null;

/** @returns the directory of the new cgroup, or undefined where none can be created */
export function makeCgroup(jobId: string): string | undefined {
  const dir = cgroupOf(jobId);
  if (dir === undefined) return undefined;
  try {
    mkdirSync(dir);
    if (existsSync(join(dir, "cgroup.kill"))) return dir;
    rmdirSync(dir);
  } catch {
    // No permission: jobs are contained by their sessions alone.
  }
  base = undefined;
  return undefined;
}

/** Deletes the cgroup of a job whose process record does not name it. */
export function removeCgroupOf(jobId: string): void {
  const dir = cgroupOf(jobId);
  if (dir !== undefined && existsSync(dir)) removeCgroup(dir);
}

/**
 * Moves this process out of the cgroup of the job that started it, if one did, so that
 * it does not end with that job. It moves to the cgroup's parent.
 */
export function leaveJobCgroup(): void {
  const own = ownCgroup();
  if (own === undefined || outsideOfJobs(own) === own) return;
  try {
    writeFileSync(join(outsideOfJobs(own), "cgroup.procs"), String(process.pid));
  } catch {
    // No permission.
  }
}

/** Returns the pids of the processes in a cgroup, without zombies. */
export function cgroupMembers(dir: string): number[] {
  const text = dir === "" ? "" : read(join(dir, "cgroup.procs"));
  // A process of another pid namespace is shown as 0 and cannot be signalled.
  return text
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}

/** Whether the cgroup, or one within it, has a living process. */
export function isPopulated(dir: string): boolean {
  return dir !== "" && read(join(dir, "cgroup.events")).includes("populated 1");
}

/** Sends SIGKILL to all processes of a cgroup at once, so that no fork escapes. */
export function killCgroup(dir: string): void {
  if (dir === "") return;
  try {
    writeFileSync(join(dir, "cgroup.kill"), "1");
  } catch (error) {
    if (hasCode(error, "ENOENT")) return;
    // The hierarchy may have become read-only since the job was started.
    for (const pid of cgroupMembers(dir)) sendSignal(pid, "SIGKILL");
  }
}

/**
 * Deletes a cgroup, unless a process in it is alive. It never fails: an empty cgroup
 * that stays behind (on a hierarchy that has become read-only, say) does no harm.
 */
export function removeCgroup(dir: string): void {
  try {
    rmdirSync(dir);
  } catch {
    // As said above.
  }
}

function cgroupOf(jobId: string): string | undefined {
  base = base === null ? findBase() : base;
  return base === undefined ? undefined : join(base, `procman-${jobId}`);
}

/** Returns the directory for jobs' cgroups: beside those of other jobs, never within one. */
function findBase(): string | undefined {
  const own = ownCgroup();
  return own === undefined ? undefined : outsideOfJobs(own);
}

function outsideOfJobs(dir: string): string {
  return dir.replace(/\/procman-[0-9a-z]+(\/.*)?$/, "");
}

/** Returns the directory of the cgroup (version 2) that this process is in. */
function ownCgroup(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const own = /^0::(\/.*)$/m.exec(read("/proc/self/cgroup"))?.[1];
  // Fields: id, parent, device, root, mount point, ..., "-", type, ...
  const mount = read("/proc/self/mountinfo")
    .split("\n")
    .find((line) => / - cgroup2 /.test(line))
    ?.split(" ");
  const [root, point] = [mount?.[3], mount?.[4]];
  if (own === undefined || root === undefined || point === undefined) return undefined;
  const below = root === "/" ? own : own.startsWith(root) ? own.slice(root.length) : undefined;
  return below === undefined ? undefined : join(unescapeMount(point), below);
}

/** Decodes the octal escapes of blanks in proc_pid_mountinfo(5). */
function unescapeMount(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENODEV")) return "";
    throw error;
  }
}
