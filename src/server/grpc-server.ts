import type { ServiceImpl } from "@connectrpc/connect";
import { type ConnectionInjector, experimental, Server, ServerCredentials } from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import { file_procman_v1_procman, ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import type { AccessControl } from "./access-control.js";
import { adaptService } from "./grpc-adapter.js";
import { guardLocal, guardNetwork } from "./grpc-guard.js";
import { createReflection } from "./grpc-reflection.js";
import { MAX_REQUEST_BYTES, MAX_RESPONSE_BYTES } from "./limits.js";

/** A gRPC server that listens to nothing: connections are injected. */
export interface GrpcServer {
  /** For connections over TCP. */
  readonly network: ConnectionInjector;
  /** For connections over the unix socket: no token is asked for. */
  readonly local: ConnectionInjector;
  /** Takes no new calls, and closes each connection when its calls are over. */
  closeWhenIdle(): void;
  /** Breaks off what is left. */
  destroy(): void;
}

/** The service with health checks and reflection beside it. */
export function createGrpcServer(
  service: ServiceImpl<typeof ProcmanService>,
  access: AccessControl,
): GrpcServer {
  const server = new Server({
    "grpc.max_receive_message_length": MAX_REQUEST_BYTES,
    "grpc.max_send_message_length": MAX_RESPONSE_BYTES,
    // Bookkeeping of every call and connection that nobody asks for.
    "grpc.enable_channelz": 0,
  });
  const { definition, handlers } = adaptService(ProcmanService, service);
  server.addService(definition, handlers);
  createReflection(file_procman_v1_procman).addToServer(server);
  const health = new HealthImplementation({ "": "SERVING", [ProcmanService.typeName]: "SERVING" });
  health.addToServer(server);

  const injector = (guard: ReturnType<typeof guardNetwork>) =>
    server.createConnectionInjector(
      experimental.createServerCredentialsWithInterceptors(ServerCredentials.createInsecure(), [
        guard,
      ]),
    );
  return {
    network: injector(guardNetwork(access)),
    local: injector(guardLocal(access)),
    closeWhenIdle: () => {
      health.setStatus("", "NOT_SERVING");
      health.setStatus(ProcmanService.typeName, "NOT_SERVING");
      server.tryShutdown(() => {});
    },
    destroy: () => server.forceShutdown(),
  };
}
