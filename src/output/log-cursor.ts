import type { OutputChunk } from "../core/api.js";
import type { Stream } from "../core/job.js";
import type { FeedReader, LogFeed } from "./log-feed.js";
import type { LogFeeds } from "./log-feeds.js";
import { CHUNK_BYTES, LogFile, logPath } from "./log-file.js";
import { offsetOutOfRange } from "./offset-out-of-range.js";
import { HISTORY } from "./seen-marks.js";

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
   * from `beforeMs` on, unless the first was; undefined when there are none.
   * @throws ProcmanError OFFSET_OUT_OF_RANGE when the log was cut short
   */
  next(beforeMs: number): Promise<OutputChunk | undefined>;
  /** The last byte there is now will be the last one read. */
  settle(): Promise<void>;
  /** Calls back once there may be more to read; undefined takes that back. */
  onMore(wake: (() => void) | undefined): void;
  close(): void;
}

/** Reads up to the size that the log had when it was opened. */
export class SnapshotCursor implements LogCursor {
  readonly stale = false;
  readonly #stream: Stream;
  readonly #file: LogFile;
  #position: number;
  #end = 0;

  constructor(dir: string, stream: Stream, position: number) {
    this.#stream = stream;
    this.#file = new LogFile(logPath(dir, stream));
    this.#position = position;
  }

  async open(): Promise<void> {
    this.#end = await this.#file.size();
    checkPosition(this.#stream, this.#position, this.#end);
  }

  get order(): number | undefined {
    return this.#position < this.#end ? HISTORY : undefined;
  }

  async look(): Promise<void> {}

  async next(): Promise<OutputChunk | undefined> {
    const offset = this.#position;
    if (offset >= this.#end) return undefined;
    const data = await this.#file.read(offset, Math.min(CHUNK_BYTES, this.#end - offset));
    if (data.length === 0) {
      this.#end = await this.#file.size();
      checkPosition(this.#stream, offset, this.#end);
      return undefined;
    }
    this.#position += data.length;
    return { stream: this.#stream, offset, data };
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
  readonly #feed: LogFeed;
  #end = Number.POSITIVE_INFINITY;
  position: number;
  wake: (() => void) | undefined;

  constructor(feeds: LogFeeds, dir: string, stream: Stream, position: number) {
    this.#stream = stream;
    this.position = position;
    this.#feed = feeds.join(logPath(dir, stream), this);
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
    await this.#feed.look();
    checkPosition(this.#stream, this.position, this.#feed.size);
  }

  get order(): number | undefined {
    if (this.position >= Math.min(this.#feed.size, this.#end)) return undefined;
    return this.#feed.seen.orderOf(this.position);
  }

  async next(beforeMs: number): Promise<OutputChunk | undefined> {
    const offset = this.position;
    if (this.order === undefined) return undefined;
    const end = Math.min(this.#end, this.#feed.seen.endOfSeenBefore(offset, beforeMs));
    const data = (await this.#feed.read(offset)).subarray(0, end - offset);
    if (data.length === 0) {
      await this.look();
      return undefined;
    }
    this.position += data.length;
    const seenTime = this.#feed.seen.timeOf(this.position - 1);
    const chunk = { stream: this.#stream, offset, data };
    return seenTime === undefined ? chunk : { ...chunk, seenTime };
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
