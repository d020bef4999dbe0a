import { existsSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { argumentError, type FieldViolation } from "../../../contract/errors.js";
import type { Limits } from "../../../contract/job.js";
import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import { readSmallFile } from "../../../platform/small-file.js";
import {
  cgroupBase,
  cgroupMembers,
  isCgroupName,
  legacyBase,
  makeCgroup,
  newCgroupName,
  removeCgroup,
  SERVER_CGROUP,
} from "./cgroup.js";

/*
 * Bounds all processes of a job together. Where the unified hierarchy has a controller it is
 * the job's own cgroup that has the limit. Where a controller is still in a hierarchy of
 * version 1, the job has another cgroup there, which its command enters too.
 */

/** How often the processes of a cgroup are looked for that are to leave it. */
const MAX_LOOKS = 10;

/** The cgroups of a job that has limits. */
export interface LimitedCgroups {
  /** The job's own cgroup of version 2, or "". */
  readonly cgroup: string;
  /** Whether it has one of the limits, so that the command must be in it. */
  readonly isNeeded: boolean;
  /** Those of version 1. */
  readonly bounds: readonly string[];
}

/** One limit of a cgroup. */
interface Limit {
  readonly field: string;
  readonly controller: Controller;
  /** The files to write, and what: of version 2, and of version 1. */
  readonly unified: readonly Setting[];
  readonly legacy: readonly Setting[];
}

type Controller = "memory" | "cpu" | "pids";

interface Setting {
  readonly file: string;
  readonly value: string;
  /** The kernel may have been built without it. */
  readonly isOptional?: boolean;
}

/** Where a limit is set. */
type Place = { readonly parent: string } | "unified" | { readonly fault: string };

const CPU_PERIOD_US = 100_000;

/** Whether there is a limit for a cgroup among them. */
export function hasCgroupLimits(limits: Limits | undefined): boolean {
  return limits !== undefined && limitsOf(limits).length > 0;
}

/**
 * Checks that this process can bound a job so.
 * @throws ProcmanError LIMIT_NOT_SUPPORTED that says of each limit that cannot be had why
 */
export function checkCgroupLimits(limits: Limits): void {
  const violations = limitsOf(limits).flatMap(({ field, controller }) => {
    const place = placeOf(controller);
    return isFault(place) ? [{ field, description: place.fault }] : [];
  });
  if (violations.length > 0) throw notSupported(violations);
}

/**
 * Makes cgroups that bound whatever enters them. The caller removes them.
 * @throws ProcmanError LIMIT_NOT_SUPPORTED; nothing is left then
 */
export async function makeLimitedCgroups(limits: Limits): Promise<LimitedCgroups> {
  checkCgroupLimits(limits);
  const cgroup = await makeCgroup();
  const bounds: string[] = [];
  let isNeeded = false;
  for (const limit of limitsOf(limits)) {
    const place = placeOf(limit.controller);
    try {
      if (isFault(place)) throw new Error(place.fault);
      if (place === "unified") {
        if (cgroup === "") throw new Error("no cgroup could be made");
        isNeeded = true;
        set(cgroup, limit.unified);
      } else {
        const dir = join(place.parent, newCgroupName());
        mkdirSync(dir);
        bounds.push(dir);
        set(dir, limit.legacy);
      }
    } catch (error) {
      for (const dir of [cgroup, ...bounds]) removeCgroup(dir);
      const { field } = limit;
      const description = error instanceof Error ? error.message : String(error);
      throw notSupported([{ field, description }], error);
    }
  }
  return { cgroup, isNeeded, bounds };
}

/** Notes a job's cgroups of version 1, for whoever takes the job over. */
export function writeBounds(dir: JobDir, bounds: readonly string[]): void {
  if (bounds.length === 0) return;
  writeFileSync(dir.cgroups, bounds.map((bound) => `${bound}\n`).join(""), { mode: 0o600 });
}

export function readBounds(dir: JobDir): string[] {
  try {
    const lines = readSmallFile(dir.cgroups).text.split("\n");
    // The job may have made anything of the file.
    return lines.filter((line) => line.startsWith("/") && isCgroupName(basename(line)));
  } catch {
    return [];
  }
}

function limitsOf({ memoryMaxBytes, cpus, pidsMax }: Limits): Limit[] {
  const limits: Limit[] = [];
  if (memoryMaxBytes !== undefined) {
    const value = String(memoryMaxBytes);
    limits.push({
      field: "limits.memory_max_bytes",
      controller: "memory",
      // What does not fit is not to go to the swap space.
      unified: [
        { file: "memory.max", value },
        { file: "memory.swap.max", value: "0", isOptional: true },
      ],
      legacy: [
        { file: "memory.limit_in_bytes", value },
        { file: "memory.memsw.limit_in_bytes", value, isOptional: true },
      ],
    });
  }
  if (cpus !== undefined) {
    const quotaUs = String(Math.round(cpus * CPU_PERIOD_US));
    limits.push({
      field: "limits.cpus",
      controller: "cpu",
      unified: [{ file: "cpu.max", value: `${quotaUs} ${CPU_PERIOD_US}` }],
      legacy: [
        { file: "cpu.cfs_period_us", value: String(CPU_PERIOD_US) },
        { file: "cpu.cfs_quota_us", value: quotaUs },
      ],
    });
  }
  if (pidsMax !== undefined) {
    const setting = { file: "pids.max", value: String(pidsMax) };
    limits.push({
      field: "limits.pids_max",
      controller: "pids",
      unified: [setting],
      legacy: [setting],
    });
  }
  return limits;
}

function set(dir: string, settings: readonly Setting[]): void {
  for (const { file, value, isOptional = false } of settings) {
    try {
      // Never created: a cgroup's files are there, or its kernel has no such limit.
      writeFileSync(join(dir, file), value, { flag: "r+" });
    } catch (error) {
      if (!isOptional) throw error;
    }
  }
}

function isFault(place: Place): place is { readonly fault: string } {
  return typeof place === "object" && "fault" in place;
}

function placeOf(controller: Controller): Place {
  if (process.platform !== "linux") return { fault: "needs cgroups, which only Linux has" };
  const base = cgroupBase();
  if (base !== undefined && wordsIn(base, "cgroup.controllers").includes(controller)) {
    const fault = enable(base, controller);
    return fault === undefined ? "unified" : { fault };
  }
  const parent = legacyBase(controller);
  if (parent !== undefined) return { parent };
  const where = base === undefined ? "there is no writable cgroup" : `cgroup ${base} has none`;
  return { fault: `needs the ${controller} controller of cgroups: ${where}` };
}

/**
 * Has the cgroups within one bounded by a controller.
 * @returns why that cannot be had
 */
function enable(base: string, controller: Controller): string | undefined {
  if (wordsIn(base, "cgroup.subtree_control").includes(controller)) return undefined;
  try {
    // Some controllers can be enabled all the same. Then nothing can enter cgroups within.
    if (!isRoot(base) && cgroupMembers(base).length > 0 && !leaveForSubgroup(base)) {
      return (
        `cgroup ${base} has processes in it, and so cannot bound others: start the server in a ` +
        `cgroup within it that is called ${SERVER_CGROUP} (DelegateSubgroup= of systemd)`
      );
    }
    writeFileSync(join(base, "cgroup.subtree_control"), `+${controller}`);
    return undefined;
  } catch (error) {
    return `the ${controller} controller cannot be enabled in cgroup ${base}: ${String(error)}`;
  }
}

/** Whether it is the root of the whole hierarchy, which alone may have processes as well. */
function isRoot(dir: string): boolean {
  return !existsSync(join(dir, "cgroup.type"));
}

/**
 * Moves this process, and the runners that it or an earlier server has started, into a
 * cgroup of their own where nobody else is in the root of a container: the kernel has
 * processes in leaves alone. Elsewhere a service manager would not be able to start the next
 * server.
 */
function leaveForSubgroup(base: string): boolean {
  // Also where it has moved before, and could not move all of them.
  const isContainer = new RegExp(`^0::/(?:${SERVER_CGROUP})?$`, "m");
  if (!isContainer.test(readFileSync("/proc/self/cgroup", "utf8"))) return false;
  const leaf = join(base, SERVER_CGROUP);
  mkdirSync(leaf, { recursive: true });
  // One that was being spawned is found by the next look; others are born in the new place.
  for (let looks = 0; looks < MAX_LOOKS; looks += 1) {
    const members = cgroupMembers(base);
    if (members.length === 0) return true;
    if (!members.every(isOurs)) return false;
    for (const pid of [process.pid, ...members]) moveTo(leaf, pid);
  }
  return false;
}

function moveTo(cgroup: string, pid: number): void {
  try {
    writeFileSync(join(cgroup, "cgroup.procs"), String(pid));
  } catch (error) {
    // It has ended.
    if (!hasCode(error, "ESRCH")) throw error;
  }
}

/**
 * Whether a process is this one, a child of it that has not executed its program yet, or a
 * native runner. A shell that is a runner waits in the cgroup of its job instead.
 */
function isOurs(pid: number): boolean {
  try {
    const program = readlinkSync(`/proc/${pid}/exe`);
    if (pid === process.pid || basename(program).startsWith("runner-linux-")) return true;
    return program === readlinkSync("/proc/self/exe") && parentOf(pid) === process.pid;
  } catch {
    return false;
  }
}

/** See proc_pid_stat(5): the second field after the name, in which there may be anything. */
function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  return Number(stat.slice(stat.lastIndexOf(") ")).split(" ")[2]);
}

function wordsIn(dir: string, file: string): string[] {
  try {
    return readFileSync(join(dir, file), "utf8").trim().split(/\s+/);
  } catch {
    return [];
  }
}

function notSupported(violations: readonly FieldViolation[], cause?: unknown) {
  return argumentError("LIMIT_NOT_SUPPORTED", violations, { cause });
}
