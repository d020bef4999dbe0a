import type { Socket } from "node:net";

/** The bytes that every HTTP/2 client sends first; no request of HTTP/1 begins so. */
const HTTP2_PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** What takes a connection over once its protocol is known. */
export interface ProtocolHandlers {
  http1(socket: Socket): void;
  http2(socket: Socket): void;
}

/**
 * Hands a new connection to the handler of the protocol that its first bytes speak,
 * with those bytes still to be read. A connection is destroyed when it ends before
 * that, or has not said enough after `timeoutMs`.
 */
export function sniffProtocol(socket: Socket, handlers: ProtocolHandlers, timeoutMs: number): void {
  let seen: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);

  const onReadable = () => {
    const bytes = socket.read() as Buffer | null;
    if (!bytes) return;
    seen = seen.length === 0 ? bytes : Buffer.concat([seen, bytes]);
    const protocol = protocolOf(seen);
    if (!protocol) return;
    stop();
    // Not before, and only once: bytes that are put back while this listens would
    // be announced as readable again, for ever.
    socket.unshift(seen);
    handlers[protocol](socket);
  };
  const onEnd = () => socket.destroy();
  const stop = () => {
    clearTimeout(timer);
    socket.off("readable", onReadable);
    socket.off("end", onEnd);
    socket.off("close", stop);
  };
  socket.on("readable", onReadable);
  socket.on("end", onEnd);
  socket.on("close", stop);
}

/** Returns the protocol that these bytes begin, or undefined while it can be both. */
export function protocolOf(bytes: Buffer): keyof ProtocolHandlers | undefined {
  const start = bytes.subarray(0, HTTP2_PREFACE.length);
  if (!start.equals(HTTP2_PREFACE.subarray(0, start.length))) return "http1";
  return start.length === HTTP2_PREFACE.length ? "http2" : undefined;
}
