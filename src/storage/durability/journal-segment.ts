import { closeSync, constants, fdatasync, openSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { SharedSync, syncPath } from "../../platform/durable-file.js";
import { READ_WRITE } from "../../platform/small-file.js";
import { formatCheckedLine, parseCheckedLine, readLines } from "../checked-line.js";

/** What a job's files say, or that they are gone. The last entry of each kind counts. */
export type JournalEntry =
  /** The content of its record's file. */
  | { readonly kind: "record"; readonly id: string; readonly text: string }
  /** The content of the file that tells who its command is. */
  | { readonly kind: "process"; readonly id: string; readonly text: string }
  /** That it was removed, and the inode of its directory, which another one has not. */
  | { readonly kind: "removed"; readonly id: string; readonly ino: number };

/** The entries of one segment, as they were left. */
export interface LeftEntries {
  readonly generation: number;
  /** The boot of the machine in which they were written. */
  readonly bootId: string;
  readonly entries: readonly JournalEntry[];
}

/** Enough for a second at 500 jobs a second. */
const SEGMENT_BYTES = 2 * 1024 * 1024;

const FORMAT = "procman-journal-1";
/** That of `blocks` in stat(2), whatever the file system's own is. */
const STAT_BLOCK_BYTES = 512;

const syncData = promisify(fdatasync);

/**
 * A file of a fixed size that entries are appended to, as lines of text. Its blocks were
 * written before, so that a sync has no change of the file system's own to wait for, which
 * takes ten times as long. The first line names a generation, and so does each entry: those
 * that an earlier use of the file has left behind do not count.
 */
export class JournalSegment {
  readonly path: string;
  readonly #fd: number;
  readonly #sync: SharedSync;
  #generation = 0;
  #endBytes = 0;
  #hasEntries = false;
  #failure: unknown;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#sync = new SharedSync(path, () => syncData(fd));
  }

  /**
   * Opens a segment, and makes its file where that is not whole.
   * @param generation more than that of any segment before
   */
  static async open(path: string, generation: number, bootId: string): Promise<JournalSegment> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const { size, blocks } = await file.stat();
      if (size < SEGMENT_BYTES || blocks * STAT_BLOCK_BYTES < SEGMENT_BYTES) {
        // Zeros on purpose: space that was only allocated would have to be marked as written.
        const content = Buffer.alloc(SEGMENT_BYTES);
        // Also after a power cut, it is known in which boot it was made.
        headerOf(generation, bootId).copy(content);
        await file.writeFile(content);
        await file.sync();
      }
    } finally {
      await file.close();
    }
    await syncPath(dirname(path));
    const segment = new JournalSegment(path, openSync(path, READ_WRITE));
    try {
      segment.reset(generation, bootId);
      return segment;
    } catch (error) {
      closeSync(segment.#fd);
      throw error;
    }
  }

  /** Of the entries that are written now. */
  get generation(): number {
    return this.#generation;
  }

  get isHalfFull(): boolean {
    return this.#endBytes > SEGMENT_BYTES / 2;
  }

  /** Whether there are entries that count. */
  get hasEntries(): boolean {
    return this.#hasEntries;
  }

  /** Gives all entries up. Not synced: until the next sync they may be there again. */
  reset(generation: number, bootId: string): void {
    this.#generation = generation;
    this.#hasEntries = false;
    const header = headerOf(generation, bootId);
    this.#writeAt(0, header);
    this.#endBytes = header.length - 1;
  }

  /** Writes an entry, which the next sync makes durable. @returns whether it has room */
  write(entry: JournalEntry): boolean {
    const line = this.#lineOf(entry);
    if (this.#endBytes + line.length > SEGMENT_BYTES) return false;
    this.#writeAt(this.#endBytes, line);
    // The empty line after it is overwritten by the next one.
    this.#endBytes += line.length - 1;
    this.#hasEntries = true;
    return true;
  }

  hasRoomFor(entry: JournalEntry): boolean {
    return this.#endBytes + this.#lineOf(entry).length <= SEGMENT_BYTES;
  }

  /** Whether an entry fits into a segment without any other. */
  static takes(entry: JournalEntry): boolean {
    return Buffer.byteLength(formatEntry(entry, Number.MAX_SAFE_INTEGER)) < SEGMENT_BYTES / 2;
  }

  /**
   * Resolves when what was written before this call is on disk. Once it has failed, it always
   * does: a later sync would leave out what that one has lost.
   */
  async sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      await this.#sync.sync();
    } catch (error) {
      this.#failure ??= error;
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #lineOf(entry: JournalEntry): Buffer {
    return Buffer.from(`${formatEntry(entry, this.#generation)}\n\n`);
  }

  /** @throws Error also where the file takes a part only, as on a full disk */
  #writeAt(offset: number, bytes: Buffer): void {
    const written = writeSync(this.#fd, bytes, 0, bytes.length, offset);
    if (written < bytes.length) throw new Error(`${this.path} takes ${written} bytes only`);
  }

  /** Closes the file once no sync is under way. */
  async close(): Promise<void> {
    await this.#sync.sync().catch(() => {});
    closeSync(this.#fd);
  }
}

const HEADER = new RegExp(`^${FORMAT} (\\d+) (\\S+)$`);
const NOTHING: LeftEntries = { generation: 0, bootId: "", entries: [] };

/** Reads the entries of a segment. A file without a whole header has none. */
export function readSegment(path: string): LeftEntries {
  let left: LeftEntries | undefined;
  const entries: JournalEntry[] = [];
  for (const line of linesOf(path)) {
    if (!left) {
      const [, generation, bootId = ""] = HEADER.exec(line) ?? [];
      if (generation === undefined) break;
      left = { generation: Number(generation), bootId, entries };
      continue;
    }
    const entry = parseEntry(line, left.generation);
    // What follows was not synced, or is of an earlier use; an empty line ends all.
    if (!entry) break;
    entries.push(entry);
  }
  return left ?? NOTHING;
}

/** The line after it is none, whatever was there before. */
function headerOf(generation: number, bootId: string): Buffer {
  return Buffer.from(`${FORMAT} ${generation} ${bootId}\n\n`);
}

function* linesOf(path: string): Generator<string, void, undefined> {
  for (const lines of readLines(path)) yield* lines;
}

function formatEntry(entry: JournalEntry, generation: number): string {
  const { kind, id } = entry;
  return formatCheckedLine([generation, kind, id, kind === "removed" ? entry.ino : entry.text]);
}

/** Returns undefined for what is not an entry of that generation. */
function parseEntry(line: string, generation: number): JournalEntry | undefined {
  const values = parseCheckedLine(line);
  if (values?.[0] !== generation) return undefined;
  const [, kind, id, content] = values as [number, JournalEntry["kind"], string, unknown];
  return {
    kind,
    id,
    ...(kind === "removed" ? { ino: content } : { text: content }),
  } as JournalEntry;
}
