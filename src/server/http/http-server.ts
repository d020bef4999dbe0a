import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Code, type ConnectError } from "@connectrpc/connect";
import { codeToHttpStatus, errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import { errorWithInfo } from "../../wire/error-map.js";
import type { AccessControl } from "../access/access-control.js";
import type { ConnectHandler } from "./connect-handler.js";
import { allowCrossOrigin, answerPreflight } from "./cross-origin.js";
import { MAX_HEADER_BYTES, MAX_HEADERS, type Timeouts } from "../limits.js";
import { type Peer, peerOf } from "../access/peer.js";

const HINT = `There is nothing to see here. This is a procman server: call
procman.v1.ProcmanService with the procman command, or with any client of
Connect, gRPC-Web or gRPC.
`;

export interface HttpServerOptions {
  readonly rpc: ConnectHandler;
  readonly access: AccessControl;
  /** Whether everybody must call the server by its own name; over a unix socket only browsers. */
  readonly checksHost: boolean;
  readonly timeouts: Timeouts;
  readonly closing: AbortSignal;
}

/** An HTTP/1.1 server that listens to nothing: connections are emitted to it. */
export function createHttpServer(options: HttpServerOptions): Server {
  const { timeouts, closing } = options;
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: timeouts.handshakeMs,
      requestTimeout: Math.max(timeouts.requestMs, timeouts.handshakeMs),
      connectionsCheckingInterval: Math.ceil(timeouts.handshakeMs / 4),
    },
    (req, res) => {
      // Connections break; whoever reads and writes finds out on their own.
      req.on("error", () => {});
      res.on("error", () => {});
      if (closing.aborted) res.setHeader("Connection", "close");
      handleRequest(req, res, options);
    },
  );
  // Node would leave out what is beyond a count, an origin perhaps.
  server.maxHeadersCount = 0;
  // What starts to look after timeouts; listen() would do it.
  server.emit("listening");
  return server;
}

function handleRequest(req: IncomingMessage, res: ServerResponse, options: HttpServerOptions) {
  const { rpc, access, closing } = options;
  const peer = peerOf(req.socket);
  const refusal = refusalOf(req, peer, options);
  if (refusal) return refuse(res, refusal);

  const { origin } = req.headers;
  if (origin !== undefined && access.isAllowedOrigin(origin)) allowCrossOrigin(res, origin);
  if (req.method === "OPTIONS") return answerPreflight(req, res);
  if (rpc(req, res, peer)) return;
  if (isRead(req) && req.url === "/healthz") {
    return closing.aborted ? sendText(res, 503, "closing\n") : sendText(res, 200, "ok\n");
  }
  return sendText(res, 404, HINT);
}

interface Refusal {
  readonly status: number;
  readonly error: ConnectError;
}

function refusalOf(
  req: IncomingMessage,
  peer: Peer,
  { access, checksHost }: HttpServerOptions,
): Refusal | undefined {
  if (req.rawHeaders.length > 2 * MAX_HEADERS) {
    const message = `there are more than ${MAX_HEADERS} headers`;
    return {
      status: 431,
      error: errorWithInfo(Code.ResourceExhausted, "INVALID_ARGUMENT", message),
    };
  }
  if (!req.url?.startsWith("/")) return badRequest("the request's target is not a path");
  if ((req.headersDistinct["host"]?.length ?? 0) > 1) return badRequest("there are several Hosts");
  const { host, origin } = req.headers;
  // Browsers send an origin with each POST. A tunnel can lead them to a unix socket.
  const mayBeBrowser = origin !== undefined || req.method !== "POST";
  const hostError =
    checksHost || mayBeBrowser ? access.checkHost(host, peer) : access.checkHostSyntax(host);
  if (hostError) {
    return { status: hostError.code === Code.InvalidArgument ? 400 : 421, error: hostError };
  }
  const originError = access.checkOrigin(origin, host, "encrypted" in req.socket);
  return originError && { status: codeToHttpStatus(originError.code), error: originError };
}

function badRequest(message: string): Refusal {
  return { status: 400, error: errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message) };
}

/** In the form of a Connect error, so that clients can tell what was wrong. */
function refuse(res: ServerResponse, { status, error }: Refusal): void {
  const body = errorToJsonBytes(error, undefined);
  res.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": body.length,
    Connection: "close",
  });
  res.end(body);
}

function sendText(res: ServerResponse, status: number, text: string): void {
  res.writeHead(status, {
    "Content-Type": "text/plain; charset=utf-8",
    "Content-Length": Buffer.byteLength(text),
  });
  res.end(text);
}

function isRead({ method }: IncomingMessage): boolean {
  return method === "GET" || method === "HEAD";
}
