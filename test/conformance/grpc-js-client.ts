import { readFileSync } from "node:fs";
import { fromBinary, type JsonObject, type Message } from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type Client,
  credentials,
  makeClientConstructor,
  Metadata,
  status,
} from "@grpc/grpc-js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { procmanGrpcDefinition } from "../../src/client/grpc.js";
import { callError, type CallError } from "./call-error.js";
import { decode, encode } from "./connect-caller.js";
import {
  authorization,
  type CallOptions,
  type ConformanceClient,
  grpcAddress,
  lacks,
  type Method,
  type Target,
} from "./conformance-client.js";

/** grpc-js, the reference implementation for Node. */
export function grpcJsClient(target: Target): ConformanceClient {
  const Constructor = makeClientConstructor(procmanGrpcDefinition, "ProcmanService");
  const client: Client = new Constructor(
    grpcAddress(target),
    credentialsFor(target),
    // A name, since TLS has none for addresses; the certificate is for both.
    target.tls ? { "grpc.ssl_target_name_override": "localhost" } : {},
  );
  const prepare = (method: Method, request: JsonObject, options: CallOptions) => {
    const { desc, input } = encode(method, request);
    const definition = procmanGrpcDefinition[desc.localName as keyof typeof procmanGrpcDefinition];
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(authorization(target, options))) {
      metadata.set(name, value);
    }
    const deadline =
      options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    const serialize = definition.requestSerialize as (message: Message) => Buffer;
    const deserialize = definition.responseDeserialize as (bytes: Buffer) => Message;
    return [definition.path, serialize, deserialize, input, metadata, deadline] as const;
  };
  return {
    kind: "grpc-js",
    over: target.over,
    lacks: lacks(target),
    call(method, request, options = {}) {
      return new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          ...prepare(method, request, options),
          (error, answer) =>
            error ? reject(fromGrpcError(error)) : resolve(decode(method, answer as Message)),
        );
        options.signal?.addEventListener("abort", () => call.cancel());
      });
    },
    async *stream(method, request, options = {}) {
      const call = client.makeServerStreamRequest(...prepare(method, request, options));
      options.signal?.addEventListener("abort", () => call.cancel());
      try {
        for await (const event of call) yield decode(method, event as Message);
      } catch (error) {
        throw fromGrpcError(error);
      } finally {
        call.cancel();
      }
    },
    close: async () => client.close(),
  };
}

function credentialsFor({ tls }: Target): ChannelCredentials {
  if (!tls) return credentials.createInsecure();
  const [ca, key, cert] = [tls.ca, tls.key, tls.cert].map((path) =>
    path === undefined ? null : readFileSync(path),
  );
  return credentials.createSsl(ca, key, cert);
}

function fromGrpcError(cause: unknown): CallError {
  const error = cause as { code?: number; details?: string; metadata?: Metadata };
  const bytes = error.metadata?.get("grpc-status-details-bin")[0];
  const details = bytes === undefined ? [] : fromBinary(StatusSchema, bytes as Buffer).details;
  return callError(
    status[error.code ?? status.UNKNOWN] ?? "UNKNOWN",
    error.details ?? String(cause),
    details.map(({ typeUrl, value }) => ({ type: typeUrl, value })),
  );
}
