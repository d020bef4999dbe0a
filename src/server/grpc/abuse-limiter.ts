import { constants, type Http2Session } from "node:http2";
import {
  MAX_CANCELLED_CALLS,
  MAX_CANCELLED_CALLS_PER_SECOND,
  MAX_REFUSED_CALLS,
} from "../limits.js";

/** Closes a connection that only cancels calls, or has one after another refused. */
export class AbuseLimiter {
  readonly #session: Http2Session;
  #refusedInARow = 0;
  #cancelled = 0;
  #countedAtMs = performance.now();

  constructor(session: Http2Session) {
    this.#session = session;
  }

  onAdmitted(): void {
    this.#refusedInARow = 0;
  }

  onRefused(): void {
    this.#refusedInARow += 1;
    if (this.#refusedInARow > MAX_REFUSED_CALLS) this.#closeConnection();
  }

  onCancelled(): void {
    const nowMs = performance.now();
    const forgiven = ((nowMs - this.#countedAtMs) / 1000) * MAX_CANCELLED_CALLS_PER_SECOND;
    this.#countedAtMs = nowMs;
    this.#cancelled = Math.max(0, this.#cancelled - forgiven) + 1;
    if (this.#cancelled > MAX_CANCELLED_CALLS) this.#closeConnection();
  }

  /**
   * Closes it later. Within one of its events it is still reading, and an assertion of
   * Node's would end the process.
   */
  #closeConnection(): void {
    setImmediate(() => {
      // Without an error Node forgets the code.
      const error = new Error("too many calls were refused or cancelled");
      this.#session.destroy(error, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
  }
}
