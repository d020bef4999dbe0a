import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { type WatchPath, watchPath } from "../../../src/platform/watch-path.js";

/** Handles that this process has open below a directory. Linux only. */
export function openFilesBelow(dir: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(join("/proc/self/fd", fd));
      return target.startsWith(dir) ? [target] : [];
    } catch {
      return []; // closed meanwhile
    }
  });
}

/** Watches that the kernel keeps for this process on a path. Linux only. */
export function kernelWatchesOn(path: string): number {
  const inode = `ino:${statSync(path).ino.toString(16)} `;
  return readdirSync("/proc/self/fdinfo")
    .map((fd) => {
      try {
        return readFileSync(join("/proc/self/fdinfo", fd), "utf8");
      } catch {
        return ""; // closed meanwhile
      }
    })
    .flatMap((info) => info.split("\n"))
    .filter((line) => line.startsWith("inotify ") && line.includes(inode)).length;
}

/** The kernel's watches, counted. */
export class CountedWatches {
  readonly made: string[] = [];
  open = 0;

  readonly watch: WatchPath = (path, onChange, onLost) => {
    const watch = watchPath(path, onChange, onLost);
    if (watch === undefined) return undefined;
    this.made.push(path);
    this.open += 1;
    return {
      close: () => {
        this.open -= 1;
        watch.close();
      },
    };
  };
}
