import { execFileSync } from "node:child_process";
import type { ProcessInfo, ProcessTable } from "./process-table.js";

let bootId: string | undefined;

/**
 * macOS and the BSDs: ps(1). Reasoned through, not run by the tests here:
 * start times have a resolution of a second; `sess` is not a session id there,
 * so a process's session is taken to be the group of its oldest known ancestor,
 * which is the runner's for all that has not called setsid.
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
    const rows = command("/bin/ps", ["-axo", "pid=,ppid=,pgid=,state=,lstart="])
      .split("\n")
      .flatMap((line) => parseRow(line) ?? []);
    const byPid = new Map(rows.map((row) => [row.pid, row]));
    return rows.map((row) => ({ ...row, sessionId: sessionOf(row, byPid) }));
  },

  ageMs(startTime) {
    // ps knows the start by the wall clock only; etime would need another look.
    return Math.max(0, Date.now() - Date.parse(`${startTime} UTC`));
  },

  parseIdentity(line) {
    const match = /^(\d+) +(\S.*)$/.exec(line.trim());
    return match?.[1] && match[2]
      ? { pid: Number(match[1]), startTime: normalTime(match[2]) }
      : undefined;
  },

  hasArgument(text) {
    return command("/bin/ps", ["-axo", "command="]).includes(text);
  },
};

interface Row extends Omit<ProcessInfo, "sessionId"> {
  readonly parentId: number;
}

function parseRow(line: string): Row | undefined {
  const match = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(\S.*)$/.exec(line);
  if (!match) return undefined;
  const [, pid, parentId, groupId, state, startTime] = match as unknown as string[];
  return {
    pid: Number(pid),
    parentId: Number(parentId),
    groupId: Number(groupId),
    startTime: normalTime(startTime ?? ""),
    zombie: state?.startsWith("Z") ?? false,
  };
}

function sessionOf(row: Row, byPid: Map<number, Row>): number {
  let session = row.groupId;
  for (let at: Row | undefined = row; at && at.pid > 1; at = byPid.get(at.parentId)) {
    session = at.groupId;
    // A runner: started by setsid, so it leads its own group.
    if (at.groupId === at.pid) break;
  }
  return session;
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
