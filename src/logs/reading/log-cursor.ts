import { setImmediate as eventLoopTurn } from "node:timers/promises";
import type { JobDir } from "../../core/job-dir.js";
import type { LogChunk } from "../../core/ports.js";
import type { Stream } from "../../contract/job.js";
import type { FeedReader, LogFeed } from "../following/log-feed.js";
import type { LogFeeds } from "../following/log-feeds.js";
import { checkOffsets } from "./check-offsets.js";
import { bytesUpTo, CHUNK_BYTES, type LogBytes, LogFile, type LogStart } from "./log-file.js";
import { isTurnSpent } from "./read-cached.js";
import { TransientMemory } from "./transient-memory.js";
import { HISTORY } from "../following/seen-marks.js";

/** One reader's place in one log. */
export interface LogCursor {
  /** Must be called once, first. @throws ProcmanError OFFSET_OUT_OF_RANGE */
  open(): Promise<void>;
  /** Whether only a refresh can tell if there is more. */
  readonly stale: boolean;
  /** Reads the log's size. @throws ProcmanError OFFSET_OUT_OF_RANGE when it is too short */
  refresh(): Promise<void>;
  /** Orders the next byte among those of all logs. Undefined where no byte is known of. */
  readonly order: number | undefined;
  /**
   * Reads the next bytes: at most CHUNK_BYTES, or TRANSIENT_CHUNK_BYTES where the data
   * is transient and the reader takes it quickly. They end before those that were seen at
   * `beforeMs` or later, unless the first one was seen then itself. The memory of transient
   * data is used again for the next bytes, and has headroom where it is not shared.
   * @returns undefined when there are none, or what was next is gone; where the log was
   * truncated, that comes first, as a chunk without data
   * @throws ProcmanError OFFSET_OUT_OF_RANGE
   */
  next(beforeMs: number): Promise<LogChunk | undefined>;
  /** Makes the last byte that there is now the last one that is read. */
  settle(): Promise<void>;
  /** Calls back when there may be more to read. Undefined takes that back. */
  onMore(wake: (() => void) | undefined): void;
  close(): void;
}

export interface LogCursorOptions {
  readonly stream: Stream;
  readonly start: LogStart;
  readonly position: number;
  /** Read no further than this, where the log is not followed. */
  readonly end?: number | undefined;
  readonly transientData: boolean;
}

/** Reads up to the end that the log had when it was opened. */
export class SnapshotCursor implements LogCursor {
  readonly stale = false;
  readonly #stream: Stream;
  readonly #start: LogStart;
  readonly #file: LogFile;
  /** Absent where the data is kept. */
  readonly #memory: TransientMemory | undefined;
  #position: number;
  #end = 0;
  readonly #maxEnd: number;
  readonly #truncations: UntoldTruncations;

  constructor(dir: JobDir, options: LogCursorOptions) {
    const { stream, start, position, transientData, end = Number.POSITIVE_INFINITY } = options;
    this.#maxEnd = end;
    this.#stream = stream;
    this.#start = start;
    this.#file = new LogFile(dir.log(stream), start);
    if (transientData) this.#memory = new TransientMemory();
    this.#position = position;
    this.#truncations = new UntoldTruncations(stream, start);
  }

  async open(): Promise<void> {
    this.#end = await this.#file.size();
    if (this.#start.place?.isMissing) this.#position = this.#end;
    checkOffsets({ stream: this.#stream, offset: this.#position, size: this.#end });
    this.#end = Math.min(this.#end, this.#maxEnd);
  }

  async refresh(): Promise<void> {}

  get order(): number | undefined {
    return this.#position < this.#end || this.#truncations.isAny ? HISTORY : undefined;
  }

  async next(): Promise<LogChunk | undefined> {
    if (isTurnSpent()) await eventLoopTurn();
    const from = Math.max(this.#position, this.#start.firstOffset);
    this.#position = from;
    const truncation = this.#truncations.take(from);
    if (truncation) return truncation;
    if (from >= this.#end) return undefined;
    const left = this.#end - from;
    const memory = this.#memory?.next(left);
    const length = memory?.length ?? Math.min(CHUNK_BYTES, left);
    const { offset, data } = await this.#file.readKept(from, length, memory);
    this.#position = offset + data.length;
    this.#memory?.passedOn(data.length);
    if (data.length > 0) return { stream: this.#stream, offset, data };
    if (this.#position === from) {
      // Not even that is there which was at the opening.
      this.#end = await this.#file.size();
      checkOffsets({ stream: this.#stream, offset: from, size: this.#end });
      // It was cut, and has its old length again. What it holds now nobody asked for.
      if (!this.#truncations.isAny) this.#end = from;
    }
    return undefined;
  }

  async settle(): Promise<void> {}

  onMore(wake: (() => void) | undefined): void {
    wake?.();
  }

  close(): void {
    this.#file.close();
  }
}

/** Follows a log that grows. */
export class FollowCursor implements LogCursor, FeedReader {
  readonly #stream: Stream;
  readonly #start: LogStart;
  readonly #feed: LogFeed;
  /** Absent where the data is kept. */
  readonly #memory: TransientMemory | undefined;
  #end = Number.POSITIVE_INFINITY;
  #position: number;
  readonly #truncations: UntoldTruncations;
  wake: (() => void) | undefined;

  constructor(feeds: LogFeeds, dir: JobDir, options: LogCursorOptions) {
    const { stream, start, position, transientData } = options;
    this.#stream = stream;
    this.#start = start;
    this.#position = position;
    this.#feed = feeds.join(dir.log(stream), start, this);
    if (transientData) this.#memory = new TransientMemory();
    this.#truncations = new UntoldTruncations(stream, start);
  }

  /** The next byte, which a log limit or a truncation may have moved on, even beyond the size last seen. */
  get position(): number {
    return Math.max(this.#position, this.#start.firstOffset);
  }

  open(): Promise<void> {
    return this.refresh();
  }

  get stale(): boolean {
    const { size, stale } = this.#feed;
    if (this.position >= this.#end || this.#truncations.isAny) return false;
    return this.position > size || (this.position === size && stale);
  }

  async refresh(): Promise<void> {
    // Meanwhile the log's start may move on, beyond the size that the refresh finds.
    const { position } = this;
    await this.#feed.refresh();
    if (this.#start.place?.mayBeShorter) {
      this.#position = Math.min(this.#position, this.#feed.size);
      return;
    }
    checkOffsets({ stream: this.#stream, offset: position, size: this.#feed.size });
  }

  get order(): number | undefined {
    if (this.#truncations.isAny) return AT_ONCE;
    const { position } = this;
    if (position >= Math.min(this.#feed.size, this.#end)) return undefined;
    return this.#feed.seen.orderOf(position);
  }

  async next(beforeMs: number): Promise<LogChunk | undefined> {
    if (isTurnSpent()) await eventLoopTurn();
    const from = this.position;
    const truncation = this.#truncations.take(from);
    if (truncation) return truncation;
    const { size, seen } = this.#feed;
    const end = Math.min(size, this.#end, seen.endOfSeenBefore(from, beforeMs));
    if (from >= end) return undefined;
    const { offset, data } = bytesUpTo(await this.#read(from), end);
    this.#position = offset + data.length;
    this.#memory?.passedOn(data.length);
    if (data.length === 0) {
      if (offset === from) await this.refresh();
      return undefined;
    }
    const seenTime = seen.timeOf(this.#position - 1);
    const chunk = { stream: this.#stream, offset, data };
    return seenTime === undefined ? chunk : { ...chunk, seenTime };
  }

  #read(from: number): Promise<LogBytes> {
    const memory = this.#memory;
    if (!memory) return this.#feed.read(from);
    let isShared = true;
    const bytes = this.#feed.read(from, (leftBytes) => {
      isShared = false;
      return memory.next(leftBytes);
    });
    // At the end of the log, where it may wait for long, it holds none.
    if (isShared) memory.release();
    return bytes;
  }

  async settle(): Promise<void> {
    await this.refresh();
    this.#end = this.#feed.size;
  }

  onMore(wake: (() => void) | undefined): void {
    this.wake = wake;
    if (wake) this.#memory?.release();
    if (this.#feed.stale || this.#feed.size !== this.position || this.#truncations.isAny) wake?.();
  }

  close(): void {
    this.#feed.leave(this);
  }
}

/** Before all that was seen to come, and not to be taken for history. */
const AT_ONCE = 0;

const NO_DATA = Buffer.alloc(0);

/** Those truncations of a log that one reader has not been told of. */
class UntoldTruncations {
  readonly #stream: Stream;
  readonly #start: LogStart;
  #told: number;

  constructor(stream: Stream, start: LogStart) {
    this.#stream = stream;
    this.#start = start;
    this.#told = this.#count;
  }

  get isAny(): boolean {
    return this.#count > this.#told;
  }

  /** @returns what to tell the reader, who goes on at `position`, if there is any */
  take(position: number): LogChunk | undefined {
    if (!this.isAny) return undefined;
    this.#told = this.#count;
    return { stream: this.#stream, offset: position, data: NO_DATA, isTruncation: true };
  }

  get #count(): number {
    return this.#start.place?.truncations ?? 0;
  }
}
