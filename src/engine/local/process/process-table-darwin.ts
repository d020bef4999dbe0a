import { execFileSync } from "node:child_process";
import { listenersOnDarwin } from "./listeners-darwin.js";
import type { MeasuredProcess, ProcessTable } from "./process-table.js";

let bootId: string | undefined;

/**
 * macOS and the BSDs: ps(1). Start times have a resolution of one second. `sess` is no
 * session id there, so a process counts as a member of the session of the runner that
 * it descends from. Where an ancestor in between has ended, its group id is used.
 *
 * Linux's ps takes the same options, so the tests run on Linux what both share. The
 * rest has not been run.
 */
export const darwinProcessTable: ProcessTable = {
  bootId() {
    bootId ??= command("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"]).trim();
    return bootId;
  },

  lookup(pid) {
    return darwinProcessTable.all().find((info) => info.pid === pid);
  },

  all: allProcesses,

  measured(pids) {
    const all = allProcesses();
    return pids ? all.filter(({ pid }) => pids.includes(pid)) : all;
  },

  // ps does not tell.
  diskUsage: () => undefined,

  ageMs(startTime) {
    // By the wall clock: ps has no other start time, and etime would need another call.
    return Math.max(0, Date.now() - Date.parse(`${startTime} UTC`));
  },

  mark() {
    // Turns "Tue, 24 Nov 2026 14:41:10 GMT" into the form of lstart.
    const [, day, month, year, time] = new Date().toUTCString().split(/[ ,]+/);
    return `${month} ${day} ${time} ${year}`;
  },

  startedBy(startTime, mark) {
    return Date.parse(`${startTime} UTC`) <= Date.parse(`${mark} UTC`);
  },

  parseIdentity(line) {
    const match = /^(\d+) +(\S.*)$/.exec(line.trim());
    return match?.[1] && match[2]
      ? { pid: Number(match[1]), startTime: normalTime(match[2]) }
      : undefined;
  },

  formatIdentity: ({ pid, startTime }) => `${pid} ${startTime}`,

  listeners: listenersOnDarwin,

  hasArgument(text) {
    return command("/bin/ps", ["-axwwo", "command="]).includes(text);
  },

  // Asked for runners that were told of their jobs by a pipe, and there are none here.
  hasErrorOutput: () => false,

  // It is there to spare jobs where a file system's numbers are not stable. Those here are.
  hasOpenFile: () => false,
};

function allProcesses(): MeasuredProcess[] {
  const columns = "pid=,ppid=,pgid=,state=,lstart=,time=,rss=,command=";
  const rows = command("/bin/ps", ["-axwwo", columns])
    .split("\n")
    .flatMap((line) => parseRow(line) ?? []);
  const byPid = new Map(rows.map((row) => [row.pid, row]));
  return rows.map((row) => ({ ...row, sessionId: sessionOf(row, byPid) }));
}

interface Row extends Omit<MeasuredProcess, "sessionId"> {
  readonly parentId: number;
  /** Whether it is a job's runner. That leads its own group (setsid); its forks do not. */
  readonly isRunner: boolean;
}

/** Matches a row of ps; lstart is "Tue Nov 24 14:41:10 2026", rss counts KiB. */
const ROW =
  /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s+([\d:.-]+)\s+(\d+)\s?(.*)$/;

function parseRow(line: string): Row | undefined {
  const match = ROW.exec(line);
  if (!match) return undefined;
  const [, pid, parentId, groupId, state, startTime, time, rss, command] =
    match as unknown as string[];
  return {
    pid: Number(pid),
    parentId: Number(parentId),
    groupId: Number(groupId),
    startTime: normalTime(startTime ?? ""),
    cpuTimeMs: timeMs(time ?? ""),
    memoryBytes: Number(rss) * 1024,
    zombie: state?.startsWith("Z") ?? false,
    isRunner: pid === groupId && (command?.includes("/runner.sh ") ?? false),
  };
}

/** Parses "3:25.04", minutes and seconds, as of macOS, and "1-02:03:04" as of Linux. */
function timeMs(text: string): number {
  const [time = "", days = "0"] = text.split("-").toReversed();
  const ofDay = time.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return Math.round((Number(days) * 86_400 + ofDay) * 1000);
}

function sessionOf(row: Row, byPid: ReadonlyMap<number, Row>): number {
  for (let at: Row | undefined = row; at && at.pid > 1; at = byPid.get(at.parentId)) {
    if (at.isRunner) return at.pid;
  }
  return row.groupId;
}

/** Removes the space that ps pads the day of the month with, and the runner's `read` drops. */
function normalTime(text: string): string {
  return text.trim().replaceAll(/\s+/g, " ");
}

function command(path: string, args: string[]): string {
  return execFileSync(path, args, {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    env: { LC_ALL: "C", TZ: "UTC" },
  });
}
