import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { fromSystemError } from "../../../contract/errors.js";
import { hasCode } from "../../../platform/errno.js";
import { listenersOnLinux } from "./listeners-linux.js";
import type { MeasuredProcess, ProcessInfo, ProcessTable } from "./process-table.js";

/** USER_HZ, the unit of times in /proc: 100 on every architecture Node runs on. */
const TICKS_PER_SECOND = 100;

const AT_PAGESZ = 6n;

let bootId: string | undefined;

/** Linux: /proc, see proc_pid_stat(5). */
export const linuxProcessTable: ProcessTable = {
  bootId() {
    bootId ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return bootId;
  },

  lookup(pid) {
    const text = readProc(pid, "stat");
    return text === undefined ? undefined : parseStat(text);
  },

  all() {
    return processIds().flatMap((pid) => linuxProcessTable.lookup(pid) ?? []);
  },

  *measured(pids = processIds()) {
    for (const pid of pids) {
      const text = readProc(pid, "stat");
      const measured = text === undefined ? undefined : parseMeasuredStat(text);
      if (measured) yield measured;
    }
  },

  diskUsage(pid) {
    const text = readProc(pid, "io");
    const bytesOf = (name: string) =>
      Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(text ?? "")?.[1]);
    const usage = { readBytes: bytesOf("read_bytes"), writtenBytes: bytesOf("write_bytes") };
    return Number.isNaN(usage.readBytes + usage.writtenBytes) ? undefined : usage;
  },

  ageMs(startTime) {
    return Math.max(0, (uptimeSeconds() - Number(startTime) / TICKS_PER_SECOND) * 1000);
  },

  mark() {
    return String(Math.floor(uptimeSeconds() * TICKS_PER_SECOND));
  },

  startedBy(startTime, mark) {
    return Number(startTime) <= Number(mark);
  },

  parseIdentity(line) {
    return parseStat(line);
  },

  formatIdentity({ pid, startTime }) {
    // The state, and 18 numbers that nobody reads here.
    return `${pid} (-) S ${"0 ".repeat(18)}${startTime}`;
  },

  listeners: listenersOnLinux,

  hasArgument(text) {
    return processIds().some((pid) => readProc(pid, "cmdline")?.split("\0").includes(text));
  },

  hasErrorOutput(paths) {
    const files = paths.flatMap((path) => tryRealpath(path) ?? []);
    return processIds().some((pid) => files.includes(errorOutputOf(pid) ?? ""));
  },

  hasOpenFile(pids, paths) {
    const files = new Set(paths.flatMap((path) => fileId(path) ?? []));
    return pids.some((pid) => openFilesOf(pid).some((path) => files.has(fileId(path) ?? "")));
  },
};

function openFilesOf(pid: number): string[] {
  const dir = `/proc/${pid}/fd`;
  try {
    return readdirSync(dir).map((fd) => `${dir}/${fd}`);
  } catch {
    // It has ended, or is another user's.
    return [];
  }
}

/** A path tells nothing: what a process has open may have been moved or deleted since. */
function fileId(path: string): string | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

function tryRealpath(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function errorOutputOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/fd/2`);
  } catch {
    // It has ended, or is another user's, and so no job's.
    return undefined;
  }
}

/** Parses /proc/PID/stat. The name may contain parentheses: fields count from the last one. */
function statFields(text: string): { pid: number; fields: readonly string[] } {
  const match = /^(\d+) \(.*\) (.*)$/s.exec(text.trim());
  return { pid: Number(match?.[1]), fields: match?.[2]?.split(" ") ?? [] };
}

function parseMeasuredStat(text: string): MeasuredProcess | undefined {
  const info = parseStat(text);
  if (!info) return undefined;
  const { fields } = statFields(text);
  // utime, stime, cutime, cstime.
  const ticks = fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0);
  const memoryBytes = Number(fields[21]) * pageBytes();
  return { ...info, cpuTimeMs: (ticks * 1000) / TICKS_PER_SECOND, memoryBytes };
}

let knownPageBytes: number | undefined;

/** AT_PAGESZ of getauxval(3), which Node does not have. */
function pageBytes(): number {
  knownPageBytes ??= readPageBytes();
  return knownPageBytes;
}

function readPageBytes(): number {
  const vector = readFileSync("/proc/self/auxv");
  const words = new BigUint64Array(vector.length >> 3);
  vector.copy(new Uint8Array(words.buffer));
  for (let index = 0; index < words.length; index += 2) {
    if (words[index] === AT_PAGESZ) return Number(words[index + 1]);
  }
  return 4096;
}

function parseStat(text: string): ProcessInfo | undefined {
  const { pid, fields } = statFields(text);
  const [state, , groupId, sessionId, ...rest] = fields;
  const startTime = rest[15];
  if (state === undefined || startTime === undefined) return undefined;
  return {
    pid,
    groupId: Number(groupId),
    sessionId: Number(sessionId),
    startTime,
    zombie: state === "Z" || state === "X",
  };
}

/** Reads the clock that start times are measured by. */
function uptimeSeconds(): number {
  return Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]);
}

function processIds(): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ESRCH")) return undefined;
    // With the mount option hidepid, processes of other users are hidden: they are no job's.
    if (hasCode(error, "EPERM", "EACCES")) return undefined;
    throw fromSystemError(error, `read /proc/${pid}/${file}`);
  }
}
