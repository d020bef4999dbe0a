import { fstatSync, type Stats, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { fromSystemError } from "../../contract/errors.js";
import type { Stream } from "../../contract/job.js";
import { hasCode } from "../../platform/errno.js";
import type { FoundFile, LogPlace } from "./log-place.js";
import { loadReadCached, readCached } from "./read-cached.js";
import { READ_ONLY } from "../../platform/small-file.js";

/** How many bytes are read, and passed on, at a time at most, unless it is said otherwise. */
export const CHUNK_BYTES = 64 * 1024;

/**
 * The same for a reader that takes them quickly, where the memory is used again. Each piece
 * costs 40 microseconds beside its bytes, which is what it takes to read 256 KiB.
 */
export const TRANSIENT_CHUNK_BYTES = 256 * 1024;

const NOTHING = Buffer.alloc(0);

/**
 * Where a log begins. A log limit moves it on, and always before it removes the
 * bytes in front of it: whoever has read bytes and then finds that the log still
 * begins before them has read what was written.
 */
export interface LogStart {
  readonly firstOffset: number;
  /** Where the file is in its stream. Absent: at its beginning, and never truncated. */
  readonly place?: LogPlace;
}

export type LogStarts = Readonly<Record<Stream, LogStart>>;

/** The start of a log that has no limit. */
const WHOLE: LogStart = { firstOffset: 0 };

export const BOTH_WHOLE: LogStarts = { stdout: WHOLE, stderr: WHOLE };

export interface LogStat {
  readonly size: number;
  /** How much of the disk it takes. */
  readonly allocatedBytes: number;
  readonly modifiedMs: number;
}

/**
 * Returns the size of a log: where its stream ends. One that is not there ends where it
 * did when it was last seen, and was never modified.
 */
export function statLog(path: string, { place }: LogStart = WHOLE): LogStat {
  const look = place?.beginLook() ?? 0;
  const found = statIfLog(path);
  place?.endLook(look, found);
  const size = place?.end ?? found?.size ?? 0;
  if (!found) return { size, allocatedBytes: 0, modifiedMs: 0 };
  return { size, allocatedBytes: found.blocks * 512, modifiedMs: found.mtimeMs };
}

/** Reading a directory fails, which says enough; reading a FIFO or a device might never end. */
function isLog(found: Stats): boolean {
  return found.isFile() || found.isDirectory();
}

/** Returns undefined where there is no file, or something else in its place. */
function statIfLog(path: string): Stats | undefined {
  try {
    // In this thread: to ask another one takes ten times as long as the call itself.
    const found = statSync(path, { throwIfNoEntry: false });
    return found && isLog(found) ? found : undefined;
  } catch (error) {
    throw fromSystemError(error, `cannot read the size of ${path}`);
  }
}

/** Bytes of a log, and where they begin. */
export interface LogBytes {
  readonly offset: number;
  readonly data: Buffer;
}

/**
 * A log open for reading, by one handle for any number of readers; to be closed.
 * A log that is not there yet is empty, and is looked for again with each call. One
 * that was opened can be read to its end even after it was deleted.
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

  /** Opens the log if that has not been done. @returns whether it was there */
  async open(): Promise<boolean> {
    if (this.#handle === undefined && !this.#closed) {
      this.#opening ??= this.#openNow().finally(() => {
        this.#opening = undefined;
      });
      await this.#opening;
    }
    return this.#handle !== undefined;
  }

  /**
   * Returns where the stream ends; where its file is not there, where the file began.
   * @throws ProcmanError for anything but a missing file
   */
  async size(): Promise<number> {
    const { place } = this.#start;
    const look = place?.beginLook() ?? 0;
    await this.open();
    let found = await this.#stat();
    if (found && place?.isReplaced(found)) {
      this.#letGo();
      await this.open();
      found = await this.#stat();
    }
    place?.endLook(look, found);
    if (!found) return place?.base ?? 0;
    return place?.end ?? found.size;
  }

  async #stat(): Promise<FoundFile | undefined> {
    try {
      return await this.#handle?.stat();
    } catch (error) {
      throw fromSystemError(error, `cannot read the size of ${this.path}`);
    }
  }

  /**
   * Reads a range, into that memory or else into memory of its own. The result is
   * shorter where the log ends earlier.
   */
  async read(
    offset: number,
    length: number,
    memory: Buffer = Buffer.allocUnsafe(length),
  ): Promise<Buffer> {
    await this.open();
    const base = this.#start.place?.base ?? 0;
    // What was in front of the file is gone.
    if (this.#handle === undefined || offset < base) return NOTHING;
    const buffer = memory.subarray(0, length);
    try {
      const { bytesRead } = await this.#handle.read(buffer, 0, length, offset - base);
      return bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
    } catch (error) {
      throw fromSystemError(error, `cannot read ${length} bytes at ${offset} of ${this.path}`);
    }
  }

  /**
   * Reads a range without the bytes that a log limit has removed by the time they
   * were read: of those, zeros may have been read instead. Nothing is returned where
   * the log was found truncated meanwhile.
   */
  async readKept(
    offset: number,
    length: number,
    memory: Buffer = Buffer.allocUnsafe(length),
  ): Promise<LogBytes> {
    const cached = memory.subarray(0, length);
    const base = this.#start.place?.base ?? 0;
    const isCached =
      this.#handle !== undefined &&
      offset >= base &&
      readCached(this.#handle.fd, cached, offset - base);
    const data = isCached ? cached : await this.read(offset, length, memory);
    if (base !== (this.#start.place?.base ?? 0)) return { offset, data: NOTHING };
    // To be compared after the read, with nothing in between: see LogStart.
    return bytesFrom({ offset, data }, this.#start.firstOffset);
  }

  /** Closes the file once the reads under way are through. */
  close(): void {
    this.#closed = true;
    this.#letGo();
  }

  #letGo(): void {
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) closeQuietly(handle);
  }

  async #openNow(): Promise<void> {
    await loadReadCached();
    try {
      // Without waiting: somebody may have put a FIFO in the log's place.
      const handle = await open(this.path, READ_ONLY);
      if (this.#closed || !isLog(fstatSync(handle.fd))) closeQuietly(handle);
      else this.#handle = handle;
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw fromSystemError(error, `cannot open ${this.path}`);
    }
  }
}

/** Leaves out the bytes before `position`. */
export function bytesFrom(bytes: LogBytes, position: number): LogBytes {
  const { offset, data } = bytes;
  if (position <= offset) return bytes;
  const skipped = Math.min(position - offset, data.length);
  return { offset: offset + skipped, data: data.subarray(skipped) };
}

/** Leaves out the bytes from `position` on. */
export function bytesUpTo(bytes: LogBytes, position: number): LogBytes {
  const { offset, data } = bytes;
  if (position >= offset + data.length) return bytes;
  return { offset, data: data.subarray(0, Math.max(0, position - offset)) };
}

/** Ignores errors: nothing was written through the handle, so nothing can be lost. */
function closeQuietly(handle: FileHandle): void {
  handle.close().catch(() => {});
}
