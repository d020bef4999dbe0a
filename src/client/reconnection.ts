import type { ProcmanError } from "../contract/errors.js";
import { isTransient } from "../wire/error-map.js";
import { sleep } from "../platform/timers.js";

export interface ReconnectOptions {
  /** The longest pause between two attempts; the first is 50 ms, and each twice as long. Default 2000. */
  readonly maxDelayMs?: number;
  /** How long the server may be out of reach before its last error is given. Default 30 000. */
  readonly giveUpAfterMs?: number;
}

const FIRST_DELAY_MS = 50;
const DEFAULT_MAX_DELAY_MS = 2000;
const DEFAULT_GIVE_UP_AFTER_MS = 30_000;

/** When one call is tried again. */
export class Reconnection {
  readonly #options: ReconnectOptions | false;
  #delayMs = FIRST_DELAY_MS;
  #unreachableSince: number | undefined;

  constructor(options: ReconnectOptions | false) {
    this.#options = options;
  }

  /** The server has answered. */
  reached(): void {
    this.#unreachableSince = undefined;
  }

  /**
   * The server goes on answering. Only this makes the pauses short again: a
   * server, or a proxy, that drops every call at once must not be hammered.
   */
  steady(): void {
    this.#unreachableSince = undefined;
    this.#delayMs = FIRST_DELAY_MS;
  }

  /**
   * Resolves when it is time to try again.
   * @throws the error, when that is of no use or has been tried for long enough;
   * the signal's reason
   */
  async afterFailure(error: ProcmanError, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#options === false || !isTransient(error)) throw error;
    const { giveUpAfterMs = DEFAULT_GIVE_UP_AFTER_MS } = this.#options;
    this.#unreachableSince ??= performance.now();
    const leftMs = this.#unreachableSince + giveUpAfterMs - performance.now();
    if (leftMs <= 0) throw error;
    await sleep(Math.min(this.#nextDelayMs(this.#options), leftMs), signal);
    signal.throwIfAborted();
  }

  /** With some chance in it, lest all clients of a server come back at the same moment. */
  #nextDelayMs({ maxDelayMs = DEFAULT_MAX_DELAY_MS }: ReconnectOptions): number {
    const delayMs = Math.min(this.#delayMs, maxDelayMs);
    this.#delayMs = delayMs * 2;
    return delayMs * (0.75 + Math.random() / 4);
  }
}
