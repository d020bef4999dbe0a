import { type FileHandle, open, stat } from "node:fs/promises";
import { join } from "node:path";
import { fromSystemError } from "../core/errors.js";
import type { Stream } from "../core/job.js";

/** The most bytes that are read, and yielded, at a time. */
export const CHUNK_BYTES = 64 * 1024;

const NOTHING = Buffer.alloc(0);

/** Path of one of a job's logs. `dir` is the job's directory. */
export function logPath(dir: string, stream: Stream): string {
  return join(dir, `${stream}.log`);
}

/** Size and time of a log; a log that is not there is empty and was never modified. */
export async function statLog(path: string): Promise<{ size: number; modifiedMs: number }> {
  try {
    const { size, mtimeMs } = await stat(path);
    return { size, modifiedMs: mtimeMs };
  } catch (error) {
    if (isMissing(error)) return { size: 0, modifiedMs: 0 };
    throw fromSystemError(error, `cannot read the size of ${path}`);
  }
}

/**
 * A log open for reading, by one handle for any number of readers. A log that
 * is not there yet is empty, and is looked for again with each call; one that
 * was opened can be read to its end even after it was deleted.
 */
export class LogFile {
  readonly path: string;
  #handle: FileHandle | undefined;
  #opening: Promise<void> | undefined;
  #closed = false;

  constructor(path: string) {
    this.path = path;
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
   * The bytes of a range, in memory of their own; fewer where the log ends
   * earlier.
   */
  async read(offset: number, length: number): Promise<Buffer> {
    await this.open();
    if (this.#handle === undefined) return NOTHING;
    const buffer = Buffer.allocUnsafe(length);
    try {
      const { bytesRead } = await this.#handle.read(buffer, 0, length, offset);
      return bytesRead === length ? buffer : buffer.subarray(0, bytesRead);
    } catch (error) {
      throw fromSystemError(error, `cannot read ${length} bytes at ${offset} of ${this.path}`);
    }
  }

  /** Lets go of the file, once the reads under way are through. */
  close(): void {
    this.#closed = true;
    const handle = this.#handle;
    this.#handle = undefined;
    if (handle !== undefined) closeQuietly(handle);
  }

  async #openNow(): Promise<void> {
    try {
      const handle = await open(this.path, "r");
      if (this.#closed) closeQuietly(handle);
      else this.#handle = handle;
    } catch (error) {
      if (!isMissing(error)) throw fromSystemError(error, `cannot open ${this.path}`);
    }
  }
}

/** Nothing was written through the handle, so nothing can be lost. */
function closeQuietly(handle: FileHandle): void {
  handle.close().catch(() => {});
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
