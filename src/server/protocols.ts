import { setMaxListeners } from "node:events";
import type { Logger } from "pino";
import type { Procman } from "../contract/procman.js";
import { ProcmanError } from "../contract/errors.js";
import { defined } from "../platform/defined.js";
import { createProcmanService } from "./procman-service.js";
import type { AccessControl } from "./access/access-control.js";
import { type CallCheck, createConnectHandler } from "./http/connect-handler.js";
import { LateGrpcServer } from "./grpc/late-grpc-server.js";
import { createHttpServer } from "./http/http-server.js";
import type { CallObserver } from "./call-observer.js";
import { createScrapeHandler } from "./http/scrape-handler.js";
import type { Metrics } from "./metrics/metrics.js";
import type { Timeouts } from "./limits.js";
import type { ConnectionSink } from "./listeners/listeners.js";
import type { PageDoor } from "./page/page-door.js";
import type { PageFiles } from "./page/page-files.js";

export interface ProtocolsOptions {
  readonly procman: Procman;
  readonly access: AccessControl;
  readonly metrics: Metrics;
  /** Makes spans of calls. */
  readonly tracing?: CallObserver;
  readonly page: { readonly files: PageFiles; readonly door: PageDoor };
  readonly logger: Logger;
  readonly heartbeatIntervalMs?: number;
  readonly timeouts: Timeouts;
}

export interface Protocols {
  /** For connections over TCP. */
  readonly network: ConnectionSink;
  /** For connections over the unix socket. */
  readonly local: ConnectionSink;
  /** Aborts the signals of the calls under way, and takes no new gRPC calls. */
  startClosing(): void;
  /** Closes the HTTP/1.1 connections on which no call is under way. */
  closeIdle(): void;
  /** Breaks off the calls that are left. */
  destroy(): void;
}

/** Puts one service behind every protocol. Only calls over TCP need the token and the right host. */
export function createProtocols(options: ProtocolsOptions): Protocols {
  const { procman, access, page, metrics, tracing, heartbeatIntervalMs, timeouts, logger } =
    options;
  const closing = new AbortController();
  // Each call under way listens to it.
  setMaxListeners(0, closing.signal);
  const service = createProcmanService(procman, {
    logger,
    observers: [metrics.observeCall, ...(tracing ? [tracing] : [])],
    onOutput: (bytes) => {
      metrics.sentOutputBytes += bytes;
    },
    ...defined({ heartbeatIntervalMs }),
  });
  const common = { service, closing: closing.signal, logger };
  const grpc = new LateGrpcServer({ ...common, access, timeouts });
  const http = (isLocal: boolean, check: CallCheck) =>
    createHttpServer({
      rpc: createConnectHandler({ ...common, check }),
      scrape: createScrapeHandler({ metrics, check, logger }),
      page: (req, res, peer) =>
        page.files.serve(req, res) || page.door.serve(req, res, peer, isLocal),
      access,
      checksHost: !isLocal,
      timeouts,
      closing: closing.signal,
    });
  const network = {
    grpc: grpc.network,
    http: http(false, (...call) => page.door.checkCall(...call)),
  };
  const local = { grpc: grpc.local, http: http(true, () => undefined) };
  return {
    network,
    local,
    startClosing: () => {
      grpc.closeWhenIdle();
      closing.abort(new ProcmanError("SHUTTING_DOWN", "the server is shutting down"));
    },
    closeIdle: () => {
      for (const { http } of [network, local]) http.closeIdleConnections();
    },
    destroy: () => {
      grpc.destroy();
      for (const { http } of [network, local]) http.close();
    },
  };
}
