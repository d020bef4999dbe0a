import type { ProcmanError } from "../contract/errors.js";
import { isTransient } from "../wire/error-map.js";
import { sleep } from "../platform/timers.js";

export interface ReconnectOptions {
  /** The longest pause between two attempts. The first is 50 ms, each twice as long. Default 2000. */
  readonly maxDelayMs?: number;
  /** How long the server may be out of reach before its last error is given. Default 30 000. */
  readonly giveUpAfterMs?: number;
}

const INITIAL_BACKOFF_MS = 50;
const DEFAULT_MAX_BACKOFF_MS = 2000;
const DEFAULT_GIVE_UP_AFTER_MS = 30_000;

/** Decides whether and when one call is tried again. */
export class Reconnection {
  readonly #options: ReconnectOptions | false;
  #backoffMs = INITIAL_BACKOFF_MS;
  #unreachableSince: number | undefined;

  constructor(options: ReconnectOptions | false) {
    this.#options = options;
  }

  /** Returns what to call with each message of a stream, which shows that the server is there. */
  watchStream(): () => void {
    let isFirst = true;
    return () => {
      this.#unreachableSince = undefined;
      // The first one leaves the pauses long: a server, or a proxy, that drops every
      // stream after it must not be hammered.
      if (!isFirst) this.#backoffMs = INITIAL_BACKOFF_MS;
      isFirst = false;
    };
  }

  /**
   * Resolves when it is time to try again.
   * @throws the error, where trying again would not help or has gone on for too long;
   * the signal's reason
   */
  async afterFailure(error: ProcmanError, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#options === false || !isTransient(error)) throw error;
    const { giveUpAfterMs = DEFAULT_GIVE_UP_AFTER_MS } = this.#options;
    this.#unreachableSince ??= performance.now();
    const leftMs = this.#unreachableSince + giveUpAfterMs - performance.now();
    if (leftMs <= 0) throw error;
    await sleep(Math.min(this.#nextBackoffMs(this.#options), leftMs), signal);
    signal.throwIfAborted();
  }

  /** Adds some chance, lest all clients of a server come back at the same moment. */
  #nextBackoffMs({ maxDelayMs = DEFAULT_MAX_BACKOFF_MS }: ReconnectOptions): number {
    const delayMs = Math.min(this.#backoffMs, maxDelayMs);
    this.#backoffMs = delayMs * 2;
    return delayMs * (0.75 + Math.random() / 4);
  }
}
