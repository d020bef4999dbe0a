import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from "node:fs";

/** Opens without waiting: opening a FIFO would wait for its other end, and hold up everything. */
export const READ_ONLY = constants.O_RDONLY | constants.O_NONBLOCK;
export const REPLACE =
  constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NONBLOCK;
export const READ_WRITE = constants.O_RDWR | constants.O_NONBLOCK;

const DEFAULT_MAX_BYTES = 1024 * 1024;

export interface SmallFile {
  readonly text: string;
  readonly stats: Stats;
}

/**
 * Reads a file of which somebody else may have made anything: a job can do what it likes
 * with those in its directory. No directory, FIFO or device, and no size, holds it up.
 * @throws Error with the code of the system call that failed, EFTYPE for what is no
 * regular file, or EFBIG
 */
export function readSmallFile(path: string, maxBytes = DEFAULT_MAX_BYTES): SmallFile {
  const fd = openSync(path, READ_ONLY);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw withCode("EFTYPE", `${path} is no regular file`);
    return { text: readBytes(fd, stats.size, maxBytes, path).toString("utf8"), stats };
  } finally {
    closeSync(fd);
  }
}

/** Reads the bytes of such a file. @throws as readSmallFile */
export function readSmallBytes(path: string, maxBytes = DEFAULT_MAX_BYTES): Buffer {
  const fd = openSync(path, READ_ONLY);
  try {
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw withCode("EFTYPE", `${path} is no regular file`);
    return readBytes(fd, stats.size, maxBytes, path);
  } finally {
    closeSync(fd);
  }
}

function readBytes(fd: number, size: number, maxBytes: number, path: string): Buffer {
  if (size > maxBytes) throw withCode("EFBIG", `${path} has more than ${maxBytes} bytes`);
  // One byte more, to see whether it has grown meanwhile.
  let buffer = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const read = readSync(fd, buffer, length, buffer.length - length, null);
    length += read;
    // Of a regular file less is read than was asked for at its end alone.
    if (length < buffer.length) return buffer.subarray(0, length);
    if (length > maxBytes) throw withCode("EFBIG", `${path} has more than ${maxBytes} bytes`);
    buffer = Buffer.concat([buffer], buffer.length * 2);
  }
}

function withCode(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
