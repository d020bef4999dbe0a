import { open } from "node:fs/promises";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { loadLibc } from "../../platform/libc.js";
import { READ_WRITE } from "../../platform/small-file.js";

/**
 * Gives the disk space of a file's first `length` bytes back to the file system.
 * They read as zeros from then on, and the rest stays where it is, whoever writes.
 * @returns false where this platform or file system cannot do that
 * @throws Error where it can, but has failed
 */
export type PunchHole = (path: string, length: number) => Promise<boolean>;

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const MODE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

const { EOPNOTSUPP, ENOSYS } = constants.errno;

/**
 * Punches holes by fallocate(2), on Linux. Not by the command fallocate(1), which
 * syncs the file before it ends: all that is kept would go to the disk at each trim,
 * and the next trim would have to wait for it.
 */
export const punchHole: PunchHole = async (path, length) => {
  const { fallocate } = await loadLibc();
  if (fallocate === undefined) return false;
  const file = await open(path, READ_WRITE);
  try {
    const errno = await fallocate(file.fd, MODE, 0, length);
    if (errno === 0) return true;
    if (errno === EOPNOTSUPP || errno === ENOSYS) return false;
    throw new Error(`punch a hole of ${length} bytes into ${path}: ${getSystemErrorName(-errno)}`);
  } finally {
    await file.close();
  }
};
