import { execFileSync } from "node:child_process";
import { listenersOnDarwin } from "./listeners-darwin.js";
import type { ProcessInfo, ProcessTable } from "./process-table.js";

let bootId: string | undefined;

/**
 * macOS and the BSDs: ps(1). Start times have a resolution of a second. `sess` is
 * not a session id there, so a process's session is taken to be that of the
 * runner it descends from; where its ancestors have ended in between, its group.
 *
 * Linux's ps takes the same options, so the tests run what they share there; the
 * rest is reasoned through.
 */
export const darwinProcessTable: ProcessTable = {
  bootId() {
    bootId ??= command("/usr/sbin/sysctl", ["-n", "kern.bootsessionuuid"]).trim();
    return bootId;
  },

  lookup(pid) {
    return darwinProcessTable.all().find((info) => info.pid === pid);
  },

  all() {
    const rows = command("/bin/ps", ["-axwwo", "pid=,ppid=,pgid=,state=,lstart=,command="])
      .split("\n")
      .flatMap((line) => parseRow(line) ?? []);
    const byPid = new Map(rows.map((row) => [row.pid, row]));
    return rows.map((row) => ({ ...row, sessionId: sessionOf(row, byPid) }));
  },

  ageMs(startTime) {
    // ps knows the start by the wall clock only; etime would need another look.
    return Math.max(0, Date.now() - Date.parse(`${startTime} UTC`));
  },

  mark() {
    // "Tue, 24 Nov 2026 14:41:10 GMT" as lstart has it.
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

  listeners: listenersOnDarwin,

  hasArgument(text) {
    return command("/bin/ps", ["-axwwo", "command="]).includes(text);
  },
};

interface Row extends Omit<ProcessInfo, "sessionId"> {
  readonly parentId: number;
  /** Of a job: started by setsid, so it leads its own group; its forks do not. */
  readonly isRunner: boolean;
}

/** lstart is "Tue Nov 24 14:41:10 2026". */
const ROW = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+[\d:]+\s+\d+)\s?(.*)$/;

function parseRow(line: string): Row | undefined {
  const match = ROW.exec(line);
  if (!match) return undefined;
  const [, pid, parentId, groupId, state, startTime, command] = match as unknown as string[];
  return {
    pid: Number(pid),
    parentId: Number(parentId),
    groupId: Number(groupId),
    startTime: normalTime(startTime ?? ""),
    zombie: state?.startsWith("Z") ?? false,
    isRunner: pid === groupId && (command?.includes("/runner.sh ") ?? false),
  };
}

function sessionOf(row: Row, byPid: ReadonlyMap<number, Row>): number {
  for (let at: Row | undefined = row; at && at.pid > 1; at = byPid.get(at.parentId)) {
    if (at.isRunner) return at.pid;
  }
  return row.groupId;
}

/** ps pads the day of the month with a space; the runner's `read` does not keep it. */
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
