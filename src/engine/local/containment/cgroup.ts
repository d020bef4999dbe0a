import { randomBytes } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { mkdir, rmdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { hasCode } from "../../../platform/errno.js";
import { processTable } from "../process/processes.js";
import { sendSignal } from "../process/signals.js";

/*
 * A job's own cgroup (version 2) holds all processes that descend from its command,
 * even those that have called setsid, and can be killed as a whole. See cgroups(7) and
 * the kernel's cgroup-v2.rst. Used where this process may create cgroups and the
 * kernel has cgroup.kill (5.14).
 */

/** The directory to create cgroups in; undefined: none can be created; null: not known yet. */
let base: string | undefined | null = null;
let canKill: boolean | undefined;
/** How the names of those made here begin: another server of this pid had another beginning. */
let ownNames: string | undefined;
let cgroupsMade = 0;

/** The server's own, where it has been given one beside those of its jobs. */
export const SERVER_CGROUP = "procman-server";

/** What version 2 may have left to version 1. */
const LEGACY_CONTROLLERS = ["memory", "cpu", "pids"];

/** Names tell which server has made a cgroup, so that what it has left behind is known. */
const NAME_FORM = /^procman-s(\d+)x[0-9a-f]+$/;

/**
 * Makes a cgroup. That takes the kernel as long as all other system calls of a Start, so it
 * is done in another thread.
 * @returns its directory, or "" where none can be created
 */
export async function makeCgroup(): Promise<string> {
  const parent = cgroupBase();
  if (parent === undefined) return "";
  const dir = join(parent, newCgroupName());
  try {
    await mkdir(dir);
    // The kernel has it for all of them, or for none.
    canKill ??= existsSync(join(dir, "cgroup.kill"));
    if (canKill) return dir;
    await rmdir(dir);
  } catch {
    // No permission: jobs are contained by their sessions alone.
  }
  base = undefined;
  return "";
}

/**
 * Returns the directory of a cgroup that a job's runner is to make, or "" where none can be
 * created. The first one is made here, to see that it can be.
 */
export async function planCgroup(): Promise<string> {
  const parent = cgroupBase();
  return parent === undefined || !canKill ? makeCgroup() : `${parent}/${newCgroupName()}`;
}

/** Returns a name that no other cgroup of a job has. */
export function newCgroupName(): string {
  ownNames ??= `procman-s${process.pid}x${randomBytes(6).toString("hex")}`;
  cgroupsMade += 1;
  return ownNames + cgroupsMade.toString(16);
}

export function isCgroupName(name: string): boolean {
  return NAME_FORM.test(name);
}

/**
 * Deletes the empty cgroups that servers have left behind. Nothing enters one of a server
 * that has ended, but for the command of a runner that was told right before: it then runs in
 * none, as its record says. Those of this process are deleted too once it makes no more. To be
 * called when the jobs of the server before have been looked at: a cgroup tells how they ended.
 */
export function sweepCgroups(isClosing: boolean): void {
  for (const parent of [cgroupBase(), ...LEGACY_CONTROLLERS.map(legacyBase)]) {
    for (const name of parent === undefined ? [] : namesIn(parent)) {
      const pid = Number(NAME_FORM.exec(name)?.[1]);
      const isOver = pid === process.pid ? isClosing : pid > 0 && !processTable().lookup(pid);
      if (isOver) removeCgroup(join(parent as string, name));
    }
  }
}

/**
 * Moves this process out of the cgroup of the job that started it, if one did, so that
 * it does not end with that job. It moves to the cgroup's parent.
 */
export function leaveJobCgroup(): void {
  const own = ownCgroup();
  if (own === undefined || outsideOfJobs(own) === own || basename(own) === SERVER_CGROUP) return;
  moveTo(outsideOfJobs(own), process.pid);
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

/** Returns the same of a cgroup and of those within it, which processes of the job may make. */
export function cgroupTreeMembers(dir: string): number[] {
  if (dir === "" || !hasProcess(dir)) return [];
  try {
    return [cgroupMembers(dir), ...childCgroups(dir).map(cgroupTreeMembers)].flat();
  } catch (error) {
    // It was deleted meanwhile, or is threaded (cgroups(7)): then the one above lists them.
    if (hasCode(error, "ENOENT", "EOPNOTSUPP")) return [];
    throw error;
  }
}

/** The file of a cgroup that changes when its last process ends, or when one enters it again. */
export function cgroupEvents(dir: string): string {
  return join(dir, "cgroup.events");
}

/**
 * Moves a process out of a cgroup, to the cgroup's parent, so that all others can be
 * killed at once. It may stay in on a hierarchy that has become read-only.
 */
export function leaveCgroup(dir: string, pid: number): void {
  if (!cgroupMembers(dir).includes(pid)) return;
  moveTo(dirname(dir), pid);
}

/** Moves a process to the cgroup that those of jobs are in, or the server's beside them. */
function moveTo(parent: string, pid: number): void {
  // Where controllers bound the cgroups in it, the kernel has no process in the parent itself.
  for (const to of [parent, join(parent, SERVER_CGROUP)]) {
    try {
      return writeFileSync(join(to, "cgroup.procs"), String(pid));
    } catch {
      // No permission, or as said above.
    }
  }
}

/** Whether the cgroup, or one within it, has a living process that is not one of the spared. */
export function isPopulated(dir: string, sparedPids: readonly number[]): boolean {
  if (dir === "" || !hasProcess(dir)) return false;
  const members = cgroupMembers(dir);
  const others = members.filter((pid) => !sparedPids.includes(pid));
  // Where none of the spared is in, it need not be asked which of them has a process.
  return (
    others.length > 0 || others.length === members.length || childCgroups(dir).some(hasProcess)
  );
}

/** Sends SIGKILL to all processes of a cgroup at once, so that no fork escapes. */
export function killCgroup(dir: string, sparedPids: readonly number[]): void {
  if (dir === "") return;
  const members = cgroupMembers(dir);
  const others = members.filter((pid) => !sparedPids.includes(pid));
  const isForAll = others.length === members.length;
  if (isForAll && killAll(dir)) return;
  for (const pid of others) sendSignal(pid, "SIGKILL");
}

/** @returns whether all are ended, or there is nobody */
function killAll(dir: string): boolean {
  try {
    writeFileSync(join(dir, "cgroup.kill"), "1");
    return true;
  } catch (error) {
    // The hierarchy may have become read-only since the job was started.
    return hasCode(error, "ENOENT");
  }
}

/**
 * Deletes a cgroup with those within it, unless a process in it is alive. It never fails:
 * an empty cgroup that stays behind (on a hierarchy that has become read-only, say) does
 * no harm.
 * @returns whether there is none now
 */
export function removeCgroup(dir: string): boolean {
  if (dir === "" || tryRemove(dir)) return true;
  try {
    if (hasProcess(dir)) return false;
    childCgroups(dir).forEach(removeCgroup);
  } catch {
    // It was deleted meanwhile, or cannot be read.
  }
  return tryRemove(dir);
}

/** Does the same in another thread. To be awaited only where it matters that it is done. */
export async function removeCgroupInBackground(dir: string): Promise<boolean> {
  if (dir === "") return true;
  try {
    await rmdir(dir);
    return true;
  } catch {
    return removeCgroup(dir);
  }
}

function tryRemove(dir: string): boolean {
  try {
    rmdirSync(dir);
    return true;
  } catch (error) {
    return hasCode(error, "ENOENT");
  }
}

function hasProcess(dir: string): boolean {
  return read(cgroupEvents(dir)).includes("populated 1");
}

function childCgroups(dir: string): string[] {
  const entries = readdirSync(dir, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(dir, name));
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    // What cannot be listed is not swept.
    return [];
  }
}

/** Returns the directory for jobs' cgroups: beside those of other jobs, never within one. */
export function cgroupBase(): string | undefined {
  if (base === null) {
    const own = ownCgroup();
    base = own === undefined ? undefined : outsideOfJobs(own);
    if (base !== undefined) enableMeasuring(base);
  }
  return base;
}

/**
 * Has the kernel measure the memory and the disks' use of each job, where that can be had
 * for nothing: the controllers are there, and no process is in the way.
 */
function enableMeasuring(dir: string): void {
  for (const controller of ["memory", "io"]) {
    try {
      writeFileSync(join(dir, "cgroup.subtree_control"), `+${controller}`);
    } catch {
      // Then the jobs' processes are measured one by one.
    }
  }
}

/** Returns the same for a controller of version 1; undefined where it may not be used, or is not there. */
export function legacyBase(controller: string): string | undefined {
  const own = ownCgroup(controller);
  if (own === undefined) return undefined;
  const parent = outsideOfJobs(own);
  try {
    accessSync(parent, constants.W_OK);
    return parent;
  } catch {
    return undefined;
  }
}

function outsideOfJobs(dir: string): string {
  return dir.replace(/\/procman-[0-9a-z]+(\/.*)?$/, "");
}

/**
 * Returns the directory of the cgroup that this process is in.
 * @param controller that of a hierarchy of version 1. Default: the one of version 2
 */
function ownCgroup(controller?: string): string | undefined {
  if (process.platform !== "linux") return undefined;
  const own = read("/proc/self/cgroup")
    .split("\n")
    .map((line) => /^\d+:([^:]*):(.*)$/.exec(line) ?? [])
    .find(([, names = ""]) =>
      controller === undefined ? names === "" : hasName(names, controller),
    )?.[2];
  // Fields: id, parent, device, root, mount point, options, ..., "-", type, source, options.
  const mount = read("/proc/self/mountinfo")
    .split("\n")
    .map((line) => line.split(" - "))
    .find(([, type = ""]) =>
      controller === undefined
        ? type.startsWith("cgroup2 ")
        : type.startsWith("cgroup ") && hasName(type.split(" ")[2] ?? "", controller),
    )?.[0]
    ?.split(" ");
  const [root, point] = [mount?.[3], mount?.[4]];
  if (own === undefined || root === undefined || point === undefined) return undefined;
  const below = root === "/" ? own : own.startsWith(root) ? own.slice(root.length) : undefined;
  return below === undefined ? undefined : join(unescapeMount(point), below);
}

function hasName(names: string, name: string): boolean {
  return names.split(",").includes(name);
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
