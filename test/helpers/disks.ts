import { execFileSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { tempDir } from "./temp-dir.js";

/*
 * File systems that only root can make, gone when the test is over.
 */

export type DiskType = "tmpfs" | "ext4";

/** A file system of a given size, all of it for everybody. */
export function smallDisk(type: DiskType, sizeKib: number): string {
  return type === "tmpfs" ? mounted("tmpfs", `size=${sizeKib}k,mode=700`) : ext4Disk(sizeKib);
}

/** @param words more words for mkfs.ext4 */
export function ext4Disk(sizeKib: number, ...words: string[]): string {
  const image = join(tempDir(), "image");
  writeFileSync(image, "");
  truncateSync(image, sizeKib * 1024);
  execFileSync("mkfs.ext4", ["-q", "-m", "0", ...words, image], {
    env: { PATH: "/sbin:/usr/sbin" },
  });
  return mounted("ext4", "loop", image);
}

export function mounted(type: string, options: string, device = type): string {
  const dir = join(tempDir(), "disk");
  mkdirSync(dir);
  execFileSync("mount", ["-t", type, "-o", options, device, dir]);
  onTestFinished(() => {
    execFileSync("umount", ["-l", dir]);
  });
  return dir;
}

/** Takes all room that there is. */
export function fill(disk: string): void {
  const fd = openSync(join(disk, "filler"), "a");
  // ext4 has room for a little where it has none for more.
  for (const bytes of [65_536, 1024]) {
    try {
      for (;;) writeSync(fd, Buffer.alloc(bytes));
    } catch {
      // Full.
    }
  }
  closeSync(fd);
}

/** Room for so much after all. */
export function giveBack(disk: string, bytes: number): void {
  const filler = join(disk, "filler");
  truncateSync(filler, statSync(filler).size - bytes);
}

export function makeRoom(disk: string): void {
  rmSync(join(disk, "filler"));
}
