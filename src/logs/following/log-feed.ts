import { dirname } from "node:path";
import {
  bytesFrom,
  CHUNK_BYTES,
  type LogBytes,
  LogFile,
  type LogStart,
} from "../reading/log-file.js";
import { KnownTail } from "./known-tail.js";
import { SeenMarks } from "./seen-marks.js";
import type { Ticker } from "../../platform/ticker.js";
import { type PathWatch, WATCHED_POLL_RATIO, type WatchPath } from "../../platform/watch-path.js";

/** How many blocks are kept, for followers that are a little behind the fastest one. */
const MAX_SHARED_BLOCKS = 2;

/** Before the first refresh, all bytes are history. */
const NOTHING_SEEN = new SeenMarks(Number.POSITIVE_INFINITY);

/** One follower, as far as the feed knows it. */
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
  /** Called when the last follower has left and everything is released. */
  readonly onClosed: () => void;
}

/**
 * Whether the kernel's notices are relied on: one has come, and none has been
 * missed since. They depend on the file system, so this is the same for all logs.
 */
export interface WatchTrust {
  earned: boolean;
}

/** A piece of the log that was read, or is being read. */
interface Block {
  readonly offset: number;
  readonly end: number;
  readonly bytes: Promise<LogBytes>;
}

/**
 * What the followers of one log share: one handle, one watch, one known size, and
 * the blocks last read at the end of the log, so that each byte is read once
 * however many follow. It closes when the last one leaves.
 */
export class LogFeed {
  readonly #options: LogFeedOptions;
  readonly #file: LogFile;
  readonly #readers = new Set<FeedReader>();
  #blocks: Block[] = [];
  #size = 0;
  /** Set by the first refresh. */
  #seen: SeenMarks | undefined;
  /** Whether the log may have changed since its size was read. */
  #stale = true;
  readonly #tail = new KnownTail();
  #refreshing: Promise<void> | undefined;
  #nextRefresh: Promise<void> | undefined;
  /** Stands in for the log's watch while there is no log. */
  #dirWatch: PathWatch | undefined;
  #logWatch: PathWatch | undefined;
  /** How many changes the kernel has reported. */
  #notices = 0;
  #ticks = 0;
  #sizeAtTick = 0;
  #noticesAtTick = 0;
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

  /** The log's size as of the last refresh. */
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
   * Brings `size` up to date. The log is looked at after the call, since a refresh
   * under way may have missed what the caller has heard of.
   */
  refresh(): Promise<void> {
    if (this.#refreshing === undefined) {
      this.#refreshing = this.#refreshNow().finally(() => {
        this.#refreshing = undefined;
      });
      return this.#refreshing;
    }
    const again = (): Promise<void> => {
      this.#nextRefresh = undefined;
      return this.refresh();
    };
    this.#nextRefresh ??= this.#refreshing.then(again, again);
    return this.#nextRefresh;
  }

  /**
   * Reads from `position`, which must be below `size`, or from where the log begins by
   * then: at most CHUNK_BYTES, or what `ownMemory` holds. Other followers may hold the same
   * memory, unless it is the caller's own, so it must not be written to.
   * @param ownMemory is called at once where the bytes are not shared with others, with how
   * many there are. It returns the memory for as many of them as are to be read
   */
  async read(position: number, ownMemory?: (leftBytes: number) => Buffer): Promise<LogBytes> {
    const shared = this.#blocks.find((b) => b.offset <= position && position < b.end);
    if (shared !== undefined) return bytesFrom(await shared.bytes, position);
    if (!this.#isShared(position)) {
      const left = this.#size - position;
      const memory = ownMemory?.(left) ?? Buffer.allocUnsafe(Math.min(CHUNK_BYTES, left));
      return this.#file.readKept(position, memory.length, memory);
    }
    const end = Math.min(position + CHUNK_BYTES, this.#size);
    const bytes = this.#file.readKept(position, end - position);
    this.#share({ offset: position, end, bytes });
    return bytes;
  }

  /**
   * Whether the block at `position` is shared. A follower that is behind the others
   * reads for itself, lest it pushes out what they share; so does a single one until
   * it has come to the end.
   */
  #isShared(position: number): boolean {
    const newest = this.#blocks.at(-1);
    if (newest !== undefined && newest.end > position) return false;
    return this.#readers.size > 1 || this.#size - position <= CHUNK_BYTES;
  }

  #share(block: Block): void {
    this.#blocks = [...this.#blocks, block].slice(-MAX_SHARED_BLOCKS);
    block.bytes.catch(() => {
      this.#blocks = this.#blocks.filter((b) => b !== block);
    });
  }

  get #truncations(): number {
    return this.#options.start.place?.truncations ?? 0;
  }

  async #refreshNow(): Promise<void> {
    this.#stale = false;
    const truncationsBefore = this.#truncations;
    try {
      await this.#openAndWatch();
      const size = await this.#measure();
      this.#size = size;
      this.#seen ??= new SeenMarks(size);
      this.#seen.add(size);
    } catch (error) {
      // Those who wait refresh for themselves then, and get the error.
      this.#stale = true;
      for (const reader of this.#readers) reader.wake?.();
      throw error;
    }
    const isTruncated = truncationsBefore !== this.#truncations;
    for (const reader of this.#readers) {
      if (isTruncated || reader.position !== this.#size) reader.wake?.();
    }
  }

  /**
   * Reads the log's size, and compares the bytes at its old end: a log that was truncated
   * may have grown beyond that again.
   */
  async #measure(): Promise<number> {
    const { place } = this.#options.start;
    const endBefore = place?.end ?? 0;
    const size = await this.#file.size();
    if (!place) return size;
    if (await this.#tail.isKept(this.#file, place)) {
      await this.#tail.take(this.#file, place);
      return size;
    }
    place.rewritten(Math.max(endBefore, this.#size));
    await this.#tail.take(this.#file, place);
    return place.end;
  }

  /** Watches the log before its size is read, so that no change is missed. */
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
      this.#notices += 1;
      this.#options.trust.earned = true;
      this.#changed();
    };
    const onLost = (): void => {
      this.#logWatch = undefined;
    };
    return this.#options.watch(this.path, onChange, onLost);
  }

  /** Refreshes if somebody waits; else the next reader that needs it does. */
  #changed(): void {
    this.#stale = true;
    if (this.#nextRefresh !== undefined || !this.#isAwaited()) return;
    // A refresh that fails wakes those who wait, so its error is not lost here.
    this.refresh().catch(() => {});
  }

  #isAwaited(): boolean {
    for (const reader of this.#readers) if (reader.wake !== undefined) return true;
    return false;
  }

  #tick(): void {
    const grown = this.#size !== this.#sizeAtTick;
    // Only polling has found that it grew.
    if (grown && this.#notices === this.#noticesAtTick) this.#options.trust.earned = false;
    if (!grown) this.#blocks = [];
    this.#sizeAtTick = this.#size;
    this.#noticesAtTick = this.#notices;
    this.#ticks += 1;
    const isReported = this.#logWatch !== undefined && this.#options.trust.earned;
    if (!isReported || this.#ticks % WATCHED_POLL_RATIO === 0) this.#changed();
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
