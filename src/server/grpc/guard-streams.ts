import {
  constants,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Logger } from "pino";
import type { Guard } from "./admit-call.js";
import { type GrpcStatus, toGrpcStatus } from "./grpc-status.js";
import { Http2Liveness } from "./http2-keepalive.js";
import {
  MAX_CANCELLED_CALLS,
  MAX_CANCELLED_CALLS_PER_SECOND,
  MAX_OPEN_CALLS,
  MAX_OPEN_REQUEST_BYTES,
  MAX_REFUSED_CALLS,
  type Timeouts,
} from "../limits.js";
import { peerOf } from "../access/peer.js";

/** Its clients send requests for as long as they like. */
const REFLECTION = "/grpc.reflection.";

type StreamListener = (this: Http2Server, ...args: unknown[]) => void;

export interface StreamGuardOptions {
  readonly guard: Guard;
  readonly timeouts: Timeouts;
  readonly logger: Logger;
}

/**
 * Stands between the HTTP/2 server that grpc-js has made and grpc-js, which then
 * sees only calls that may be made, and is spared what it does not look after:
 *
 * - A stream may have been reset in the packet that opened it. grpc-js would answer
 *   it all the same, which throws where nobody catches, and ends the process.
 * - The end of a stream is not always that of a request; it would begin the call.
 * - A request that is not whole in time is broken off; so is one that has been
 *   answered before, whose client could go on sending for ever.
 * - Calls without a token get a little: grpc-js collects and unpacks as much as the
 *   largest message takes, for each, before any handler is asked.
 * - A connection that only cancels calls, or has them refused, is closed, and one whose
 *   client does not answer pings.
 */
export function guardStreams(server: Http2Server, options: StreamGuardOptions): void {
  const { guard, timeouts, logger } = options;
  const serve = server.listeners("stream") as StreamListener[];
  server.removeAllListeners("stream");
  const patience = new WeakMap<Http2Session, Patience>();
  const liveness = new WeakMap<Http2Session, Http2Liveness>();
  const openCalls = new Set<ServerHttp2Stream>();

  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rest: unknown[]) => {
    const { session } = stream;
    if (!session || session.destroyed) return;
    const left = patience.get(session) ?? new Patience(session);
    patience.set(session, left);
    if (stream.destroyed || stream.closed) return left.onCancelled();
    stream.once("aborted", () => left.onCancelled());
    liveness.get(session)?.addCall(stream);
    closeOnceAnswered(stream);

    const admission = guard(headers, peerOf(session.socket));
    switch (admission.kind) {
      case "refused":
        refuse(stream, toGrpcStatus(admission.error));
        return left.onRefused();
      case "open":
        if (openCalls.size >= MAX_OPEN_CALLS) return stream.close(constants.NGHTTP2_REFUSED_STREAM);
        openCalls.add(stream);
        stream.once("close", () => openCalls.delete(stream));
        closeIfLarge(stream, MAX_OPEN_REQUEST_BYTES);
        break;
      case "admitted":
        left.onAdmitted();
    }
    if (!headers[":path"]?.startsWith(REFLECTION)) closeIfLate(stream, timeouts.requestMs);
    for (const listener of serve) listener.call(server, stream, headers, ...rest);
    holdBackEnd(stream);
  };

  server.on("session", (session) => liveness.set(session, new Http2Liveness(session, timeouts)));
  server.on("stream", (stream, headers, ...rest: unknown[]) => {
    // What broke is seen by whoever reads and writes.
    stream.on("error", () => {});
    try {
      onStream(stream, headers, rest);
    } catch (error) {
      // Nobody else would catch it, and it would end the process.
      logger.error({ err: error }, "a gRPC call failed unexpectedly");
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  });
}

/** With one connection; it is closed where there is none left. */
class Patience {
  readonly #session: Http2Session;
  #refusedCalls = 0;
  #cancelledCalls = 0;
  #countedMs = performance.now();

  constructor(session: Http2Session) {
    this.#session = session;
  }

  onAdmitted(): void {
    this.#refusedCalls = 0;
  }

  onRefused(): void {
    this.#refusedCalls += 1;
    if (this.#refusedCalls > MAX_REFUSED_CALLS) this.#end();
  }

  onCancelled(): void {
    const nowMs = performance.now();
    const forgiven = ((nowMs - this.#countedMs) / 1000) * MAX_CANCELLED_CALLS_PER_SECOND;
    this.#countedMs = nowMs;
    this.#cancelledCalls = Math.max(0, this.#cancelledCalls - forgiven) + 1;
    if (this.#cancelledCalls > MAX_CANCELLED_CALLS) this.#end();
  }

  /** Later: within one of its events it is still reading, and Node's own assertions would end the process. */
  #end(): void {
    setImmediate(() => {
      // Without an error Node forgets the code.
      const error = new Error("too many calls were refused or cancelled");
      this.#session.destroy(error, constants.NGHTTP2_ENHANCE_YOUR_CALM);
    });
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
 * A stream that was answered already, or broken off, ends as well. grpc-js takes that
 * for the end of the request, begins the call, and never cancels it.
 */
function holdBackEnd(stream: ServerHttp2Stream): void {
  const listeners = stream.listeners("end") as (() => void)[];
  stream.removeAllListeners("end");
  stream.once("end", () => {
    if (stream.writableEnded || stream.closed) return;
    for (const listener of listeners) listener.call(stream);
  });
}

/** With the code that says: this is the answer, and no more of the request is wanted. */
function closeOnceAnswered(stream: ServerHttp2Stream): void {
  stream.once("finish", () => {
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
  });
}

function closeIfLate(stream: ServerHttp2Stream, timeoutMs: number): void {
  const timer = setTimeout(() => {
    if (!stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL);
  }, timeoutMs);
  stream.once("close", () => clearTimeout(timer));
}

function closeIfLarge(stream: ServerHttp2Stream, maxBytes: number): void {
  let bytes = 0;
  stream.on("data", (data: Buffer) => {
    bytes += data.length;
    if (bytes > maxBytes) stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
  });
}
