import { Agent } from "node:http";
import { create } from "@bufbuild/protobuf";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { credentials, makeClientConstructor, Metadata } from "@grpc/grpc-js";
import { procmanGrpcDefinition } from "../src/client/grpc.js";
import {
  AttachRequestSchema,
  type AttachResponse,
  ProcmanService,
  Stream,
} from "../gen/procman/v1/procman_pb.js";

export const TRANSPORTS = ["gRPC, TCP", "gRPC, socket", "Connect, TCP", "Connect, socket"] as const;
export type Transport = (typeof TRANSPORTS)[number];

/** How a server is reached. */
export interface Target {
  /** "127.0.0.1:1234". */
  readonly authority: string;
  readonly token: string;
  readonly socketPath: string;
}

/** A client, with as many followers as are asked for on it. */
export interface FollowClient {
  /** Resolves once the stream is open, at the end of the job's standard output. */
  follow(id: string, onData: (data: Uint8Array) => void): Promise<void>;
  close(): void;
}

/** What users have: grpc-js with procman/grpc, and Connect's own client. */
export function createFollowClient(transport: Transport, target: Target): FollowClient {
  switch (transport) {
    case "gRPC, TCP":
      return grpcClient(target.authority, target.token);
    case "gRPC, socket":
      return grpcClient(`unix:${target.socketPath}`);
    case "Connect, TCP":
      return connectClient({}, `http://${target.authority}`, target.token);
    case "Connect, socket":
      return connectClient({ socketPath: target.socketPath }, "http://localhost");
  }
}

function requestOf(id: string) {
  return { id, follow: true, tailLines: 0, streams: [Stream.STDOUT] };
}

function grpcClient(address: string, token?: string): FollowClient {
  const Client = makeClientConstructor(procmanGrpcDefinition, "ProcmanService");
  const client = new Client(address, credentials.createInsecure());
  const metadata = new Metadata();
  if (token !== undefined) metadata.set("authorization", `Bearer ${token}`);
  const attach = client["attach"]?.bind(client) as (
    request: unknown,
    metadata: Metadata,
  ) => NodeJS.ReadableStream;
  return {
    follow: (id, onData) =>
      new Promise((resolve, reject) => {
        const call = attach(create(AttachRequestSchema, requestOf(id)), metadata);
        call.on("data", ({ event }: AttachResponse) => {
          if (event.case === "chunk") onData(event.value.data);
          else if (event.case === "opened") resolve();
        });
        // After the end it is nobody's business.
        call.on("error", reject);
      }),
    close: () => client.close(),
  };
}

function connectClient(
  nodeOptions: { socketPath?: string },
  baseUrl: string,
  token?: string,
): FollowClient {
  const agent = new Agent({ keepAlive: true });
  const leaving = new AbortController();
  const sendToken: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = createConnectTransport({
    baseUrl,
    httpVersion: "1.1",
    nodeOptions: { ...nodeOptions, agent },
    interceptors: [sendToken],
  });
  const client = createClient(ProcmanService, transport);
  return {
    follow: (id, onData) =>
      new Promise((resolve, reject) => {
        const receive = async () => {
          for await (const { event } of client.attach(requestOf(id), { signal: leaving.signal })) {
            if (event.case === "chunk") onData(event.value.data);
            else if (event.case === "opened") resolve();
          }
        };
        receive().catch(reject);
      }),
    close: () => {
      leaving.abort();
      agent.destroy();
    },
  };
}
