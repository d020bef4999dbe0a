import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

/*
 * The limits of setrlimit(2), by which the kernel bounds each process for itself. Node
 * cannot ask for them.
 */

/** By their names in setrlimit(2) and limits.conf(5): those that every shell's ulimit has. */
export const RESOURCES = [
  "as",
  "core",
  "cpu",
  "data",
  "fsize",
  "memlock",
  "nofile",
  "nproc",
  "stack",
] as const;

export type Resource = (typeof RESOURCES)[number];

/** In setrlimit's units: bytes, seconds of "cpu", how many of "nofile" and "nproc". Infinity: none. */
export interface ResourceLimit {
  readonly soft: number;
  readonly hard: number;
}

export type ResourceLimits = Readonly<Partial<Record<Resource, ResourceLimit>>>;

interface ResourceNames {
  /** In /proc/PID/limits. */
  readonly linux: string;
  /** Linux's number of it, on all that Node runs on but MIPS: see asm-generic/resource.h. */
  readonly number: number;
  /** The option of ulimit. */
  readonly option: string;
  /** What it is in dash, where that has another one. */
  readonly dashOption?: string;
  /** By how much ulimit counts, as POSIX has it for -f. */
  readonly unit: number;
}

const NAMES: Readonly<Record<Resource, ResourceNames>> = {
  as: { linux: "Max address space", number: 9, option: "v", unit: 1024 },
  core: { linux: "Max core file size", number: 4, option: "c", unit: 512 },
  cpu: { linux: "Max cpu time", number: 0, option: "t", unit: 1 },
  data: { linux: "Max data size", number: 2, option: "d", unit: 1024 },
  fsize: { linux: "Max file size", number: 1, option: "f", unit: 512 },
  memlock: { linux: "Max locked memory", number: 8, option: "l", unit: 1024 },
  nofile: { linux: "Max open files", number: 7, option: "n", unit: 1 },
  nproc: { linux: "Max processes", number: 6, option: "u", dashOption: "p", unit: 1 },
  stack: { linux: "Max stack size", number: 3, option: "s", unit: 1024 },
};

/** Returns what a limit has to be a multiple of, since a shell sets it. */
export function limitUnit(resource: Resource): number {
  return NAMES[resource].unit;
}

/** Returns the number that Linux has for a resource. */
export function resourceNumber(resource: Resource): number {
  return NAMES[resource].number;
}

/** Returns shell commands that set soft limits of the shell, and fail where it may not. */
export function setSoftLimits(limits: Readonly<Partial<Record<Resource, number>>>): string {
  // Last what the shell itself needs to set the others.
  const inOrder = RESOURCES.toSorted((a, b) => Number(a === "nofile") - Number(b === "nofile"));
  return inOrder.flatMap((resource) => setSoftLimit(resource, limits[resource])).join(" && ");
}

/** Returns a shell command that sets a hard limit, or "" where it is to be as it is. */
export function setHardLimit(resource: Resource, value: number): string {
  if (value === Number.POSITIVE_INFINITY) return "";
  return ulimit("H", resource, String(Math.floor(value / NAMES[resource].unit)));
}

function setSoftLimit(resource: Resource, value: number | undefined): string[] {
  if (value === undefined) return [];
  const isNone = value === Number.POSITIVE_INFINITY;
  const amount = isNone ? "unlimited" : String(Math.floor(value / NAMES[resource].unit));
  return [ulimit("S", resource, amount)];
}

function ulimit(kind: "S" | "H", resource: Resource, amount = ""): string {
  const command = (option: string) => `ulimit -${kind} -${option} ${amount}`.trim();
  const { option, dashOption } = NAMES[resource];
  if (dashOption === undefined) return command(option);
  return `{ ${command(option)} 2>/dev/null || ${command(dashOption)}; }`;
}

/**
 * Reads the limits of a process. Of this one the soft limit of open files is what Node has
 * made of it at its start: the hard one.
 * @param pid another process, of which only Linux tells
 * @returns without those that cannot be known
 */
export function resourceLimits(pid?: number): ResourceLimits {
  try {
    if (process.platform === "linux") {
      return parseLimits(readFileSync(`/proc/${pid ?? "self"}/limits`, "latin1"));
    }
    return pid === undefined ? askShell() : {};
  } catch {
    return {};
  }
}

function parseLimits(text: string): ResourceLimits {
  const lines = text.split("\n");
  return byResource((resource) => {
    const { linux } = NAMES[resource];
    const line = lines.find((each) => each.startsWith(linux));
    return line?.slice(linux.length).trim().split(/\s+/).map(parseAmount);
  });
}

let asked: ResourceLimits | undefined;

/** A child inherits them. It takes some milliseconds, so they are asked for once. */
function askShell(): ResourceLimits {
  asked ??= limitsOfShell();
  return asked;
}

function limitsOfShell(): ResourceLimits {
  const tell = (resource: Resource) =>
    `echo "$(${ulimit("S", resource)}) $(${ulimit("H", resource)})"`;
  const script = RESOURCES.map(tell).join("\n");
  const lines = execFileSync("/bin/sh", ["-c", script], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  }).split("\n");
  return byResource((resource) => {
    const amounts = lines[RESOURCES.indexOf(resource)]?.split(" ").map(parseAmount);
    return amounts?.map((amount) => amount * NAMES[resource].unit);
  });
}

function parseAmount(text: string): number {
  return text === "unlimited" ? Number.POSITIVE_INFINITY : Number(text || Number.NaN);
}

function byResource(amounts: (resource: Resource) => number[] | undefined): ResourceLimits {
  const limits = RESOURCES.flatMap((resource) => {
    const [soft = Number.NaN, hard = Number.NaN] = amounts(resource) ?? [];
    return Number.isNaN(soft + hard) ? [] : [[resource, { soft, hard }] as const];
  });
  return Object.fromEntries(limits);
}
