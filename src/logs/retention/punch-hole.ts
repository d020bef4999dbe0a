import { open } from "node:fs/promises";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { loadLibc } from "../../platform/libc.js";

/**
 * Gives the first `length` bytes of a file back to the file system: they read
 * as zeros from then on, and the rest stays where it is, whoever is writing.
 * @returns false where that cannot be done on this platform or file system
 * @throws Error where it could be, but has failed
 */
export type PunchHole = (path: string, length: number) => Promise<boolean>;

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const MODE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

const { EOPNOTSUPP, ENOSYS } = constants.errno;

/**
 * Linux only, by fallocate(2), which Node does not have. Not by fallocate(1):
 * it syncs the file before it ends, so that all that is kept goes to the disk at
 * each cut, and the next cut has to wait for it.
 */
export const punchHole: PunchHole = async (path, length) => {
  const { fallocate } = await loadLibc();
  if (fallocate === undefined) return false;
  const file = await open(path, "r+");
  try {
    const errno = await fallocate(file.fd, MODE, 0, length);
    if (errno === 0) return true;
    if (errno === EOPNOTSUPP || errno === ENOSYS) return false;
    throw new Error(`punch a hole of ${length} bytes into ${path}: ${getSystemErrorName(-errno)}`);
  } finally {
    await file.close();
  }
};
