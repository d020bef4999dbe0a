import { readdirSync, readFileSync, writeFileSync } from "node:fs";

/** Linux's figures of one process, as /proc has them now. */

const TICKS_PER_SECOND = 100;

export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** User and system time since it began. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export function rssKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

/** Memory that is its own and shared with no other process. */
export function privateKib(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
  return [...text.matchAll(/^Private_(?:Clean|Dirty):\s+(\d+) kB$/gm)].reduce(
    (sum, [, kib]) => sum + Number(kib),
    0,
  );
}

/** Children that have ended and that it has not asked about. */
export function zombieChildren(pid: number): number[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const [state, parent] =
        readFileSync(`/proc/${name}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
      return state === "Z" && Number(parent) === pid ? [Number(name)] : [];
    } catch {
      // It ended between the two looks.
      return [];
    }
  });
}

/** The most memory it has had since the last reset. */
export function peakRssKib(pid: number): number {
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]);
}

export function resetPeakRss(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Bytes that it has read, from files and sockets. */
export function bytesRead(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1]);
}

/** Files and directories that it has the kernel watch. */
export function inotifyWatches(pid: number): number {
  return readdirSync(`/proc/${pid}/fdinfo`).reduce((sum, fd) => {
    try {
      const info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "latin1");
      return sum + [...info.matchAll(/^inotify wd:/gm)].length;
    } catch {
      // Closed between the two looks.
      return sum;
    }
  }, 0);
}
