import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessUsage } from "../../../contract/job.js";
import type { OutOfMemory } from "../../../core/ports.js";
import { defined } from "../../../platform/defined.js";

/**
 * Reads what a cgroup (version 2) has used, of all processes that were ever in it. What its
 * controllers do not tell is absent: without them there is only the CPU time.
 */
export function cgroupUsage(dir: string): ProcessUsage {
  if (dir === "") return {};
  const cpuUs = fieldsOf(read(dir, "cpu.stat"))["usage_usec"];
  const controllers = controllersOf(dir);
  const memory = (file: string) =>
    controllers.includes("memory") ? amountIn(read(dir, file)) : undefined;
  return defined({
    cpuTimeMs: cpuUs === undefined ? undefined : cpuUs / 1000,
    memoryBytes: memory("memory.current"),
    memoryPeakBytes: memory("memory.peak"),
    ...diskBytes(controllers.includes("io") ? read(dir, "io.stat") : undefined),
  });
}

/** Reads what the kernel tells of the cgroups of version 1 that a job is in as well. */
export function legacyUsage(dirs: readonly string[]): ProcessUsage {
  const amountOf = (file: string) => first(dirs, (dir) => amountIn(read(dir, file)));
  return defined({
    memoryBytes: amountOf("memory.usage_in_bytes"),
    memoryPeakBytes: amountOf("memory.max_usage_in_bytes"),
  });
}

/** Returns what is known of processes that the kernel has ended in a job's cgroups for want of memory. */
export function outOfMemory(cgroup: string, bounds: readonly string[]): OutOfMemory | undefined {
  const isCounted = cgroup !== "" && controllersOf(cgroup).includes("memory");
  const events = isCounted ? fieldsOf(read(cgroup, "memory.events")) : {};
  const legacy = first(bounds, (dir) => fieldsOf(read(dir, "memory.oom_control"))["oom_kill"]) ?? 0;
  const killedProcesses = (events["oom_kill"] ?? 0) + legacy;
  if (killedProcesses === 0) return undefined;
  return { killedProcesses, isOwnLimit: legacy > 0 || (events["oom"] ?? 0) > 0 };
}

/** One read instead of several files that are not there, which every job's end would look for. */
function controllersOf(dir: string): string[] {
  return (read(dir, "cgroup.controllers") ?? "").trim().split(" ");
}

function first<T>(dirs: readonly string[], of: (dir: string) => T | undefined): T | undefined {
  for (const dir of dirs) {
    const found = of(dir);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Adds up the devices of io.stat: "8:0 rbytes=1 wbytes=2 rios=3 …". */
function diskBytes(text: string | undefined): Pick<ProcessUsage, "readBytes" | "writtenBytes"> {
  if (text === undefined) return {};
  const sumOf = (name: string) =>
    [...text.matchAll(new RegExp(`\\b${name}=(\\d+)`, "g"))]
      .map(([, bytes]) => Number(bytes))
      .reduce((sum, bytes) => sum + bytes, 0);
  return { readBytes: sumOf("rbytes"), writtenBytes: sumOf("wbytes") };
}

/** Parses lines of a name and a number. */
function fieldsOf(text = ""): Readonly<Record<string, number>> {
  const fields = text.split("\n").map((line) => line.split(" "));
  return Object.fromEntries(fields.map(([name = "", value]) => [name, Number(value)]));
}

/** @returns undefined where there is no number, as for "max" */
function amountIn(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+\n?$/.test(text) ? Number(text) : undefined;
}

/** @returns undefined where there is no such file: its controller is not enabled, or the kernel older */
function read(dir: string, file: string): string | undefined {
  try {
    return readFileSync(join(dir, file), "utf8");
  } catch {
    return undefined;
  }
}
