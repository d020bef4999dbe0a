import { processTable } from "./platform.js";

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
      if (bootId !== processTable().bootId()) return false;
      const info = processTable().lookup(pid);
      return info !== undefined && info.startTime === startTime && !info.zombie;
    } catch {
      // A lock file cut short by a crash names nobody.
      return false;
    }
  },
};
