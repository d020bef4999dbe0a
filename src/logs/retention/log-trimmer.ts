import { statSync } from "node:fs";
import { crashPoint } from "../../platform/crash-point.js";
import type { JobDir } from "../../core/job-dir.js";
import { STREAMS, type Stream } from "../../contract/job.js";
import type { FirstOffsetStore } from "../../core/ports.js";
import { LogFile, statLog } from "../reading/log-file.js";
import type { LogStart, LogStarts } from "../reading/log-start.js";
import { tailStart } from "../reading/tail-start.js";

export interface LogTrimmerOptions {
  readonly dir: JobDir;
  readonly limitBytes: number;
  readonly firstOffsets: FirstOffsetStore;
  /** Gives the first `length` bytes of a file back to the file system, where that can be done. */
  readonly punch: (path: string, length: number) => Promise<void>;
}

/** What is left of a log below its first offset, apart from what a block rounds up to. */
const ROUNDING_BYTES = 64 * 1024;

class TrimmedLog implements LogStart {
  readonly path: string;
  firstOffset = 0;
  /** When it was last looked at. */
  size = 0;
  /** How much of its beginning was given back. */
  punchedTo = 0;

  constructor(path: string) {
    this.path = path;
  }
}

/**
 * Cuts the logs of one job back to their limit, each step in an order that a
 * crash at any moment does no harm to: where a log will begin is on disk first,
 * then readers of this process know, then the hole is made.
 */
export class LogTrimmer {
  readonly #options: LogTrimmerOptions;
  readonly #logs: Readonly<Record<Stream, TrimmedLog>>;
  #loaded: Promise<void> | undefined;

  constructor(options: LogTrimmerOptions) {
    this.#options = options;
    this.#logs = {
      stdout: new TrimmedLog(options.dir.log("stdout")),
      stderr: new TrimmedLog(options.dir.log("stderr")),
    };
  }

  /** Where the logs begin, now and later. @throws ProcmanError when that cannot be read */
  async starts(): Promise<LogStarts> {
    this.#loaded ??= this.#load().catch((error: unknown) => {
      this.#loaded = undefined;
      throw error;
    });
    await this.#loaded;
    return this.#logs;
  }

  /**
   * Reads the logs' sizes, at the price of two system calls, so that it can be
   * done often. @returns whether one has grown since the last look
   */
  look(): boolean {
    let grown = false;
    for (const log of Object.values(this.#logs)) {
      const size = sizeNow(log.path);
      if (size === undefined) continue;
      grown ||= size > log.size;
      log.size = size;
      // Somebody has cut it short: nothing of what was kept is left.
      log.firstOffset = Math.min(log.firstOffset, size);
    }
    return grown;
  }

  /** By how many bytes the longer log was beyond the limit at the last look; may be negative. */
  get excessBytes(): number {
    const kept = Object.values(this.#logs).map(({ size, firstOffset }) => size - firstOffset);
    return Math.max(...kept) - this.#options.limitBytes;
  }

  /** Whether there is a hole to be made that a crash or an error has prevented. */
  get owesHole(): boolean {
    return Object.values(this.#logs).some(owesHole);
  }

  /** Calls must not overlap. @throws Error; then it can be tried again */
  async trim(): Promise<void> {
    await this.starts();
    this.look();
    await this.#moveStarts();
    for (const log of Object.values(this.#logs)) {
      if (!owesHole(log)) continue;
      const { firstOffset } = log;
      await this.#options.punch(log.path, firstOffset);
      log.punchedTo = firstOffset;
    }
    crashPoint("trim:punched");
  }

  async #load(): Promise<void> {
    const { dir, firstOffsets, limitBytes } = this.#options;
    const known = await firstOffsets.read(dir);
    for (const stream of STREAMS) {
      const log = this.#logs[stream];
      const { size, allocatedBytes } = await statLog(log.path);
      log.size = size;
      // A cut never takes any of the last `limitBytes`. After a loss of power the
      // log may be shorter than when it was cut.
      const first = known?.[stream] ?? Math.max(0, size - limitBytes);
      log.firstOffset = Math.min(first, size);
      const hasHole = allocatedBytes <= size - log.firstOffset + ROUNDING_BYTES;
      log.punchedTo = hasHole ? log.firstOffset : 0;
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

  /** The beginning of the line that the byte `limitBytes` from the end is in, where that is near. */
  async #nextStart(log: TrimmedLog): Promise<number> {
    const { firstOffset } = log;
    const target = log.size - this.#options.limitBytes;
    if (target <= firstOffset) return firstOffset;
    const file = new LogFile(log.path);
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

/** Undefined for what is gone or out of reach now. Synchronous: a tenth of what it costs otherwise. */
function sizeNow(path: string): number | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false })?.size;
  } catch {
    return undefined;
  }
}
