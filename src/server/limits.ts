/** Largest request message. A Start's arguments and environment fit: the kernel takes 2 MiB. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** Largest response message: a page of a thousand jobs, a snapshot of a hundred thousand. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Longest deadline a client can set, 24.8 days: beyond, timers fire at once. */
export const MAX_DEADLINE_MS = 2 ** 31 - 1;

/** Names and values of a request's headers over HTTP/1.1, and how many. Over HTTP/2 Node takes nine frames of 16 KiB, and 128. */
export const MAX_HEADER_BYTES = 16 * 1024;
export const MAX_HEADERS = 200;

/** Calls at once on one HTTP/2 connection. A client with more of them waits, or opens another. */
export const MAX_CONCURRENT_STREAMS = 1000;

/** Connections at once on TCP; the unix socket stays open to its owner whatever happens there. */
export const MAX_CONNECTIONS = 2048;

/** Calls in a row that are refused on one HTTP/2 connection. */
export const MAX_REFUSED_CALLS = 50;

/** Calls cancelled on one HTTP/2 connection, and how many are forgiven. nghttp2 takes 1,000 and 33. */
export const MAX_CANCELLED_CALLS = 500;
export const MAX_CANCELLED_CALLS_PER_SECOND = 33;

/** What those without a token may ask for: calls at once in all, and the bytes of a request. */
export const MAX_OPEN_CALLS = 100;
export const MAX_OPEN_REQUEST_BYTES = 256;

/** Wrong tokens a minute from one address. */
export const MAX_WRONG_TOKENS = 30;

/** How long those at the other end may take. */
export interface Timeouts {
  /** For a connection to say what it wants: TLS, the protocol, headers over HTTP/1.1. */
  readonly handshakeMs: number;
  /** For a whole request to arrive: at most a few MiB. */
  readonly requestMs: number;
  /** For an HTTP/2 connection on which nothing is asked. Over HTTP/1.1 it is Node's 5 s. */
  readonly idleMs: number;
  /** How often an HTTP/2 client is asked whether it is there, and by when it answers: with calls, */
  readonly keepaliveMs: number;
  /** and without. */
  readonly idleKeepaliveMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  handshakeMs: 10_000,
  requestMs: 60_000,
  idleMs: 5 * 60_000,
  keepaliveMs: 30_000,
  idleKeepaliveMs: 5_000,
};
