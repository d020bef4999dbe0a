import type { ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { Timeouts } from "../limits.js";

/**
 * Closes a connection whose client does not answer a ping: one that has gone without
 * a word, and one that was broken by a frame. nghttp2 stops to read the latter, and
 * Node would keep it for ever, and not notice that its client has left.
 *
 * Often while it has no call, when nothing is lost; with calls a client may be
 * suspended for a while.
 */
export class Http2Liveness {
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

  /** From now on it has one call more, until that is over. */
  addCall(stream: ServerHttp2Stream): void {
    this.#calls += 1;
    stream.once("close", () => {
      this.#calls -= 1;
    });
  }

  get #patienceMs(): number {
    const { keepaliveMs, idleKeepaliveMs } = this.#timeouts;
    return this.#calls > 0 ? keepaliveMs : idleKeepaliveMs;
  }

  #nextPing(): NodeJS.Timeout {
    return setTimeout(() => this.#ping(), this.#patienceMs).unref();
  }

  #ping(): void {
    const session = this.#session;
    // Its "close" comes later, when its socket is closed.
    if (session.destroyed) return;
    this.#timer = setTimeout(() => session.destroy(), this.#patienceMs).unref();
    const isSent = session.ping((error) => {
      clearTimeout(this.#timer);
      if (!error && !session.destroyed) this.#timer = this.#nextPing();
    });
    if (!isSent) session.destroy();
  }
}
