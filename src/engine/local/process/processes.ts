import type { ProcessInfo, ProcessTable } from "./process-table.js";
import { darwinProcessTable } from "./process-table-darwin.js";
import { linuxProcessTable } from "./process-table-linux.js";

/** Returns the process table of the platform this runs on. */
export function processTable(): ProcessTable {
  return process.platform === "linux" ? linuxProcessTable : darwinProcessTable;
}

/** Names one process within a boot: a later process with the same pid has another start time. */
export interface ProcessRef {
  readonly pid: number;
  readonly startTime: string;
}

export function sameProcess(info: ProcessRef, ref: ProcessRef): boolean {
  return info.pid === ref.pid && info.startTime === ref.startTime;
}

/** Returns this very process if it is alive: same boot, same pid, same start time, no zombie. */
export function lookupAlive(bootId: string, ref: ProcessRef): ProcessInfo | undefined {
  if (bootId !== processTable().bootId()) return undefined;
  const info = processTable().lookup(ref.pid);
  return info && sameProcess(info, ref) && !info.zombie ? info : undefined;
}

export function isAlive(bootId: string, ref: ProcessRef): boolean {
  return lookupAlive(bootId, ref) !== undefined;
}

/** Names processes so that no later process, on this boot or another, has the same name. */
export const processIdentifier = {
  self(): string {
    const info = processTable().lookup(process.pid);
    if (!info) throw new Error(`process ${process.pid} does not find itself`);
    return JSON.stringify([processTable().bootId(), info.pid, info.startTime]);
  },

  isAlive(identity: string): boolean {
    try {
      const [bootId, pid, startTime] = JSON.parse(identity) as [string, number, string];
      return isAlive(bootId, { pid, startTime });
    } catch {
      // A lock file cut short by a crash names nobody.
      return false;
    }
  },
};
