import {
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
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
import { errorWithInfo, encodeError } from "../../wire/error-map.js";
import { GrpcContext } from "./grpc-context.js";
import { encodeResponse } from "./encode-response.js";
import { toGrpcStatus } from "./grpc-status.js";
import { MessageEncoder } from "../message-encoder.js";

type Init = MessageInitShape<DescMessage>;
type Unary = (request: Message, context: HandlerContext) => Promise<Init>;
type ServerStreaming = (request: Message, context: HandlerContext) => AsyncIterable<Init>;
type BytesMethod = MethodDefinition<Uint8Array, Uint8Array>;

/** A service as grpc-js serves it. Its messages are bytes to grpc-js. */
export interface GrpcService {
  readonly definition: Readonly<Record<string, BytesMethod>>;
  readonly handlers: UntypedServiceImplementation;
}

/**
 * Serves through grpc-js what is written as a Connect service.
 * @param closing aborts the signals of the calls under way, with its reason
 */
export function adaptService<Service extends DescService>(
  service: Service,
  implementation: ServiceImpl<Service>,
  closing: AbortSignal,
): GrpcService {
  const definition: Record<string, BytesMethod> = {};
  const handlers: Record<string, UntypedHandleCall> = {};
  for (const [name, method] of Object.entries<DescMethod>(service.method)) {
    definition[name] = defineMethod(method);
    const handler: unknown = implementation[name as keyof Service["method"]];
    switch (method.methodKind) {
      case "unary":
        handlers[name] = adaptUnary(method, handler as Unary, closing);
        break;
      case "server_streaming":
        handlers[name] = adaptServerStreaming(method, handler as ServerStreaming, closing);
        break;
      case "client_streaming":
      case "bidi_streaming":
        throw new Error(`${service.typeName}.${method.name}: client streams are not supported`);
    }
  }
  return { definition, handlers };
}

/** Leaves decoding to the handlers: grpc-js would report bytes that are no message as its own fault. */
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

function adaptUnary(method: DescMethod, handler: Unary, closing: AbortSignal) {
  const answer = async (
    call: ServerUnaryCall<Uint8Array, Uint8Array>,
    callback: sendUnaryData<Uint8Array>,
  ) => {
    const context = new GrpcContext(method, call, closing);
    try {
      const response = await handler(decode(method.input, call.request), context);
      callback(null, encodeResponse(method.output, response));
    } catch (error) {
      callback(toGrpcStatus(encodeError(error, context.signal)));
    } finally {
      context.end();
    }
  };
  return (call: ServerUnaryCall<Uint8Array, Uint8Array>, callback: sendUnaryData<Uint8Array>) =>
    void answer(call, callback);
}

function adaptServerStreaming(method: DescMethod, handler: ServerStreaming, closing: AbortSignal) {
  const answer = async (call: ServerWritableStream<Uint8Array, Uint8Array>) => {
    const context = new GrpcContext(method, call, closing);
    const encoder = new MessageEncoder(method.output);
    const send = messageSender(call, context.signal);
    try {
      let sent = Promise.resolve();
      for await (const response of handler(decode(method.input, call.request), context)) {
        // The next message is made while this one is on its way.
        const message = encoder.encode(response);
        await sent;
        context.signal.throwIfAborted();
        sent = send(message);
      }
      call.end();
    } catch (error) {
      call.emit("error", toGrpcStatus(encodeError(error, context.signal)));
    } finally {
      context.end();
    }
  };
  return (call: ServerWritableStream<Uint8Array, Uint8Array>) => void answer(call);
}

/**
 * Returns how to send a message and wait until the connection has taken it:
 * until then its memory is in use, and grpc-js would queue sixteen for a client
 * that does not read. It does not wait beyond the end of the call, since grpc-js
 * says nothing of messages that it drops.
 */
function messageSender(
  call: ServerWritableStream<Uint8Array, Uint8Array>,
  signal: AbortSignal,
): (message: Uint8Array) => Promise<void> {
  let stopWaiting = () => {};
  signal.addEventListener("abort", () => stopWaiting());
  return (message) =>
    new Promise((resolve) => {
      stopWaiting = resolve;
      if (signal.aborted) resolve();
      else call.write(message, () => resolve());
    });
}

function decode(schema: DescMessage, bytes: Uint8Array): Message {
  try {
    return fromBinary(schema, bytes);
  } catch (cause) {
    const message = `the request is not a ${schema.typeName}`;
    throw errorWithInfo(Code.InvalidArgument, "INVALID_ARGUMENT", message, { cause });
  }
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
