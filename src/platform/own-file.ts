import { closeSync, constants, fchmodSync, fstatSync, openSync, readFileSync } from "node:fs";
import { hasCode } from "./errno.js";

const { O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;

/**
 * Reads a file that is to be believed: it must be this user's own and no link, and is
 * made private where it is not.
 * @throws Error that names it
 */
export function readOwnFile(path: string): string {
  const fd = openOwnFile(path, O_RDONLY);
  try {
    return readFileSync(fd, "utf8");
  } finally {
    closeSync(fd);
  }
}

/** Opens a file to append to, on the same terms; makes it where it is missing. */
export function appendToOwnFile(path: string): number {
  return openOwnFile(path, O_WRONLY | O_APPEND | O_CREAT);
}

function openOwnFile(path: string, flags: number): number {
  // Without waiting, since opening a FIFO waits for its other end.
  const fd = openLinkless(path, flags | O_NOFOLLOW | O_NONBLOCK);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Error(`${path} is no regular file`);
    const uid = process.geteuid?.();
    if (uid !== undefined && stats.uid !== uid) {
      throw new Error(`${path} belongs to another user (uid ${stats.uid}; this is uid ${uid})`);
    }
    if ((stats.mode & 0o077) !== 0) fchmodSync(fd, 0o600);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function openLinkless(path: string, flags: number): number {
  try {
    return openSync(path, flags, 0o600);
  } catch (error) {
    if (!hasCode(error, "ELOOP")) throw error;
    throw new Error(`${path} is a link, which could lead to another user's file`, { cause: error });
  }
}
