import type { JobDir } from "../../core/job-dir.js";
import type { OutputChunk } from "../../contract/procman.js";
import type { Stream } from "../../contract/job.js";
import type { FeedReader, LogFeed } from "../following/log-feed.js";
import type { LogFeeds } from "../following/log-feeds.js";
import { bytesUpTo, CHUNK_BYTES, type LogBytes, LogFile } from "./log-file.js";
import type { LogStart } from "./log-start.js";
import { offsetOutOfRange } from "./offset-out-of-range.js";
import { HISTORY } from "../following/seen-marks.js";

/** One reader's place in one log. */
export interface LogCursor {
  /** Must be called once, first. @throws ProcmanError OFFSET_OUT_OF_RANGE */
  open(): Promise<void>;
  /** Whether only a look can tell if there is more. */
  readonly stale: boolean;
  /** @throws ProcmanError OFFSET_OUT_OF_RANGE when the log was cut short */
  look(): Promise<void>;
  /** What orders the next byte among those of all logs; undefined where none is known of. */
  readonly order: number | undefined;
  /**
   * The next bytes, at most CHUNK_BYTES, without those that were seen in a look
   * from `beforeMs` on, unless the first was; undefined when there are none, or
   * what was next is gone. Where the data is transient, it is good until the
   * next bytes are asked for.
   * @throws ProcmanError OFFSET_OUT_OF_RANGE when the log was cut short
   */
  next(beforeMs: number): Promise<OutputChunk | undefined>;
  /** The last byte there is now will be the last one read. */
  settle(): Promise<void>;
  /** Calls back once there may be more to read; undefined takes that back. */
  onMore(wake: (() => void) | undefined): void;
  close(): void;
}

export interface LogCursorOptions {
  readonly stream: Stream;
  readonly start: LogStart;
  readonly position: number;
  readonly transientData: boolean;
}

/** Reads up to the size that the log had when it was opened. */
export class SnapshotCursor implements LogCursor {
  readonly stale = false;
  readonly #stream: Stream;
  readonly #start: LogStart;
  readonly #file: LogFile;
  readonly #memory: Buffer | undefined;
  #position: number;
  #end = 0;

  constructor(dir: JobDir, { stream, start, position, transientData }: LogCursorOptions) {
    this.#stream = stream;
    this.#start = start;
    this.#file = new LogFile(dir.log(stream), start);
    this.#memory = transientData ? Buffer.allocUnsafeSlow(CHUNK_BYTES) : undefined;
    this.#position = position;
  }

  async open(): Promise<void> {
    this.#end = await this.#file.size();
    checkPosition(this.#stream, this.#position, this.#end);
  }

  async look(): Promise<void> {}

  get order(): number | undefined {
    return this.#position < this.#end ? HISTORY : undefined;
  }

  async next(): Promise<OutputChunk | undefined> {
    const from = Math.max(this.#position, this.#start.firstOffset);
    this.#position = from;
    if (from >= this.#end) return undefined;
    const length = Math.min(CHUNK_BYTES, this.#end - from);
    const { offset, data } = await this.#file.readKept(from, length, this.#memory);
    this.#position = offset + data.length;
    if (data.length > 0) return { stream: this.#stream, offset, data };
    if (this.#position === from) {
      // Not even what was there at the opening.
      this.#end = await this.#file.size();
      checkPosition(this.#stream, from, this.#end);
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

/** Goes along with a log that grows. */
export class FollowCursor implements LogCursor, FeedReader {
  readonly #stream: Stream;
  readonly #start: LogStart;
  readonly #feed: LogFeed;
  readonly #transientData: boolean;
  #memory: Buffer | undefined;
  #end = Number.POSITIVE_INFINITY;
  #position: number;
  wake: (() => void) | undefined;

  constructor(feeds: LogFeeds, dir: JobDir, options: LogCursorOptions) {
    const { stream, start, position, transientData } = options;
    this.#stream = stream;
    this.#start = start;
    this.#position = position;
    this.#feed = feeds.join(dir.log(stream), start, this);
    this.#transientData = transientData;
  }

  /** What is gone cannot be next. It may lie beyond the size last seen. */
  get position(): number {
    return Math.max(this.#position, this.#start.firstOffset);
  }

  open(): Promise<void> {
    return this.look();
  }

  get stale(): boolean {
    const { size, stale } = this.#feed;
    if (this.position >= this.#end) return false;
    return this.position > size || (this.position === size && stale);
  }

  /** Whatever the kernel has told of or not. */
  async look(): Promise<void> {
    // The log's beginning may move on during the look, past what that finds.
    const { position } = this;
    await this.#feed.look();
    checkPosition(this.#stream, position, this.#feed.size);
  }

  get order(): number | undefined {
    const { position } = this;
    if (position >= Math.min(this.#feed.size, this.#end)) return undefined;
    return this.#feed.seen.orderOf(position);
  }

  async next(beforeMs: number): Promise<OutputChunk | undefined> {
    const from = this.position;
    const { size, seen } = this.#feed;
    const end = Math.min(size, this.#end, seen.endOfSeenBefore(from, beforeMs));
    if (from >= end) return undefined;
    const { offset, data } = bytesUpTo(await this.#read(from), end);
    this.#position = offset + data.length;
    if (data.length === 0) {
      if (offset === from) await this.look();
      return undefined;
    }
    const seenTime = seen.timeOf(this.#position - 1);
    const chunk = { stream: this.#stream, offset, data };
    return seenTime === undefined ? chunk : { ...chunk, seenTime };
  }

  #read(from: number): Promise<LogBytes> {
    if (!this.#transientData) return this.#feed.read(from);
    const before = this.#memory;
    // At the head, where it may wait for long, it keeps none.
    this.#memory = undefined;
    return this.#feed.read(from, () => {
      this.#memory = before ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
      return this.#memory;
    });
  }

  async settle(): Promise<void> {
    await this.look();
    this.#end = this.#feed.size;
  }

  onMore(wake: (() => void) | undefined): void {
    this.wake = wake;
    if (this.#feed.stale || this.#feed.size !== this.position) wake?.();
  }

  close(): void {
    this.wake = undefined;
    this.#feed.leave(this);
  }
}

function checkPosition(stream: Stream, offset: number, size: number): void {
  if (offset > size) throw offsetOutOfRange([{ stream, offset, size }]);
}
