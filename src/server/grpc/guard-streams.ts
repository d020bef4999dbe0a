import {
  constants,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Logger } from "pino";
import { AbuseLimiter } from "./abuse-limiter.js";
import type { AdmitCall } from "./admit-call.js";
import { type GrpcStatus, toGrpcStatus } from "./grpc-status.js";
import { Http2Keepalive } from "./http2-keepalive.js";
import {
  MAX_ANONYMOUS_CALLS,
  MAX_ANONYMOUS_CALLS_PER_CONNECTION,
  MAX_ANONYMOUS_REQUEST_BYTES,
  type Timeouts,
} from "../limits.js";
import { type Peer, peerOf } from "../access/peer.js";

/** The path of calls whose requests may take as long as they like: clients ask on one stream. */
const REFLECTION = "/grpc.reflection.";

type StreamListener = (this: Http2Server, ...args: unknown[]) => void;

export interface StreamGuardOptions {
  readonly admit: AdmitCall;
  readonly timeouts: Timeouts;
  readonly logger: Logger;
}

/** What the calls of one connection share. */
interface Connection {
  readonly peer: Peer;
  readonly limiter: AbuseLimiter;
  readonly keepalive: Http2Keepalive;
  readonly onAborted: () => void;
}

/**
 * Puts itself between grpc-js and the HTTP/2 server that it has made. grpc-js then
 * sees only calls that may be made, and is spared what it does not look after:
 *
 * - A stream may have been reset in the packet that opened it. grpc-js would answer
 *   it all the same, which throws where nobody catches, and ends the process.
 * - A stream ends also where its request is not whole. grpc-js would begin the call.
 * - A request that is not whole in time is broken off. So is one that was answered
 *   before it was whole, whose client could go on sending for ever.
 * - Anonymous calls are few and small, and a new one ends the oldest where there are many:
 *   streams of strangers must not keep a load balancer from asking. And grpc-js collects and decompresses as much as
 *   the largest message takes, for each, before any handler is asked.
 * - A connection is closed that only cancels calls or has them refused, and one whose
 *   client does not answer pings.
 *
 * All calls come this way, and each listener takes Node half a microsecond: hence few of
 * them, and `on` where the event comes once all the same.
 */
export function guardStreams(server: Http2Server, options: StreamGuardOptions): void {
  const { admit, timeouts, logger } = options;
  const serve = server.listeners("stream") as StreamListener[];
  server.removeAllListeners("stream");
  const connections = new WeakMap<Http2Session, Connection>();
  const anonymousCalls = new AnonymousCalls();

  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rest: unknown[]) => {
    const { session } = stream;
    const connection = session && connections.get(session);
    if (!connection || session.destroyed) return;
    const { peer, limiter, keepalive, onAborted } = connection;
    if (stream.destroyed || stream.closed) return limiter.onCancelled();
    let timer: NodeJS.Timeout | undefined;
    keepalive.beginCall();
    stream.on("close", () => {
      keepalive.endCall();
      clearTimeout(timer);
    });
    stream.on("aborted", onAborted);
    stream.on("finish", closeOnceAnswered);

    const admission = admit(headers, peer);
    switch (admission.kind) {
      case "refused":
        refuse(stream, toGrpcStatus(admission.error));
        return limiter.onRefused();
      case "anonymous":
        anonymousCalls.add(stream, session);
        closeIfLarge(stream, MAX_ANONYMOUS_REQUEST_BYTES);
        break;
      case "admitted":
        limiter.onAdmitted();
    }
    if (!headers[":path"]?.startsWith(REFLECTION)) {
      timer = setTimeout(closeIfLate, timeouts.requestMs, stream);
    }
    for (const listener of serve) listener.call(server, stream, headers, ...rest);
    holdBackEnd(stream);
  };

  server.on("session", (session) => {
    const limiter = new AbuseLimiter(session);
    connections.set(session, {
      peer: peerOf(session.socket),
      limiter,
      keepalive: new Http2Keepalive(session, timeouts),
      onAborted: () => limiter.onCancelled(),
    });
  });
  server.on("stream", (stream, headers, ...rest: unknown[]) => {
    // Whoever reads or writes the stream learns what broke.
    stream.on("error", ignore);
    try {
      onStream(stream, headers, rest);
    } catch (error) {
      // Nobody else would catch it, and it would end the process.
      logger.error({ err: error }, "a gRPC call failed unexpectedly");
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  });
}

/** The calls without a token that are under way. */
class AnonymousCalls {
  /** The oldest first. */
  readonly #calls = new Map<ServerHttp2Stream, Http2Session>();

  add(stream: ServerHttp2Stream, session: Http2Session): void {
    const sameConnection = [...this.#calls].filter(([, each]) => each === session);
    if (sameConnection.length >= MAX_ANONYMOUS_CALLS_PER_CONNECTION) this.#end(sameConnection[0]);
    else if (this.#calls.size >= MAX_ANONYMOUS_CALLS) this.#end([...this.#calls][0]);
    this.#calls.set(stream, session);
    stream.once("close", () => this.#calls.delete(stream));
  }

  /** Ends a call with the code that means: try again later. */
  #end(call: [ServerHttp2Stream, Http2Session] | undefined): void {
    if (!call) return;
    const [stream] = call;
    this.#calls.delete(stream);
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
  }
}

function refuse(stream: ServerHttp2Stream, status: GrpcStatus): void {
  const { code, details, metadata } = status;
  stream.respond(
    {
      [constants.HTTP2_HEADER_STATUS]: 200,
      [constants.HTTP2_HEADER_CONTENT_TYPE]: "application/grpc+proto",
      "grpc-status": code,
      "grpc-message": encodeURI(details),
      ...metadata.toHttp2Headers(),
    },
    { endStream: true },
  );
}

/**
 * Keeps a stream's end from grpc-js where it is not the end of a request, since the
 * call was answered already or broken off. grpc-js would begin it, and never cancel it.
 */
function holdBackEnd(stream: ServerHttp2Stream): void {
  const listeners = stream.listeners("end") as (() => void)[];
  stream.removeAllListeners("end");
  stream.on("end", () => {
    if (stream.writableEnded || stream.closed) return;
    for (const listener of listeners) listener.call(stream);
  });
}

/** Resets the stream with the code that means: this is the answer, send no more of the request. */
function closeOnceAnswered(this: ServerHttp2Stream): void {
  if (!this.readableEnded) this.close(constants.NGHTTP2_NO_ERROR);
}

function closeIfLate(stream: ServerHttp2Stream): void {
  if (!stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
}

function ignore(): void {}

function closeIfLarge(stream: ServerHttp2Stream, maxBytes: number): void {
  let bytes = 0;
  stream.on("data", (data: Buffer) => {
    bytes += data.length;
    if (bytes > maxBytes) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}
