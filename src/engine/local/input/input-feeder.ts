import { constants, readFileSync, type Stats, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import { readSmallFile } from "../../../platform/small-file.js";

/*
 * The server's side of feed.sh, which copies a job's input from stdin.log to the
 * command, also while no server runs.
 */

/** The descriptor at which feed.sh has stdin.log open. */
const LOG_FD = 4;

/** Wakes the feeder for new input. Does nothing where it has ended. */
export async function ringFeeder(dir: JobDir): Promise<void> {
  const bell = await openBell(dir);
  try {
    await bell?.write("\n");
  } catch (error) {
    // The bell is full, so the feeder will wake anyway, or it has just ended.
    if (!hasCode(error, "EAGAIN", "EPIPE")) throw error;
  } finally {
    await bell?.close();
  }
}

/** Whether the feeder is alive: it ends when nobody reads its output, and with the runner. */
export async function isFeeding(dir: JobDir): Promise<boolean> {
  const bell = await openBell(dir);
  await bell?.close();
  return bell !== undefined;
}

/** Returns how far the feeder has read. Undefined where it has ended, or not on Linux. */
export function fedBytes(dir: JobDir, log: Stats): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const pid = Number(readSmallFile(dir.inputFeeder).text);
    // Proves that the pid is the feeder's: no other process has this file open there.
    const { dev, ino } = statSync(`/proc/${pid}/fd/${LOG_FD}`);
    if (dev !== log.dev || ino !== log.ino) return undefined;
    const position = /^pos:\s*(\d+)$/m.exec(
      readFileSync(`/proc/${pid}/fdinfo/${LOG_FD}`, "utf8"),
    )?.[1];
    return position === undefined ? undefined : Number(position);
  } catch {
    return undefined;
  }
}

/** Opens the bell, or returns undefined where no feeder reads it. */
async function openBell(dir: JobDir): Promise<FileHandle | undefined> {
  try {
    return await open(dir.inputBell, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, "ENXIO", "ENOENT")) return undefined;
    throw error;
  }
}
