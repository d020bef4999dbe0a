import { type FileHandle, open, stat } from "node:fs/promises";
import { fromSystemError } from "../../contract/errors.js";
import { hasCode } from "../../platform/errno.js";
import { type LogStart, WHOLE } from "./log-start.js";
import { loadReadCached, readCached } from "./read-cached.js";

/** The most bytes that are read, and yielded, at a time. */
export const CHUNK_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);

export interface LogStat {
  readonly size: number;
  /** What it takes on the disk. */
  readonly allocatedBytes: number;
  readonly modifiedMs: number;
}

/** A log that is not there is empty and was never modified. */
export async function statLog(path: string): Promise<LogStat> {
  try {
    const { size, blocks, mtimeMs } = await stat(path);
    return { size, allocatedBytes: blocks * 512, modifiedMs: mtimeMs };
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { size: 0, allocatedBytes: 0, modifiedMs: 0 };
    throw fromSystemError(error, `cannot read the size of ${path}`);
  }
}

/** Bytes of a log, and where they begin. */
export interface LogBytes {
  readonly offset: number;
  readonly data: Buffer;
}

/**
 * A log open for reading, by one handle for any number of readers. A log that
 * is not there yet is empty, and is looked for again with each call; one that
 * was opened can be read to its end even after it was deleted.
 */
export class LogFile {
  readonly path: string;
  readonly #start: LogStart;
  #handle: FileHandle | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(path: string, start = WHOLE) {
    this.path = path;
    this.#start = start;
  }

  /** Whether the log was there. */
  async open(): Promise<boolean> {
    if (this.#handle === undefined && !this.#closed) {
      this.#opening ??= this.#openNow().finally(() => {
        this.#opening = undefined;
      });
      await this.#opening;
    }
    return this.#handle !== undefined;
  }

  /** @throws ProcmanError for anything but a missing file */
  async size(): Promise<number> {
    await this.open();
    if (this.#handle === undefined) return 0;
    try {
      return (await this.#handle.stat()).size;
    } catch (error) {
      throw fromSystemError(error, `cannot read the size of ${this.path}`);
    }
  }

  /**
   * The bytes of a range, in that memory or else in memory of their own; fewer
   * where the log ends earlier.
   */
  async read(
    offset: number,
    length: number,
    memory: Buffer = Buffer.allocUnsafe(length),
  ): Promise<Buffer> {
    await this.open();
    if (this.#handle === undefined) return NOTHING;
    const buffer = memory.subarray(0, length);
    try {
      const { bytesRead } = await this.#handle.read(buffer, 0, length, offset);
      return bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
    } catch (error) {
      throw fromSystemError(error, `cannot read ${length} bytes at ${offset} of ${this.path}`);
    }
  }

  /**
   * The bytes of a range that were still the log's when they had been read: a
   * hole that was made meanwhile gives zeros, and those are left out in front.
   */
  async readKept(
    offset: number,
    length: number,
    memory: Buffer = Buffer.allocUnsafe(length),
  ): Promise<LogBytes> {
    const cached = memory.subarray(0, length);
    const isCached = this.#handle !== undefined && readCached(this.#handle.fd, cached, offset);
    const data = isCached ? cached : await this.read(offset, length, memory);
    // Looked at after the read, and nothing comes between: see LogStart.
    return bytesFrom({ offset, data }, this.#start.firstOffset);
  }

  /** Lets go of the file, once the reads under way are through. */
  close(): void {
    this.#closed = true;
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) closeQuietly(handle);
  }

  async #openNow(): Promise<void> {
    await loadReadCached();
    try {
      const handle = await open(this.path, "r");
      if (this.#closed) closeQuietly(handle);
      else this.#handle = handle;
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw fromSystemError(error, `cannot open ${this.path}`);
    }
  }
}

/** Without those before `position`. */
export function bytesFrom(bytes: LogBytes, position: number): LogBytes {
  const { offset, data } = bytes;
  if (position <= offset) return bytes;
  const skipped = Math.min(position - offset, data.length);
  return { offset: offset + skipped, data: data.subarray(skipped) };
}

/** Without those from `position` on. */
export function bytesUpTo(bytes: LogBytes, position: number): LogBytes {
  const { offset, data } = bytes;
  if (position >= offset + data.length) return bytes;
  return { offset, data: data.subarray(0, Math.max(0, position - offset)) };
}

/** Nothing was written through the handle, so nothing can be lost. */
function closeQuietly(handle: FileHandle): void {
  handle.close().catch(() => {});
}
