import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { Code, cors } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { errorWithInfo } from "../../wire/error-map.js";
import type { AccessControl } from "../access/access-control.js";
import type { ConnectHandler } from "./connect-handler.js";
import { refuse, type Refusal } from "./refusal.js";
import type { ScrapeHandler } from "./scrape-handler.js";
import { MAX_HEADER_BYTES, MAX_HEADERS, type Timeouts } from "../limits.js";
import { type Peer, peerOf } from "../access/peer.js";

/** How long browsers remember what may be called from a page of another origin. */
const PREFLIGHT_MAX_AGE_SECONDS = 7200;

const HINT = `There is nothing to see here. This is a procman server: call
procman.v1.ProcmanService with the procman command, or with any client of
Connect, gRPC-Web or gRPC. "procman ui" opens its page.
`;

export interface HttpServerOptions {
  readonly rpc: ConnectHandler;
  readonly scrape: ScrapeHandler;
  /** Serves the page and its sessions. Default: there is no page. */
  readonly page?: ConnectHandler;
  readonly access: AccessControl;
  /** Whether every call must name a host of the server's. Otherwise only those of browsers must. */
  readonly checksHost: boolean;
  readonly timeouts: Timeouts;
  readonly closing: AbortSignal;
}

/** Makes an HTTP/1.1 server that does not listen itself: connections are emitted to it. */
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
      // Whoever reads or writes finds out that the connection broke.
      req.on("error", () => {});
      res.on("error", () => {});
      if (closing.aborted) res.setHeader("Connection", "close");
      handleRequest(req, res, options);
    },
  );
  // The server starts to check its timeouts at this event, which listen() would emit.
  server.emit("listening");
  return server;
}

function handleRequest(req: IncomingMessage, res: ServerResponse, options: HttpServerOptions) {
  const { rpc, scrape, page, access, closing } = options;
  const peer = peerOf(req.socket);
  const refusal = refusalOf(req, peer, options);
  const asksHealth = isRead(req) && req.url === "/healthz";
  if (refusal) {
    // Here alone a page may read why it is refused: browsers tell pages nothing of the
    // refusal of a call, which they ask about beforehand.
    if (asksHealth) res.setHeader("Access-Control-Allow-Origin", "*");
    return refuse(res, refusal);
  }

  const { origin } = req.headers;
  if (origin !== undefined && access.isAllowedOrigin(origin)) allowCrossOrigin(res, origin);
  if (req.method === "OPTIONS") return answerPreflight(req, res);
  if (rpc(req, res, peer) || scrape(req, res, peer) || page?.(req, res, peer)) return;
  if (asksHealth) {
    return closing.aborted ? sendText(res, 503, "closing\n") : sendText(res, 200, "ok\n");
  }
  return sendText(res, 404, HINT);
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

/** Lets an allowed page read the response to its call. */
function allowCrossOrigin(res: ServerResponse, origin: string): void {
  res.setHeader("Access-Control-Allow-Origin", origin);
  res.setHeader("Access-Control-Expose-Headers", cors.exposedHeaders.join(", "));
  res.setHeader("Vary", "Origin");
}

/** Answers the request that a browser makes before an allowed page's call. */
function answerPreflight(req: IncomingMessage, res: ServerResponse): void {
  if (req.headers["access-control-request-method"] !== undefined) {
    const headers = [...cors.allowedHeaders, "Authorization"];
    res.setHeader("Access-Control-Allow-Methods", cors.allowedMethods.join(", "));
    res.setHeader("Access-Control-Allow-Headers", headers.join(", "));
    res.setHeader("Access-Control-Max-Age", PREFLIGHT_MAX_AGE_SECONDS);
  }
  res.writeHead(204).end();
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
