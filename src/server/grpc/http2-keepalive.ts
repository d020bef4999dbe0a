import type { ServerHttp2Session } from "node:http2";
import type { Timeouts } from "../limits.js";

/**
 * Closes a connection whose client does not answer a ping. The client may have gone
 * without a word, or have sent a malformed frame: after one nghttp2 stops reading,
 * and Node would keep the connection for ever, also when its client has left.
 *
 * Pings are frequent while there is no call, when nothing is lost by closing. With
 * calls the client is given longer, as it may be suspended for a while.
 */
export class Http2Keepalive {
  readonly #session: ServerHttp2Session;
  readonly #timeouts: Timeouts;
  #calls = 0;
  #timer: NodeJS.Timeout;

  constructor(session: ServerHttp2Session, timeouts: Timeouts) {
    this.#session = session;
    this.#timeouts = timeouts;
    this.#timer = this.#nextPing();
    session.once("close", () => clearTimeout(this.#timer));
  }

  /** Counts a call as under way, until `endCall` is called once. */
  beginCall(): void {
    this.#calls += 1;
  }

  endCall(): void {
    this.#calls -= 1;
  }

  get #isIdle(): boolean {
    return this.#calls === 0;
  }

  #nextPing(): NodeJS.Timeout {
    const { keepaliveMs, idlePingIntervalMs } = this.#timeouts;
    const intervalMs = this.#isIdle ? idlePingIntervalMs : keepaliveMs;
    return setTimeout(() => this.#ping(), intervalMs).unref();
  }

  #ping(): void {
    const session = this.#session;
    // Its "close" comes later, when its socket is closed.
    if (session.destroyed) return;
    const { keepaliveMs, idlePingTimeoutMs } = this.#timeouts;
    const timeoutMs = this.#isIdle ? idlePingTimeoutMs : keepaliveMs;
    this.#timer = setTimeout(() => session.destroy(), timeoutMs).unref();
    const isSent = session.ping((error) => {
      clearTimeout(this.#timer);
      if (!error && !session.destroyed) this.#timer = this.#nextPing();
    });
    if (!isSent) session.destroy();
  }
}
