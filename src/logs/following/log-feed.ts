import { dirname } from "node:path";
import { bytesFrom, CHUNK_BYTES, type LogBytes, LogFile } from "../reading/log-file.js";
import type { LogStart } from "../reading/log-start.js";
import { SeenMarks } from "./seen-marks.js";
import type { Ticker } from "../../platform/ticker.js";
import { type PathWatch, WATCHED_POLL_RATIO, type WatchPath } from "../../platform/watch-path.js";

/** Enough for followers that take their chunks a little later than the fastest. */
const SHARED_BLOCKS = 2;

/** All is history. */
const NOTHING_SEEN = new SeenMarks(Number.POSITIVE_INFINITY);

/** What a feed knows of one follower. */
export interface FeedReader {
  /** The next byte it will read. */
  readonly position: number;
  /** Set while it waits for the log to change. */
  readonly wake: (() => void) | undefined;
}

export interface LogFeedOptions {
  readonly path: string;
  readonly start: LogStart;
  readonly watch: WatchPath;
  readonly trust: WatchTrust;
  readonly ticker: Ticker;
  /** The last follower has left, and everything is released. */
  readonly onClosed: () => void;
}

/**
 * Whether the kernel tells of changes, which depends on the file system and thus
 * is the same for all logs: it has told of one, and has not missed one since.
 */
export interface WatchTrust {
  earned: boolean;
}

interface Block {
  readonly offset: number;
  readonly end: number;
  readonly bytes: Promise<LogBytes>;
}

/**
 * All that the followers of one log share: one handle, one watch, one known
 * size, and the blocks last read at the head, so that each byte is read once
 * however many follow.
 */
export class LogFeed {
  readonly #options: LogFeedOptions;
  readonly #file: LogFile;
  readonly #readers = new Set<FeedReader>();
  #blocks: Block[] = [];
  #size = 0;
  /** Since the first look. */
  #seen: SeenMarks | undefined;
  /** The log may have changed since its size was read. */
  #stale = true;
  #looking: Promise<void> | undefined;
  #nextLook: Promise<void> | undefined;
  /** Stands in for the log's watch while there is no log. */
  #dirWatch: PathWatch | undefined;
  #logWatch: PathWatch | undefined;
  /** Changes the kernel told of. */
  #signs = 0;
  #ticks = 0;
  #sizeAtTick = 0;
  #signsAtTick = 0;
  #closed = false;
  readonly #stopTicks: () => void;

  constructor(options: LogFeedOptions) {
    this.#options = options;
    this.#file = new LogFile(options.path, options.start);
    this.#stopTicks = options.ticker.add(() => this.#tick());
  }

  get path(): string {
    return this.#options.path;
  }

  /** The log's size when it was last looked at. */
  get size(): number {
    return this.#size;
  }

  /** When the bytes below `size` were seen. */
  get seen(): SeenMarks {
    return this.#seen ?? NOTHING_SEEN;
  }

  /** Whether `size` may be out of date. */
  get stale(): boolean {
    return this.#stale;
  }

  join(reader: FeedReader): void {
    this.#readers.add(reader);
  }

  leave(reader: FeedReader): void {
    if (this.#readers.delete(reader) && this.#readers.size === 0) this.#close();
  }

  /**
   * Brings `size` up to date, by a look that begins after the call: one that is
   * under way may have missed what the caller has heard of.
   */
  look(): Promise<void> {
    if (this.#looking === undefined) {
      this.#looking = this.#lookNow().finally(() => {
        this.#looking = undefined;
      });
      return this.#looking;
    }
    const again = (): Promise<void> => {
      this.#nextLook = undefined;
      return this.look();
    };
    this.#nextLook ??= this.#looking.then(again, again);
    return this.#nextLook;
  }

  /**
   * At most CHUNK_BYTES from `position`, which must be below `size`, or from
   * where the log begins by then. Other followers may hold the same memory: it
   * is not to be written to.
   * @param ownMemory of a reader that wants such bytes there as no other may have
   */
  async read(position: number, ownMemory?: () => Buffer): Promise<LogBytes> {
    const shared = this.#blocks.find((b) => b.offset <= position && position < b.end);
    if (shared !== undefined) return bytesFrom(await shared.bytes, position);
    const end = Math.min(position + CHUNK_BYTES, this.#size);
    const length = end - position;
    if (!this.#isForOthers(position)) {
      return this.#file.readKept(position, length, ownMemory?.());
    }
    const bytes = this.#file.readKept(position, length);
    this.#share({ offset: position, end, bytes });
    return bytes;
  }

  /**
   * Those behind the head read for themselves, and do not push out what the others
   * share; so does one alone, until it is there.
   */
  #isForOthers(position: number): boolean {
    const newest = this.#blocks.at(-1);
    if (newest !== undefined && newest.end > position) return false;
    return this.#readers.size > 1 || this.#size - position <= CHUNK_BYTES;
  }

  #share(block: Block): void {
    this.#blocks = [...this.#blocks, block].slice(-SHARED_BLOCKS);
    block.bytes.catch(() => {
      this.#blocks = this.#blocks.filter((b) => b !== block);
    });
  }

  async #lookNow(): Promise<void> {
    this.#stale = false;
    try {
      await this.#openAndWatch();
      const size = await this.#file.size();
      this.#size = size;
      this.#seen ??= new SeenMarks(size);
      this.#seen.add(size);
    } catch (error) {
      // Those who wait look for themselves, and get the error.
      this.#stale = true;
      for (const reader of this.#readers) reader.wake?.();
      throw error;
    }
    for (const reader of this.#readers) {
      if (reader.position !== this.#size) reader.wake?.();
    }
  }

  /** Watches what is there before its size is read, so that no change is missed. */
  async #openAndWatch(): Promise<void> {
    if (this.#logWatch !== undefined) return;
    if (!(await this.#file.open())) {
      this.#dirWatch ??= this.#watchDir();
      if (!(await this.#file.open())) return;
    }
    if (this.#closed) return;
    this.#logWatch = this.#watchLog();
    this.#dirWatch?.close();
    this.#dirWatch = undefined;
  }

  #watchDir(): PathWatch | undefined {
    if (this.#closed) return undefined;
    const onLost = (): void => {
      this.#dirWatch = undefined;
    };
    return this.#options.watch(dirname(this.path), () => this.#changed(), onLost);
  }

  #watchLog(): PathWatch | undefined {
    const onChange = (): void => {
      this.#signs += 1;
      this.#options.trust.earned = true;
      this.#changed();
    };
    const onLost = (): void => {
      this.#logWatch = undefined;
    };
    return this.#options.watch(this.path, onChange, onLost);
  }

  /** Looks where somebody waits for it; else the next reader to need it does. */
  #changed(): void {
    this.#stale = true;
    if (this.#nextLook !== undefined || !this.#isAwaited()) return;
    // A look that fails wakes those who wait, so its error is not lost here.
    this.look().catch(() => {});
  }

  #isAwaited(): boolean {
    for (const reader of this.#readers) if (reader.wake !== undefined) return true;
    return false;
  }

  #tick(): void {
    const grown = this.#size !== this.#sizeAtTick;
    // A growth that only polling found.
    if (grown && this.#signs === this.#signsAtTick) this.#options.trust.earned = false;
    if (!grown) this.#blocks = [];
    this.#sizeAtTick = this.#size;
    this.#signsAtTick = this.#signs;
    this.#ticks += 1;
    const told = this.#logWatch !== undefined && this.#options.trust.earned;
    if (!told || this.#ticks % WATCHED_POLL_RATIO === 0) this.#changed();
  }

  #close(): void {
    this.#closed = true;
    this.#stopTicks();
    this.#dirWatch?.close();
    this.#logWatch?.close();
    this.#file.close();
    this.#blocks = [];
    this.#options.onClosed();
  }
}
