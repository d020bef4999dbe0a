import { type FeedReader, LogFeed, type WatchTrust } from "./log-feed.js";
import type { LogStart } from "../reading/log-start.js";
import type { WatchPath } from "../../platform/watch-path.js";

export interface LogFeedsOptions {
  readonly pollIntervalMs: number;
  readonly watch: WatchPath;
}

/** The feeds of the logs that are followed now: one a path, as long as it has followers. */
export class LogFeeds {
  readonly #options: LogFeedsOptions;
  readonly #feeds = new Map<string, LogFeed>();
  readonly #trust: WatchTrust = { earned: false };
  /** One for all of them: a wake-up costs more than many feeds' ticks. */
  #timer: NodeJS.Timeout | undefined;

  constructor(options: LogFeedsOptions) {
    this.#options = options;
  }

  /** The reader leaves by `feed.leave(reader)`. */
  join(path: string, start: LogStart, reader: FeedReader): LogFeed {
    let feed = this.#feeds.get(path);
    if (feed === undefined) {
      feed = new LogFeed({
        watch: this.#options.watch,
        trust: this.#trust,
        path,
        start,
        onClosed: () => this.#remove(path),
      });
      this.#feeds.set(path, feed);
      this.#timer ??= setInterval(() => this.#tick(), this.#options.pollIntervalMs);
    }
    feed.join(reader);
    return feed;
  }

  #tick(): void {
    for (const feed of this.#feeds.values()) feed.tick();
  }

  #remove(path: string): void {
    this.#feeds.delete(path);
    if (this.#feeds.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
