import { createServer, type Server as HttpServer } from "node:http";
import { create, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerWritableStream,
} from "@grpc/grpc-js";
import pino from "pino";
import { AttachResponseSchema, ProcmanService, Stream } from "../gen/procman/v1/procman_pb.js";
import { Manager } from "../src/manager.js";
import { TRANSIENT_CHUNK_BYTES } from "../src/logs/reading/log-file.js";
import { AccessControl } from "../src/server/access/access-control.js";
import { createConnectHandler } from "../src/server/http/connect-handler.js";
import { createGrpcServer } from "../src/server/grpc/grpc-server.js";
import { createHttpServer } from "../src/server/http/http-server.js";
import { DEFAULT_TIMEOUTS } from "../src/server/limits.js";
import { Listeners } from "../src/server/listeners/listeners.js";
import { startServer } from "../src/server/start-server.js";
import { createProcmanService } from "../src/server/procman-service.js";
import { HISTORY_BYTES } from "./history-bytes.js";

/**
 * A procman server that also answers Attach, on two other ports of the same
 * process, with as many bytes of one constant chunk as a log has:
 *   constant  by the same gRPC and Connect stack, from a generator that yields
 *             one ready-made message;
 *   raw       by grpc-js and node:http alone, one encoded message written again
 *             and again.
 */
const LISTEN = { host: "127.0.0.1", port: 0 };
const MAX_CONNECTIONS = 1000;
const CHUNKS = HISTORY_BYTES / TRANSIENT_CHUNK_BYTES;
const CHUNK = create(AttachResponseSchema, {
  event: {
    case: "chunk",
    value: {
      stream: Stream.STDOUT,
      offset: 2n ** 29n,
      data: Buffer.alloc(TRANSIENT_CHUNK_BYTES, "x"),
    },
  },
});

const [stateDir = ""] = process.argv.slice(2);
const logger = pino({ level: "info" }, pino.destination(2));
const listeners = new Listeners({
  handshakeTimeoutMs: DEFAULT_TIMEOUTS.handshakeMs,
  maxConnections: MAX_CONNECTIONS,
  logger,
});
await serveConstant();
await serveRaw();
const manager = await Manager.open({ stateDir });
const server = await startServer({ procman: manager, stateDir, listen: [LISTEN], logger });
process.once("SIGTERM", () => void close());

async function serveConstant(): Promise<void> {
  const access = new AccessControl({
    token: "",
    requiresToken: false,
    allowedHosts: [],
    allowedOrigins: [],
    logger,
  });
  const closing = new AbortController().signal;
  const nobody = {} as Manager;
  const service = {
    ...createProcmanService(nobody, { logger }),
    async *attach(_request: unknown, { signal }: HandlerContext) {
      for (let n = 0; n < CHUNKS && !signal.aborted; n += 1) yield CHUNK;
    },
  };
  const http = createHttpServer({
    rpc: createConnectHandler({ service, check: () => undefined, closing, logger }),
    access,
    checksHost: true,
    scrape: () => false,
    timeouts: DEFAULT_TIMEOUTS,
    closing,
  });
  const timeouts = DEFAULT_TIMEOUTS;
  const grpc = createGrpcServer({ service, access, timeouts, closing, logger }).network;
  await listen("constant", { grpc, http });
}

async function serveRaw(): Promise<void> {
  const bytes = Buffer.from(toBinary(AttachResponseSchema, CHUNK));
  await listen("raw", { grpc: rawGrpc(bytes), http: rawHttp(encodeEnvelope(0, bytes)) });
}

function rawGrpc(bytes: Buffer): ConnectionInjector {
  const grpc = new Server({ "grpc.max_send_message_length": -1, "grpc.enable_channelz": 0 });
  const keep = (buffer: Buffer) => buffer;
  const definition = {
    path: `/${ProcmanService.typeName}/Attach`,
    requestStream: false,
    responseStream: true,
    requestSerialize: keep,
    requestDeserialize: keep,
    responseSerialize: keep,
    responseDeserialize: keep,
  };
  const attach = (call: ServerWritableStream<Buffer, Buffer>) => {
    let left = CHUNKS;
    const write = () => {
      while (left > 0) {
        left -= 1;
        if (!call.write(bytes)) return void call.once("drain", write);
      }
      call.end();
    };
    write();
  };
  grpc.addService({ attach: definition }, { attach });
  return grpc.createConnectionInjector(ServerCredentials.createInsecure());
}

function rawHttp(bytes: Uint8Array): HttpServer {
  return createServer((req, res) => {
    let left = CHUNKS;
    const write = () => {
      while (left > 0) {
        left -= 1;
        if (!res.write(bytes)) return void res.once("drain", write);
      }
      res.end();
    };
    req.resume().once("end", () => {
      res.writeHead(200, { "Content-Type": req.headers["content-type"] ?? "" });
      write();
    });
  });
}

async function listen(
  name: string,
  sink: { grpc: ConnectionInjector; http: HttpServer },
): Promise<void> {
  const { port } = await listeners.openTcp(LISTEN, sink);
  console.log(`${name}: http://127.0.0.1:${port}`);
}

async function close(): Promise<void> {
  await listeners.close();
  listeners.destroyConnections();
  await server.close();
  await manager.close();
  process.exit(0);
}
