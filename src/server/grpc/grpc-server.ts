import type { Http2Server } from "node:http2";
import type { ServiceImpl } from "@connectrpc/connect";
import { type ConnectionInjector, Server, ServerCredentials } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Logger } from "pino";
import { ProcmanService } from "../../../gen/procman/v1/procman_pb.js";
import type { AccessControl } from "../access/access-control.js";
import { adaptService } from "./adapt-service.js";
import { type AdmitCall, admitFromNetwork, admitFromSocket } from "./admit-call.js";
import { createReflection } from "./grpc-reflection.js";
import { guardStreams } from "./guard-streams.js";
import {
  MAX_CONCURRENT_STREAMS,
  MAX_REQUEST_BYTES,
  MAX_RESPONSE_BYTES,
  type Timeouts,
} from "../limits.js";

/** A gRPC server that does not listen itself: it is given connections. */
export interface GrpcServer {
  /** For connections over TCP. */
  readonly network: ConnectionInjector;
  /** For connections over the unix socket: no token is asked for. */
  readonly local: ConnectionInjector;
  /** Takes no new calls, and closes each connection when its calls are over. */
  closeWhenIdle(): void;
  /** Breaks off the calls that are left. */
  destroy(): void;
}

export interface GrpcServerOptions {
  readonly service: ServiceImpl<typeof ProcmanService>;
  readonly access: AccessControl;
  readonly timeouts: Timeouts;
  /** Aborts the signals of the calls under way, with its reason. */
  readonly closing: AbortSignal;
  readonly logger: Logger;
}

/** Serves the service, with health checks and reflection beside it. */
export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { service, access, timeouts, closing, logger } = options;
  const server = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": MAX_RESPONSE_BYTES,
    "grpc.max_concurrent_streams": MAX_CONCURRENT_STREAMS,
    "grpc.max_connection_idle_ms": timeouts.idleMs,
    // It keeps figures of every call and connection, which nobody asks for.
    "grpc.enable_channelz": 0,
  });
  const { definition, handlers } = adaptService(ProcmanService, service, closing);
  server.addService(definition, handlers);
  createReflection().addToServer(server);
  const health = new HealthImplementation({ "": "SERVING", [ProcmanService.typeName]: "SERVING" });
  health.addToServer(server);

  /** Makes what takes the connections of one kind of listener. */
  const createSink = (admit: AdmitCall): ConnectionInjector => {
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    // A private property: grpc-js has no other way to its HTTP/2 server. Hence the pinned minor
    // version in package.json; and where it is gone, nothing is served rather than unguarded.
    const http2Server = [...server["http2Servers"].keys()].at(-1);
    if (!http2Server) throw new Error("grpc-js has changed: its HTTP/2 server is not found");
    guardStreams(http2Server as Http2Server, { admit, timeouts, logger });
    return injector;
  };
  const network = createSink(admitFromNetwork(access));
  const local = createSink(admitFromSocket(access));
  return {
    network,
    local,
    closeWhenIdle: () => {
      health.setStatus("", "NOT_SERVING");
      health.setStatus(ProcmanService.typeName, "NOT_SERVING");
      server.tryShutdown(() => {});
    },
    destroy: () => server.forceShutdown(),
  };
}
