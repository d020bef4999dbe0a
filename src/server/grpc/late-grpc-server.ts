import type { Duplex } from "node:stream";
import type { ConnectionInjector } from "@grpc/grpc-js";
import type { GrpcServer, GrpcServerOptions } from "./grpc-server.js";

type Sink = Pick<ConnectionInjector, "injectConnection">;

/**
 * A gRPC server that is loaded and made when the first connection speaks HTTP/2. The
 * libraries would be half of a server's start, and the command line, for which a server
 * is started mostly, needs none of them.
 */
export class LateGrpcServer {
  readonly network: Sink = {
    injectConnection: (connection) => this.#inject("network", connection),
  };
  readonly local: Sink = { injectConnection: (connection) => this.#inject("local", connection) };
  readonly #options: GrpcServerOptions;
  #loading: Promise<GrpcServer> | undefined;
  #server: GrpcServer | undefined;
  #isClosing = false;

  constructor(options: GrpcServerOptions) {
    this.#options = options;
  }

  /** Takes no new calls, and closes each connection when its calls are over. */
  closeWhenIdle(): void {
    this.#isClosing = true;
    this.#server?.closeWhenIdle();
  }

  /** Breaks off the calls that are left. */
  destroy(): void {
    this.#server?.destroy();
  }

  #inject(listener: "network" | "local", connection: Duplex): void {
    if (this.#server) this.#server[listener].injectConnection(connection);
    else void this.#injectLate(listener, connection);
  }

  /** Until then what the client sends waits in the connection. */
  async #injectLate(listener: "network" | "local", connection: Duplex): Promise<void> {
    try {
      this.#loading ??= this.#load();
      const server = await this.#loading;
      if (this.#isClosing || connection.destroyed) connection.destroy();
      else server[listener].injectConnection(connection);
    } catch (error) {
      this.#options.logger.error({ err: error }, "gRPC cannot be served");
      connection.destroy();
    }
  }

  async #load(): Promise<GrpcServer> {
    const { createGrpcServer } = await import("./grpc-server.js");
    this.#server = createGrpcServer(this.#options);
    return this.#server;
  }
}
