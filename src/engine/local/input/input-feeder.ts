import { constants, readFileSync, type Stats, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { hasCode } from "../../../platform/errno.js";
import type { JobDir } from "../../../core/job-dir.js";

/*
 * The server's side of feed.sh, which carries a job's input from stdin.log to
 * its command and needs no server for it.
 */

/** Where feed.sh has stdin.log open. */
const LOG_FD = 4;

/** Tells it to look. Nothing happens where it has ended. */
export async function ringFeeder(dir: JobDir): Promise<void> {
  const bell = await openBell(dir);
  try {
    await bell?.write("\n");
  } catch (error) {
    // It was rung often enough, or has just ended.
    if (!hasCode(error, "EAGAIN", "EPIPE")) throw error;
  } finally {
    await bell?.close();
  }
}

/** Whether it is there: it ends when nobody reads what it writes, and with the runner. */
export async function isFeeding(dir: JobDir): Promise<boolean> {
  const bell = await openBell(dir);
  await bell?.close();
  return bell !== undefined;
}

/** How far it has read; undefined where the system does not tell, or it has ended. */
export function fedBytes(dir: JobDir, log: Stats): number | undefined {
  if (process.platform !== "linux") return undefined;
  try {
    const pid = Number(readFileSync(dir.inputFeeder, "utf8"));
    // Another process may have its pid by now, but not this file open.
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

/** Undefined where nobody listens. */
async function openBell(dir: JobDir): Promise<FileHandle | undefined> {
  try {
    return await open(dir.inputBell, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (hasCode(error, "ENXIO", "ENOENT")) return undefined;
    throw error;
  }
}
