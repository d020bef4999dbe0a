import type { IncomingMessage, ServerResponse } from "node:http";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  createConnectRouter,
  createContextKey,
  createContextValues,
  type Interceptor,
  type MethodImpl,
  type ServiceImpl,
} from "@connectrpc/connect";
import {
  createAsyncIterable,
  type UniversalServerRequest,
  type UniversalServerResponse,
} from "@connectrpc/connect/protocol";
import { errorToJsonBytes } from "@connectrpc/connect/protocol-connect";
import {
  compressionGzip,
  universalRequestFromNodeRequest,
  universalResponseToNodeResponse,
} from "@connectrpc/connect-node";
import type { Logger } from "pino";
import { ProcmanService } from "../../../gen/procman/v1/procman_pb.js";
import { errorWithInfo } from "../../wire/error-map.js";
import { MAX_DEADLINE_MS, MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES } from "../limits.js";
import { type Peer, peerKey } from "../access/peer.js";
import { bypassOutput, OutputBypass, outputBypassKey } from "./output-bypass.js";

/** For less than a large list, compressing costs more time than it saves. */
const COMPRESS_MIN_BYTES = 256 * 1024;
const NEVER_COMPRESS = Number.MAX_SAFE_INTEGER;

/** Only what is on its way already is waited for. */
const REQUEST_DRAIN_TIMEOUT_MS = 5000;

const refusalKey = createContextKey<ConnectError | undefined>(undefined);

export interface ConnectHandlerOptions {
  readonly service: ServiceImpl<typeof ProcmanService>;
  readonly check: CallCheck;
  /** Aborts the signals of the calls under way, with its reason. */
  readonly closing: AbortSignal;
  readonly logger: Logger;
}

/** Returns the error to refuse a call with, or undefined. It is asked once for each. */
export type CallCheck = (
  req: IncomingMessage,
  res: ServerResponse,
  peer: Peer,
) => ConnectError | undefined;

/** Serves a request, or returns false when its path is no RPC's. */
export type ConnectHandler = (req: IncomingMessage, res: ServerResponse, peer: Peer) => boolean;

/** Serves Connect, Connect-Web and gRPC-Web over HTTP/1.1. */
export function createConnectHandler(options: ConnectHandlerOptions): ConnectHandler {
  const { service, check, closing, logger } = options;
  const common = {
    interceptors: [refuse],
    // gRPC proper needs HTTP/2.
    grpc: false,
    acceptCompression: [compressionGzip],
    readMaxBytes: MAX_REQUEST_BYTES,
    writeMaxBytes: MAX_RESPONSE_BYTES,
    maxTimeoutMs: MAX_DEADLINE_MS,
    shutdownSignal: closing,
    // A misspelt field, or name of an enum, would ask for something else in silence.
    jsonOptions: { ignoreUnknownFields: false },
  };
  const unary = createConnectRouter({ ...common, compressMinBytes: COMPRESS_MIN_BYTES });
  const streaming = createConnectRouter({
    ...common,
    interceptors: [refuse, bypassOutput],
    compressMinBytes: NEVER_COMPRESS,
  });
  for (const [name, method] of Object.entries<DescMethod>(ProcmanService.method)) {
    const router = method.methodKind === "unary" ? unary : streaming;
    router.rpc(method, service[name as keyof typeof service] as MethodImpl<DescMethod>);
  }
  const handlers = new Map(
    [...unary.handlers, ...streaming.handlers].map((handler) => [handler.requestPath, handler]),
  );

  return (req, res, peer) => {
    const [path = ""] = (req.url ?? "").split("?", 1);
    const handler = handlers.get(path);
    if (!handler) return false;
    const refusal = check(req, res, peer);
    const values = createContextValues().set(peerKey, peer).set(refusalKey, refusal);
    const bypass = OutputBypass.of(handler.method, req, res);
    values.set(outputBypassKey, bypass);
    const serve = async () => {
      const request = universalRequestFromNodeRequest(req, res, undefined, values);
      res.on("finish", () => req.resume());
      // Too large a request is answered before all of it was read. Destroying it,
      // as iterators do, would leave the connection with half a request in it.
      const body = req.iterator({ destroyOnReturn: false });
      const admitted = refusal ? withoutMessage(request, refusal) : { ...request, body };
      const response = explained(await handler(admitted), req);
      // Some proxies, such as nginx, would keep a stream until it ends.
      if (handler.method.methodKind !== "unary") res.setHeader("X-Accel-Buffering", "no");
      if (bypass && response.body) response.body = bypass.putBack(response.body);
      if (response.body && !res.shouldKeepAlive)
        response.body = untilRequestArrived(response.body, req);
      await universalResponseToNodeResponse(response, res);
    };
    serve().catch((error: unknown) => {
      res.destroy();
      if (clientLeft(error)) return;
      logger.error({ path, peer: peer.name, err: error }, "a request failed unexpectedly");
    });
    return true;
  };
}

/** Says what is wrong with a request that no protocol takes, which Connect leaves without a word. */
function explained(
  response: UniversalServerResponse,
  { method, headers }: IncomingMessage,
): UniversalServerResponse {
  if (response.body !== undefined || response.status < 400) return response;
  const type = headers["content-type"];
  const message =
    response.status === 415
      ? `no RPC takes content of ${type === undefined ? "no type" : `type ${type}`}; send JSON with "Content-Type: application/json" (or what Connect and gRPC-Web send; gRPC needs HTTP/2)`
      : `this RPC cannot be called with ${method}; use POST`;
  const error = errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message);
  const header = new Headers(response.header);
  header.set("Content-Type", "application/json");
  return { ...response, header, body: createAsyncIterable([errorToJsonBytes(error, undefined)]) };
}

/**
 * Ends the last response of a connection when the rest of its request has come in. A
 * connection that is closed with bytes unread is reset, and the client may lose the
 * answer with it.
 */
async function* untilRequestArrived<T>(
  body: AsyncIterable<T> | Iterable<T>,
  req: IncomingMessage,
): AsyncGenerator<T> {
  yield* body;
  await drainRequest(req);
}

function drainRequest(req: IncomingMessage): Promise<void> {
  if (req.complete || req.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, REQUEST_DRAIN_TIMEOUT_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    req.once("end", done);
    req.once("close", done);
    req.resume();
  });
}

/** Refuses a call in its own protocol. */
const refuse: Interceptor = (next) => (request) => {
  const refusal = request.contextValues.get(refusalKey);
  if (refusal) throw refusal;
  return next(request);
};

/**
 * Replaces the message of a call that is refused, so that none is read, decompressed or
 * parsed: Connect does that before it asks interceptors.
 */
function withoutMessage(
  request: UniversalServerRequest,
  refusal: ConnectError,
): UniversalServerRequest {
  const [path = ""] = request.url.split("?", 1);
  const url = `${path}?encoding=json&message={}`;
  const header = new Headers(request.header);
  header.delete("content-length");
  return { ...request, url, header, body: failing(refusal) };
}

function failing(error: Error): AsyncIterable<Uint8Array> {
  const next = async () => {
    throw error;
  };
  return { [Symbol.asyncIterator]: () => ({ next }) };
}

function clientLeft(error: unknown): boolean {
  const { code, cause } = ConnectError.from(error);
  if (code === Code.Aborted || code === Code.Canceled) return true;
  // Otherwise it is a system call on the connection that failed.
  return cause instanceof Error && "syscall" in cause;
}
