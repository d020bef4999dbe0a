import { open } from "node:fs/promises";
import { constants } from "node:os";
import { getSystemErrorName, promisify } from "node:util";

/**
 * Gives the first `length` bytes of a file back to the file system: they read
 * as zeros from then on, and the rest stays where it is, whoever is writing.
 * @returns false where that cannot be done on this platform or file system
 * @throws Error where it could be, but has failed
 */
export type PunchHole = (path: string, length: number) => Promise<boolean>;

type Fallocate = (fd: number, mode: number, offset: number, length: number) => number;

/** fallocate(2) here: in one of libuv's threads, and in this one, where it leaves its errno. */
interface NativeFallocate {
  readonly inThread: (...args: Parameters<Fallocate>) => Promise<number>;
  readonly here: Fallocate;
  readonly errno: () => number;
}

const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const MODE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

const { EOPNOTSUPP, ENOSYS } = constants.errno;

let loading: Promise<NativeFallocate | undefined> | undefined;

/**
 * Linux only, by fallocate(2), which Node does not have. Not by fallocate(1):
 * it syncs the file before it ends, so that all that is kept goes to the disk at
 * each cut, and the next cut has to wait for it.
 */
export const punchHole: PunchHole = async (path, length) => {
  loading ??= loadFallocate();
  const fallocate = await loading;
  if (fallocate === undefined) return false;
  const file = await open(path, "r+");
  try {
    if ((await fallocate.inThread(file.fd, MODE, 0, length)) === 0) return true;
    // The other thread has its errno to itself.
    if (fallocate.here(file.fd, MODE, 0, length) === 0) return true;
    const errno = fallocate.errno();
    if (errno === EOPNOTSUPP || errno === ENOSYS) return false;
    throw new Error(`punch a hole of ${length} bytes into ${path}: ${getSystemErrorName(-errno)}`);
  } finally {
    await file.close();
  }
};

async function loadFallocate(): Promise<NativeFallocate | undefined> {
  if (process.platform !== "linux") return undefined;
  try {
    const { default: koffi } = await import("koffi");
    const libc = koffi.load(null);
    const signature = "(int fd, int mode, int64_t offset, int64_t length)";
    const here = libc.func(`int fallocate64${signature}`);
    const inThread = promisify(here.async) as NativeFallocate["inThread"];
    return { inThread, here: here as unknown as Fallocate, errno: () => koffi.errno() };
  } catch {
    // No build of koffi for this machine, or a C library without it.
    return undefined;
  }
}
