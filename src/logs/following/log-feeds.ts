import { type FeedReader, LogFeed, type WatchTrust } from "./log-feed.js";
import type { LogStart } from "../reading/log-file.js";
import { Ticker } from "../../platform/ticker.js";
import type { WatchPath } from "../../platform/watch-path.js";

export interface LogFeedsOptions {
  readonly pollIntervalMs: number;
  readonly watch: WatchPath;
}

/** The feeds of the logs that are followed now: one for each path, while it has followers. */
export class LogFeeds {
  readonly #options: LogFeedsOptions;
  readonly #feeds = new Map<string, LogFeed>();
  readonly #trust: WatchTrust = { earned: false };
  readonly #ticker: Ticker;

  constructor(options: LogFeedsOptions) {
    this.#options = options;
    this.#ticker = new Ticker(options.pollIntervalMs);
  }

  /** Adds a reader to the feed of a path. It must leave with `feed.leave(reader)`. */
  join(path: string, start: LogStart, reader: FeedReader): LogFeed {
    let feed = this.#feeds.get(path);
    if (feed === undefined) {
      feed = new LogFeed({
        watch: this.#options.watch,
        trust: this.#trust,
        path,
        start,
        ticker: this.#ticker,
        onClosed: () => this.#feeds.delete(path),
      });
      this.#feeds.set(path, feed);
    }
    feed.join(reader);
    return feed;
  }
}
