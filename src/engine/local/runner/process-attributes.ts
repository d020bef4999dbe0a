import { getPriority, setPriority } from "node:os";
import { Violations } from "../../../contract/errors.js";
import { type JobSpec, NO_LIMIT } from "../../../contract/job.js";
import { checkCgroupLimits } from "../containment/cgroup-limits.js";
import {
  limitUnit,
  RESOURCES,
  type Resource,
  resourceLimits,
  resourceNumber,
  setHardLimit,
  setSoftLimits,
} from "../../../platform/resource-limits.js";

/** What a process inherits, and a job may ask to have otherwise. */
type Attributes = Pick<JobSpec, "nice" | "softLimits" | "limits">;

/**
 * Checks that this process may give a job what it asks for.
 * @throws ProcmanError INVALID_ARGUMENT with a violation for each that it may not
 */
export function checkAttributes({ nice, softLimits, limits }: Attributes): void {
  const violations = new Violations();
  const lowest = nice === undefined ? undefined : lowestNice(nice);
  if (lowest !== undefined && lowest !== nice) {
    violations.add("nice", `must be at least ${lowest}, as the server has it: it may not go below`);
  }
  if (softLimits) {
    const own = resourceLimits();
    for (const resource of RESOURCES) {
      const asked = softLimits[resource];
      if (asked === undefined) continue;
      const fault = limitFault(resource, asked, own[resource]?.hard);
      if (fault !== undefined) violations.add(`soft_limits[${JSON.stringify(resource)}]`, fault);
    }
  }
  if (limits?.openFilesMax !== undefined) {
    const fault = limitFault("nofile", limits.openFilesMax, resourceLimits().nofile?.hard);
    if (fault !== undefined) violations.add("limits.open_files_max", fault);
  }
  violations.throwIfAny();
  if (limits) checkCgroupLimits(limits);
}

/** @returns `nice` itself, unless this process may not have it: then the lowest that it may */
function lowestNice(nice: number): number {
  const own = getPriority();
  if (nice >= own) return nice;
  // Only the kernel knows. It is at once taken back, which is always allowed.
  try {
    setPriority(nice);
    setPriority(own);
    return nice;
  } catch {
    return own;
  }
}

function limitFault(
  resource: Resource,
  asked: number,
  hard: number | undefined,
): string | undefined {
  const unit = limitUnit(resource);
  if (asked !== NO_LIMIT && asked % unit !== 0) return `must be a multiple of ${unit}`;
  if (hard === undefined || amountOf(asked) <= hard) return undefined;
  return `must be at most ${hard}, the server's hard limit`;
}

/**
 * Returns shell commands that set a job's limits of each process by itself, or "". To be run last: by them the
 * shell may become unable to do anything but to execute the command.
 */
export function limitsScript({ softLimits = {}, limits = {} }: Attributes): string {
  const { openFilesMax = Number.POSITIVE_INFINITY } = limits;
  const soft: Partial<Record<string, number>> = Object.fromEntries(
    Object.entries(softLimits).map(([name, limit]) => [name, amountOf(limit)]),
  );
  if (openFilesMax !== Number.POSITIVE_INFINITY) {
    soft["nofile"] = Math.min(soft["nofile"] ?? openFilesMax, openFilesMax);
  }
  const commands = [setSoftLimits(soft), setHardLimit("nofile", openFilesMax)];
  return commands.filter((command) => command !== "").join(" && ");
}

/** Returns a job's soft limits as the kernel numbers them: the resource, and its limit, or "" for none. */
export function softLimitNumbers({ softLimits = {} }: Attributes): [number, string][] {
  return RESOURCES.flatMap((resource): [number, string][] => {
    const limit = softLimits[resource];
    if (limit === undefined) return [];
    return [[resourceNumber(resource), limit === NO_LIMIT ? "" : String(limit)]];
  });
}

/** Returns what nice(1) is to add to this process's niceness, which a job inherits; 0: nothing. */
export function addedNice({ nice }: Attributes): number {
  return nice === undefined ? 0 : nice - getPriority();
}

function amountOf(limit: number): number {
  return limit === NO_LIMIT ? Number.POSITIVE_INFINITY : limit;
}
