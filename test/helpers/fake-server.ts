import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import pino from "pino";
import { onTestFinished } from "vitest";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import {
  type RunningServer,
  type ServerOptions,
  startServer,
} from "../../src/server/start-server.js";
import { FakeProcman } from "./fake-procman.js";
import { tempDir } from "./temp-dir.js";

/** A server in this process, over jobs that are what the test says. */
export interface FakeServer extends RunningServer {
  readonly procman: FakeProcman;
  readonly stateDir: string;
  readonly host: string;
  readonly port: number;
  /** "127.0.0.1:1234". */
  readonly authority: string;
  readonly token: string;
  /** What was logged, parsed. */
  readonly logged: readonly Record<string, unknown>[];
}

export type Protocol = "connect" | "grpc-web" | "grpc";

/** Closed when the test is over. */
export async function startFakeServer(options: Partial<ServerOptions> = {}): Promise<FakeServer> {
  const stateDir = options.stateDir ?? join(tempDir(), "state");
  const procman = new FakeProcman();
  const logged: Record<string, unknown>[] = [];
  const logger = pino(
    { level: "debug" },
    new Writable({
      write(line: Buffer, _encoding, done) {
        logged.push(JSON.parse(line.toString()) as Record<string, unknown>);
        done();
      },
    }),
  );
  const server = await startServer({
    procman,
    stateDir,
    listen: [{ host: "127.0.0.1", port: 0 }],
    logger,
    ...options,
  });
  onTestFinished(() => server.close());
  const { host, port } = server.addresses[0] ?? { host: "", port: 0 };
  const token = readFileSync(server.tokenPath, "utf8").trim();
  const authority = `${host}:${port}`;
  return { ...server, procman, stateDir, host, port, authority, token, logged };
}

/** A client over TCP; without a token where that is "". */
export function networkClient(
  server: FakeServer,
  protocol: Protocol,
  token = server.token,
): Client<typeof ProcmanService> {
  const addToken: Interceptor = (next) => (request) => {
    if (token !== "") request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const baseUrl = `http://${server.authority}`;
  const transport = createTransport(protocol, { baseUrl, interceptors: [addToken] });
  return createClient(ProcmanService, transport);
}

/** A client over the unix socket. */
export function localClient(
  server: FakeServer,
  protocol: "connect" | "grpc-web",
): Client<typeof ProcmanService> {
  const nodeOptions = { socketPath: server.socketPath };
  const transport = createTransport(protocol, { baseUrl: "http://localhost", nodeOptions });
  return createClient(ProcmanService, transport);
}

function createTransport(
  protocol: Protocol,
  options: { baseUrl: string; interceptors?: Interceptor[]; nodeOptions?: { socketPath: string } },
): Transport {
  switch (protocol) {
    case "connect":
      return createConnectTransport({ httpVersion: "1.1", ...options });
    case "grpc-web":
      return createGrpcWebTransport({ httpVersion: "1.1", ...options });
    case "grpc": {
      const { nodeOptions: _, ...rest } = options;
      return createGrpcTransport(rest);
    }
  }
}
