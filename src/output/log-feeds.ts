import { type FeedReader, LogFeed } from "./log-feed.js";
import type { LogStart } from "./log-start.js";
import type { WatchPath } from "./watch-path.js";

export interface LogFeedsOptions {
  readonly pollIntervalMs: number;
  readonly watch: WatchPath;
}

/** The feeds of the logs that are followed now: one a path, as long as it has followers. */
export class LogFeeds {
  readonly #options: LogFeedsOptions;
  readonly #feeds = new Map<string, LogFeed>();

  constructor(options: LogFeedsOptions) {
    this.#options = options;
  }

  /** The reader leaves by `feed.leave(reader)`. */
  join(path: string, start: LogStart, reader: FeedReader): LogFeed {
    let feed = this.#feeds.get(path);
    if (feed === undefined) {
      feed = new LogFeed({
        ...this.#options,
        path,
        start,
        onClosed: () => this.#feeds.delete(path),
      });
      this.#feeds.set(path, feed);
    }
    feed.join(reader);
    return feed;
  }
}
