import { once } from "node:events";
import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, type HandlerContext, type ServiceImpl } from "@connectrpc/connect";
import type {
  MethodDefinition,
  sendUnaryData,
  ServerUnaryCall,
  ServerWritableStream,
  UntypedHandleCall,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { errorWithInfo, toConnectError } from "../service/error-map.js";
import { GrpcContext } from "./grpc-context.js";
import { toGrpcStatus } from "./grpc-status.js";

type Init = MessageInitShape<DescMessage>;
type Unary = (request: Message, context: HandlerContext) => Promise<Init>;
type ServerStreaming = (request: Message, context: HandlerContext) => AsyncIterable<Init>;
type BytesMethod = MethodDefinition<Uint8Array, Uint8Array>;

/** A service as grpc-js serves it: messages are bytes to it. */
export interface GrpcService {
  readonly definition: Readonly<Record<string, BytesMethod>>;
  readonly handlers: UntypedServiceImplementation;
}

/** Serves through grpc-js what is written as a Connect service. */
export function adaptService<Service extends DescService>(
  service: Service,
  implementation: ServiceImpl<Service>,
): GrpcService {
  const definition: Record<string, BytesMethod> = {};
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const [name, method] of Object.entries<DescMethod>(service.method)) {
    definition[name] = defineMethod(method);
    const handler: unknown = implementation[name as keyof Service["method"]];
    switch (method.methodKind) {
      case "unary":
        handlers[name] = adaptUnary(method, handler as Unary);
        break;
      case "server_streaming":
        handlers[name] = adaptServerStreaming(method, handler as ServerStreaming);
        break;
      case "client_streaming":
      case "bidi_streaming":
        throw new Error(`${service.typeName}.${method.name}: client streams are not supported`);
    }
  }
  return { definition, handlers };
}

/** Decoding is left to the handlers: grpc-js would report bytes that are no message as its own fault. */
function defineMethod(method: DescMethod): BytesMethod {
  return {
    path: `/${method.parent.typeName}/${method.name}`,
    originalName: method.localName,
    requestStream: false,
    responseStream: method.methodKind === "server_streaming",
    requestSerialize: asBuffer,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: asBuffer,
    responseDeserialize: (bytes) => bytes,
  };
}

function adaptUnary(method: DescMethod, handler: Unary) {
  const answer = async (
    call: ServerUnaryCall<Uint8Array, Uint8Array>,
    callback: sendUnaryData<Uint8Array>,
  ) => {
    const context = new GrpcContext(method, call);
    try {
      const response = await handler(decode(method.input, call.request), context);
      callback(null, encode(method.output, response));
    } catch (error) {
      callback(toGrpcStatus(toConnectError(error, context.signal)));
    } finally {
      context.end();
    }
  };
  return (call: ServerUnaryCall<Uint8Array, Uint8Array>, callback: sendUnaryData<Uint8Array>) =>
    void answer(call, callback);
}

function adaptServerStreaming(method: DescMethod, handler: ServerStreaming) {
  const answer = async (call: ServerWritableStream<Uint8Array, Uint8Array>) => {
    const context = new GrpcContext(method, call);
    try {
      for await (const response of handler(decode(method.input, call.request), context)) {
        context.signal.throwIfAborted();
        if (!call.write(encode(method.output, response))) {
          await once(call, "drain", { signal: context.signal });
        }
      }
      call.end();
    } catch (error) {
      call.emit("error", toGrpcStatus(toConnectError(error, context.signal)));
    } finally {
      context.end();
    }
  };
  return (call: ServerWritableStream<Uint8Array, Uint8Array>) => void answer(call);
}

function decode(schema: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    const message = `the request is not a ${schema.typeName}`;
    throw errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message, { cause });
  }
}

function encode(schema: DescMessage, init: Init): Uint8Array {
  return toBinary(schema, create(schema, init));
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
