import type { Resource } from "../../../src/platform/resource-limits.js";

const MIB = 1024 * 1024;

/** One of each, none of them what a test itself has. */
export const SOFT_LIMITS: Readonly<Record<Resource, number>> = {
  as: 4096 * MIB,
  core: 1536,
  cpu: 1000,
  data: 1024 * MIB,
  fsize: MIB,
  memlock: 64 * 1024,
  nofile: 64,
  nproc: 5000,
  stack: 4 * MIB,
};

const LINES: Readonly<Record<Resource, string>> = {
  as: "address space",
  core: "core file size",
  cpu: "cpu time",
  data: "data size",
  fsize: "file size",
  memlock: "locked memory",
  nofile: "open files",
  nproc: "processes",
  stack: "stack size",
};

/** Finds one in what /proc/PID/limits has. */
export function softLimitIn(text: string, resource: Resource): string | undefined {
  return new RegExp(`^Max ${LINES[resource]} +(\\S+)`, "m").exec(text)?.[1];
}
