import { statfsSync } from "node:fs";
import { cpus, loadavg, release, totalmem, type } from "node:os";

/** By the magic numbers of statfs(2). */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0xef53, "ext4"],
  [0x5846_5342, "xfs"],
  [0x9123_683e, "btrfs"],
  [0x0102_1994, "tmpfs"],
  [0x794c_7630, "overlayfs"],
]);

/** Says on what, and when, figures were taken; `dir` is on the file system that was used. */
export function describeMachine(dir: string): string {
  const magic = statfsSync(dir).type;
  return [
    `${cpus().length} x ${cpus()[0]?.model.trim() ?? "unknown processor"}`,
    `${Math.round(totalmem() / 2 ** 30)} GiB`,
    `${type()} ${release()}`,
    FILE_SYSTEMS.get(magic) ?? `file system ${magic.toString(16)}`,
    `Node ${process.versions.node}`,
    `load ${loadavg()[0]?.toFixed(1)}`,
    new Date().toISOString().slice(0, 10),
  ].join(", ");
}
