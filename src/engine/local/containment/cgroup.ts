import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasCode } from "../../../platform/errno.js";

/**
 * A cgroup (version 2) of a job's own holds every process that the command
 * brought into being, those too that have called setsid, and can be killed as a
 * whole. See cgroup_namespaces(7) and the kernel's cgroup-v2.rst. Used where
 * this process may make one and the kernel has cgroup.kill (5.14).
 */
let base: string | undefined | null = null;

/** @returns the new cgroup's directory, or undefined where there is none to be had. */
export function makeCgroup(jobId: string): string | undefined {
  const dir = cgroupOf(jobId);
  if (dir === undefined) return undefined;
  try {
    mkdirSync(dir);
    if (existsSync(join(dir, "cgroup.kill"))) return dir;
    rmdirSync(dir);
  } catch {
    // Not ours to write in: sessions are all there is.
  }
  base = undefined;
  return undefined;
}

/** Deletes the one that was made for a job which has no process record to name it. */
export function removeCgroupOf(jobId: string): void {
  const dir = cgroupOf(jobId);
  if (dir !== undefined && existsSync(dir)) removeCgroup(dir);
}

/**
 * A server that a job has started is in that job's cgroup, and would be ended with
 * it. It moves to where the job's server has made that.
 */
export function leaveJobCgroup(): void {
  const own = ownCgroup();
  if (own === undefined || outsideOfJobs(own) === own) return;
  try {
    writeFileSync(join(outsideOfJobs(own), "cgroup.procs"), String(process.pid));
  } catch {
    // Not ours to write in.
  }
}

/** Processes in it, those that have ended but were not asked about left out. */
export function cgroupMembers(dir: string): number[] {
  const text = dir === "" ? "" : read(join(dir, "cgroup.procs"));
  // A process of another pid namespace shows as 0, which is nobody to signal.
  return text
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0);
}

/** Whether it, or a cgroup made within it, has a living process. */
export function isPopulated(dir: string): boolean {
  return dir !== "" && read(join(dir, "cgroup.events")).includes("populated 1");
}

/** SIGKILL to everything in it at once: no fork gets away. */
export function killCgroup(dir: string): void {
  if (dir === "") return;
  try {
    writeFileSync(join(dir, "cgroup.kill"), "1");
  } catch (error) {
    if (!hasCode(error, "ENOENT")) throw error;
  }
}

/** Deletes it, unless something in it lives on. */
export function removeCgroup(dir: string): void {
  try {
    rmdirSync(dir);
  } catch (error) {
    if (!hasCode(error, "ENOENT", "EBUSY")) throw error;
  }
}

function cgroupOf(jobId: string): string | undefined {
  base = base === null ? findBase() : base;
  return base === undefined ? undefined : join(base, `procman-${jobId}`);
}

/** Where this process may make cgroups: beside those of jobs, never within one. */
function findBase(): string | undefined {
  const own = ownCgroup();
  return own === undefined ? undefined : outsideOfJobs(own);
}

function outsideOfJobs(dir: string): string {
  return dir.replace(/\/procman-[0-9a-z]+(\/.*)?$/, "");
}

/** The directory of the cgroup (version 2) that this process is in. */
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

/** proc_pid_mountinfo(5) writes blanks in octal. */
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
