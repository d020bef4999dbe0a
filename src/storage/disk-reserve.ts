import { randomFillSync } from "node:crypto";
import { rmSync, statfsSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { replaceFile } from "../platform/durable-file.js";
import { hasCode } from "../platform/errno.js";

const RESERVE_BYTES = 1024 * 1024;

/** Given up at a time: jobs that still write take what of it is not needed at once. */
const SLICE_BYTES = 64 * 1024;

/** A disk with less room has no reserve, which would only fill it sooner. */
const MIN_FREE_BYTES = 16 * RESERVE_BYTES;
const MIN_FREE_INODES = 16;

const REFILL_INTERVAL_MS = 60_000;

/**
 * Keeps a file of 1 MiB in the state directory, whose room is given up for what frees
 * more of it when the disk is full: a server's lock, a Cancel's intent, a removal. Makes
 * it again when there is room. Returns how to stop that; the file stays.
 */
export function keepReserve(stateDir: string, intervalMs = REFILL_INTERVAL_MS): () => void {
  const path = reserveIn(stateDir);
  const refill = () => {
    try {
      if (isWhole(path) || !hasPlenty(stateDir)) return;
      // Random: some file systems keep no room for zeros, or compress them.
      replaceFile(path, randomFillSync(Buffer.allocUnsafe(RESERVE_BYTES)));
    } catch {
      // Read-only, say, or over the user's quota, which statfs does not tell of.
    }
  };
  refill();
  const timer = setInterval(refill, intervalMs).unref();
  return () => clearInterval(timer);
}

/**
 * Runs a write. Where there is no room for it, gives up a part of the reserve and runs it
 * again at once, before others take that, for as long as there is a reserve.
 * @throws what `write` throws
 */
export async function withReserve<T>(stateDir: string, write: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (!hasCode(error, "ENOSPC", "EDQUOT") || !giveUpSlice(stateDir)) throw error;
    }
  }
}

/** @returns whether there was anything left to give up */
function giveUpSlice(stateDir: string): boolean {
  const path = reserveIn(stateDir);
  try {
    const { size } = statSync(path);
    // The file itself is an inode, of which the disk may have none left either.
    if (size <= SLICE_BYTES || freeInodes(stateDir) === 0) rmSync(path);
    else truncateSync(path, size - SLICE_BYTES);
    return true;
  } catch {
    return false;
  }
}

function isWhole(path: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats !== undefined && stats.size >= RESERVE_BYTES;
}

function hasPlenty(stateDir: string): boolean {
  const { bavail, bsize } = statfsSync(stateDir);
  return bavail * bsize >= MIN_FREE_BYTES && freeInodes(stateDir) >= MIN_FREE_INODES;
}

function freeInodes(stateDir: string): number {
  const { files, ffree } = statfsSync(stateDir);
  // File systems that make inodes as they need them say that they have none at all.
  return files === 0 ? Number.POSITIVE_INFINITY : ffree;
}

function reserveIn(stateDir: string): string {
  return join(stateDir, "reserve");
}
