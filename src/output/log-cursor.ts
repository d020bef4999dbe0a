import type { OutputChunk } from "../core/api.js";
import type { Stream } from "../core/job.js";
import type { FeedReader, LogFeed } from "./log-feed.js";
import type { LogFeeds } from "./log-feeds.js";
import { CHUNK_BYTES, LogFile, logPath } from "./log-file.js";
import { offsetOutOfRange } from "./offset-out-of-range.js";

/** One reader's place in one log. */
export interface LogCursor {
  /** Must be called once, first. @throws ProcmanError OFFSET_OUT_OF_RANGE */
  open(): Promise<void>;
  /**
   * The next bytes, at most CHUNK_BYTES; undefined when there are none now.
   * @throws ProcmanError OFFSET_OUT_OF_RANGE when the log was cut short
   */
  next(): Promise<OutputChunk | undefined>;
  /** The last byte there is now will be the last one read. */
  settle(): Promise<void>;
  /** Calls back once there may be more to read; undefined takes that back. */
  onMore(wake: (() => void) | undefined): void;
  close(): void;
}

/** Reads up to the size that the log had when it was opened. */
export class SnapshotCursor implements LogCursor {
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

  async open(): Promise<void> {
    await this.#look();
  }

  async next(): Promise<OutputChunk | undefined> {
    const offset = this.position;
    if (offset >= this.#end) return undefined;
    if (offset >= this.#feed.size && this.#feed.stale) await this.#feed.look();
    checkPosition(this.#stream, offset, this.#feed.size);
    if (offset === this.#feed.size) return undefined;

    const data = (await this.#feed.read(offset)).subarray(0, this.#end - offset);
    if (data.length === 0) {
      await this.#look();
      return undefined;
    }
    this.position += data.length;
    return { stream: this.#stream, offset, data };
  }

  async settle(): Promise<void> {
    await this.#look();
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

  /** Whatever the kernel has told of or not. */
  async #look(): Promise<void> {
    await this.#feed.look();
    checkPosition(this.#stream, this.position, this.#feed.size);
  }
}

function checkPosition(stream: Stream, offset: number, size: number): void {
  if (offset > size) throw offsetOutOfRange([{ stream, offset, size }]);
}
