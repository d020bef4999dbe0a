import { statSync } from "node:fs";
import { crashPoint } from "../../platform/crash-point.js";
import type { JobDir } from "../../core/job-dir.js";
import { STREAMS, type Stream } from "../../contract/job.js";
import type { FirstOffsetStore } from "../../core/ports.js";
import { LogFile, type LogStart, type LogStarts, statLog } from "../reading/log-file.js";
import type { FoundFile, LogPlace, LogPlaces } from "../reading/log-place.js";
import { tailStart } from "../reading/tail-start.js";

export interface LogTrimmerOptions {
  readonly dir: JobDir;
  readonly limitBytes: number;
  readonly places: LogPlaces;
  readonly firstOffsets: FirstOffsetStore;
  /** Gives the disk space of a file's first `length` bytes back, where that can be done. */
  readonly punch: (path: string, length: number) => Promise<void>;
}

/** So much more than its bytes a log with a hole may take on the disk: blocks and extents. */
const MAX_ROUNDING_BYTES = 64 * 1024;

class TrimmedLog implements LogStart {
  readonly path: string;
  readonly place: LogPlace;
  #trimmedTo = 0;
  /** As of the last `measure`. */
  size = 0;
  /** Up to here its disk space was given back. */
  punchedTo = 0;

  constructor(path: string, place: LogPlace) {
    this.path = path;
    this.place = place;
  }

  get firstOffset(): number {
    return Math.max(this.#trimmedTo, this.place.base);
  }

  set firstOffset(offset: number) {
    this.#trimmedTo = offset;
  }
}

/**
 * Removes the oldest part of one job's logs, down to their limit, in an order in
 * which a crash at any moment does no harm: the new first offset is on disk first,
 * then the readers in this process know it, then the hole is made.
 */
export class LogTrimmer {
  readonly #options: LogTrimmerOptions;
  readonly #logs: Readonly<Record<Stream, TrimmedLog>>;
  #loaded: Promise<void> | undefined;

  constructor(options: LogTrimmerOptions) {
    this.#options = options;
    this.#logs = {
      stdout: new TrimmedLog(options.dir.log("stdout"), options.places.stdout),
      stderr: new TrimmedLog(options.dir.log("stderr"), options.places.stderr),
    };
  }

  /**
   * Returns where the logs begin, and keeps the result up to date.
   * @throws ProcmanError when that cannot be read
   */
  async starts(): Promise<LogStarts> {
    this.#loaded ??= this.#load().catch((error: unknown) => {
      this.#loaded = undefined;
      throw error;
    });
    await this.#loaded;
    return this.#logs;
  }

  /**
   * Reads the logs' sizes, which costs two system calls.
   * @returns whether one of the logs has grown since the last time
   */
  measure(): boolean {
    let grown = false;
    for (const log of Object.values(this.#logs)) {
      const look = log.place.beginLook();
      const found = statNow(log.path);
      if (found === undefined) continue;
      log.place.endLook(look, found);
      const size = log.place.end;
      grown ||= size > log.size;
      log.size = size;
      // Of a log that was truncated, nothing has been given up yet.
      log.punchedTo = Math.max(log.punchedTo, log.place.base);
    }
    return grown;
  }

  /** How many bytes the longer log had beyond the limit at the last `measure`. May be negative. */
  get excessBytes(): number {
    const kept = Object.values(this.#logs).map(({ size, firstOffset }) => size - firstOffset);
    return Math.max(...kept) - this.#options.limitBytes;
  }

  /** Whether a hole is still to be made, after a crash or an error. */
  get owesHole(): boolean {
    return Object.values(this.#logs).some(owesHole);
  }

  /**
   * Removes what is beyond the limit. Calls must not overlap.
   * @throws Error; it can be tried again then
   */
  async trim(): Promise<void> {
    await this.starts();
    this.measure();
    await this.#moveStarts();
    for (const log of Object.values(this.#logs)) {
      if (!owesHole(log)) continue;
      const { firstOffset } = log;
      await this.#options.punch(log.path, firstOffset - log.place.base);
      log.punchedTo = firstOffset;
    }
    crashPoint("trim:punched");
  }

  async #load(): Promise<void> {
    const { dir, firstOffsets, limitBytes } = this.#options;
    const known = await firstOffsets.read(dir);
    for (const stream of STREAMS) {
      const log = this.#logs[stream];
      const { size, allocatedBytes } = statLog(log.path, log);
      log.size = size;
      // The last `limitBytes` were never removed. After a power cut the log may be
      // shorter than it was when its first offset was recorded.
      const first = known?.[stream] ?? Math.max(0, size - limitBytes);
      log.firstOffset = Math.min(first, size);
      const hasHole = allocatedBytes <= size - log.firstOffset + MAX_ROUNDING_BYTES;
      log.punchedTo = hasHole ? log.firstOffset : log.place.base;
    }
  }

  async #moveStarts(): Promise<void> {
    const { dir, firstOffsets } = this.#options;
    const { stdout, stderr } = this.#logs;
    const next = { stdout: await this.#nextStart(stdout), stderr: await this.#nextStart(stderr) };
    if (next.stdout === stdout.firstOffset && next.stderr === stderr.firstOffset) return;
    await firstOffsets.write(dir, next);
    crashPoint("trim:recorded");
    for (const stream of STREAMS) this.#logs[stream].firstOffset = next[stream];
  }

  /** Returns where the line begins that is at the limit, or a byte near it in a very long line. */
  async #nextStart(log: TrimmedLog): Promise<number> {
    const { firstOffset } = log;
    const target = log.size - this.#options.limitBytes;
    if (target <= firstOffset) return firstOffset;
    const file = new LogFile(log.path, log);
    try {
      return await tailStart(file, { size: target + 1, lines: 1, floor: firstOffset });
    } finally {
      file.close();
    }
  }
}

function owesHole({ punchedTo, firstOffset }: TrimmedLog): boolean {
  return punchedTo < firstOffset;
}

/**
 * Returns undefined for a log that is gone or cannot be reached now. Synchronous,
 * since a promise would cost ten times as much.
 */
function statNow(path: string): FoundFile | undefined {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    return found?.isFile() ? found : undefined;
  } catch {
    return undefined;
  }
}
