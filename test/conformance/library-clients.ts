import {
  type DescMethod,
  fromJson,
  type JsonObject,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { type Client, credentials, makeClientConstructor, Metadata, status } from "@grpc/grpc-js";
import { fromBinary } from "@bufbuild/protobuf";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "../../gen/google/rpc/status_pb.js";
import { procmanGrpcDefinition, ProcmanService } from "../../src/client/grpc.js";
import {
  CallError,
  type CallOptions,
  type ConformanceClient,
  type Method,
  type Target,
} from "./conformance-client.js";

/** Every way of @connectrpc/connect-node, over TCP and the unix socket. */
export function connectClients(target: Target): ConformanceClient[] {
  const overTcp = { baseUrl: target.baseUrl };
  const baseUrl = "http://localhost";
  const { socketPath } = target;
  const http1 = { baseUrl, httpVersion: "1.1" as const, nodeOptions: { socketPath } };
  return [
    connectClient("Connect", target, createConnectTransport({ ...overTcp, httpVersion: "1.1" })),
    connectClient("Connect, unix socket", target, createConnectTransport(http1)),
    connectClient("gRPC-Web", target, createGrpcWebTransport({ ...overTcp, httpVersion: "1.1" })),
    connectClient("gRPC-Web, unix socket", target, createGrpcWebTransport(http1)),
    connectClient("gRPC (connect-node)", target, createGrpcTransport(overTcp)),
  ];
}

function connectClient(name: string, target: Target, transport: Transport): ConformanceClient {
  const client = createClient(ProcmanService, transport) as unknown as Record<
    string,
    (request: Message, options: object) => unknown
  >;
  const isLocal = name.includes("unix");
  const invoke = (method: Method, request: JsonObject, options: CallOptions) => {
    const { desc, input } = encode(method, request);
    const { token = target.token, deadlineMs, signal } = options;
    return client[desc.localName]?.(input, {
      ...(isLocal ? {} : { headers: { authorization: `Bearer ${token}` } }),
      ...(deadlineMs === undefined ? {} : { timeoutMs: deadlineMs }),
      ...(signal ? { signal } : {}),
    });
  };
  return {
    name,
    ...(isLocal ? { cannot: { "wrong token": "the unix socket asks for none" } } : {}),
    async call(method, request, options = {}) {
      try {
        return decode(method, (await invoke(method, request, options)) as Message);
      } catch (error) {
        throw fromConnectError(error);
      }
    },
    async *stream(method, request, options = {}) {
      try {
        const events = invoke(method, request, options) as AsyncIterable<Message>;
        for await (const event of events) yield decode(method, event);
      } catch (error) {
        throw fromConnectError(error);
      }
    },
    close: async () => {},
  };
}

/** grpc-js, the reference implementation for Node. */
export function grpcJsClients(target: Target): ConformanceClient[] {
  const tcp = target.baseUrl.replace("http://", "");
  return [
    grpcJsClient("grpc-js", target, tcp),
    grpcJsClient("grpc-js, unix socket", target, `unix:${target.socketPath}`),
  ];
}

function grpcJsClient(name: string, target: Target, address: string): ConformanceClient {
  const Constructor = makeClientConstructor(procmanGrpcDefinition, "ProcmanService");
  const client: Client = new Constructor(address, credentials.createInsecure());
  const isLocal = name.includes("unix");
  const prepare = (method: Method, request: JsonObject, options: CallOptions) => {
    const { desc, input } = encode(method, request);
    const definition = procmanGrpcDefinition[desc.localName as keyof typeof procmanGrpcDefinition];
    const metadata = new Metadata();
    if (!isLocal) metadata.set("authorization", `Bearer ${options.token ?? target.token}`);
    const deadline =
      options.deadlineMs === undefined ? {} : { deadline: Date.now() + options.deadlineMs };
    return { definition, metadata, input, deadline };
  };
  return {
    name,
    ...(isLocal ? { cannot: { "wrong token": "the unix socket asks for none" } } : {}),
    call(method, request, options = {}) {
      const { definition, metadata, input, deadline } = prepare(method, request, options);
      return new Promise((resolve, reject) => {
        const call = client.makeUnaryRequest(
          definition.path,
          definition.requestSerialize as (message: Message) => Buffer,
          definition.responseDeserialize as (bytes: Buffer) => Message,
          input,
          metadata,
          deadline,
          (error, answer) =>
            error ? reject(fromGrpcError(error)) : resolve(decode(method, answer as Message)),
        );
        options.signal?.addEventListener("abort", () => call.cancel());
      });
    },
    async *stream(method, request, options = {}) {
      const { definition, metadata, input, deadline } = prepare(method, request, options);
      const call = client.makeServerStreamRequest(
        definition.path,
        definition.requestSerialize as (message: Message) => Buffer,
        definition.responseDeserialize as (bytes: Buffer) => Message,
        input,
        metadata,
        deadline,
      );
      options.signal?.addEventListener("abort", () => call.cancel());
      try {
        for await (const event of call) yield decode(method, event as Message);
      } catch (error) {
        throw fromGrpcError(error);
      } finally {
        call.cancel();
      }
    },
    close: async () => {
      client.close();
    },
  };
}

function encode(method: Method, request: JsonObject): { desc: DescMethod; input: Message } {
  const desc = methodOf(method);
  return { desc, input: fromJson(desc.input, request) };
}

function decode(method: Method, answer: Message): JsonObject {
  return toJson(methodOf(method).output, answer as never) as JsonObject;
}

function methodOf(name: Method): DescMethod {
  const method = ProcmanService.methods.find((each) => each.name === name);
  if (!method) throw new Error(`no method ${name}`);
  return method;
}

function fromConnectError(cause: unknown): CallError {
  const error = ConnectError.from(cause);
  const [info] = error.findDetails(ErrorInfoSchema);
  const fields = error
    .findDetails(BadRequestSchema)
    .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field));
  const code = (Code[error.code] ?? "").replaceAll(/(?<!^)([A-Z])/g, "_$1").toUpperCase();
  return new CallError(
    code === "CANCELED" ? "CANCELLED" : code,
    info?.reason,
    info?.domain,
    fields,
    error.rawMessage,
  );
}

function fromGrpcError(cause: unknown): CallError {
  const error = cause as { code?: number; details?: string; metadata?: Metadata };
  const bytes = error.metadata?.get("grpc-status-details-bin")[0];
  const details = bytes === undefined ? [] : fromBinary(StatusSchema, bytes as Buffer).details;
  let reason: string | undefined;
  let domain: string | undefined;
  const fields: string[] = [];
  for (const { typeUrl, value } of details) {
    if (typeUrl.endsWith("/google.rpc.ErrorInfo")) {
      ({ reason, domain } = fromBinary(ErrorInfoSchema, value));
    } else if (typeUrl.endsWith("/google.rpc.BadRequest")) {
      fields.push(...fromBinary(BadRequestSchema, value).fieldViolations.map(({ field }) => field));
    }
  }
  return new CallError(
    status[error.code ?? 2] ?? "UNKNOWN",
    reason,
    domain,
    fields,
    error.details ?? String(cause),
  );
}
