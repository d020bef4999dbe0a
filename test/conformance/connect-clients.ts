import { readFileSync } from "node:fs";
import { connect } from "node:net";
import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { connectCaller } from "./connect-caller.js";
import {
  authorization,
  type ConformanceClient,
  lacks,
  type Need,
  type Target,
  type TlsPaths,
} from "./conformance-client.js";

/** The three protocols of @connectrpc/connect-node. */
export function connectClients(target: Target): ConformanceClient[] {
  const { baseUrl, socketPath } = target;
  const nodeOptions = {
    ...tlsOptions(target),
    ...(socketPath === undefined ? {} : { socketPath }),
    // A connection kept open may be closed by the server just when it is used again, where the
    // client was too busy to notice.
    agent: false as const,
  };
  const http1 = { baseUrl, httpVersion: "1.1" as const, nodeOptions };
  const sessions = new Http2SessionManager(baseUrl, undefined, {
    ...tlsOptions(target),
    ...(socketPath === undefined ? {} : { createConnection: () => connect(socketPath) }),
  });
  const grpc = createGrpcTransport({ baseUrl, sessionManager: sessions });
  return [
    connectClient("Connect", target, createConnectTransport(http1), ["lasting connection"]),
    connectClient("gRPC-Web", target, createGrpcWebTransport(http1), ["lasting connection"]),
    connectClient("gRPC (connect-node)", target, grpc, [], () => sessions.abort()),
  ];
}

function connectClient(
  kind: string,
  target: Target,
  transport: Transport,
  needs: readonly Need[],
  close = () => {},
): ConformanceClient {
  return {
    kind,
    over: target.over,
    lacks: lacks(target, ...needs),
    ...connectCaller(transport, (options) => authorization(target, options)),
    close: async () => close(),
  };
}

function tlsOptions({ tls }: Target): Partial<Record<keyof TlsPaths, Buffer>> {
  const paths: [string, string][] = Object.entries(tls ?? {});
  return Object.fromEntries(paths.map(([name, path]) => [name, readFileSync(path)]));
}
