/** Largest request message. A Start's arguments and environment fit: the kernel takes 2 MiB. */
export const MAX_REQUEST_BYTES = 4 * 1024 * 1024;

/** Largest response message. What is sent stays far below: see MAX_MESSAGE_BYTES. */
export const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/** Longest deadline a client can set, 24.8 days: for a longer one, timers would fire at once. */
export const MAX_DEADLINE_MS = 2 ** 31 - 1;

/**
 * The bytes of a request's headers over HTTP/1.1, and how many there may be. Over HTTP/2
 * Node takes nine frames of 16 KiB, and 128.
 */
export const MAX_HEADER_BYTES = 16 * 1024;
export const MAX_HEADERS = 200;

/** Calls at once on one HTTP/2 connection. A client with more of them waits, or opens another. */
export const MAX_CONCURRENT_STREAMS = 1000;

/** Connections at once on TCP; the unix socket stays open to its owner whatever happens there. */
export const MAX_CONNECTIONS = 2048;

/** Calls refused in a row on one HTTP/2 connection, before it is closed. */
export const MAX_REFUSED_CALLS = 50;

/**
 * Calls cancelled on one HTTP/2 connection before it is closed, and how many of them are
 * forgiven each second. nghttp2 itself takes 1,000 and 33.
 */
export const MAX_CANCELLED_CALLS = 500;
export const MAX_CANCELLED_CALLS_PER_SECOND = 33;

/**
 * Calls without a token: how many at once on all connections, and on each, before one more
 * ends the oldest; and the bytes of a request.
 */
export const MAX_ANONYMOUS_CALLS = 100;
export const MAX_ANONYMOUS_CALLS_PER_CONNECTION = 10;
export const MAX_ANONYMOUS_REQUEST_BYTES = 256;

/** Wrong tokens a minute from one address. */
export const MAX_WRONG_TOKENS = 30;

/** How long a client may take. */
export interface Timeouts {
  /** For a connection to say what it wants: TLS, the protocol, headers over HTTP/1.1. */
  readonly handshakeMs: number;
  /** For a whole request to arrive: at most a few MiB. */
  readonly requestMs: number;
  /** For an HTTP/2 connection on which nothing is asked. Over HTTP/1.1 it is Node's 5 s. */
  readonly idleMs: number;
  /** Between two pings to an HTTP/2 client that has a call, and for its answer to one. */
  readonly keepaliveMs: number;
  /** Between two pings to one that has no call. */
  readonly idlePingIntervalMs: number;
  /** For its answer to one. */
  readonly idlePingTimeoutMs: number;
}

export const DEFAULT_TIMEOUTS: Timeouts = {
  handshakeMs: 10_000,
  requestMs: 60_000,
  idleMs: 5 * 60_000,
  keepaliveMs: 30_000,
  idlePingIntervalMs: 5_000,
  // gRPC's C core, and so Python's, C++'s and Ruby's, reads an idle connection every 5 s alone.
  idlePingTimeoutMs: 15_000,
};
