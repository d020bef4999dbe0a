import {
  type DescMethod,
  fromJson,
  type JsonObject,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import { fromConnectError } from "./call-error.js";
import type { Caller, CallOptions, Method } from "./conformance-client.js";

/** Calls through any transport of Connect, in Node and in browsers. */
export function connectCaller(
  transport: Transport,
  headersOf: (options: CallOptions) => Record<string, string>,
): Caller {
  const client = createClient(ProcmanService, transport) as unknown as Record<
    string,
    (request: Message, options: object) => unknown
  >;
  const invoke = (method: Method, request: JsonObject, options: CallOptions) => {
    const { desc, input } = encode(method, request);
    const { deadlineMs, signal } = options;
    return client[desc.localName]?.(input, {
      headers: headersOf(options),
      ...(deadlineMs === undefined ? {} : { timeoutMs: deadlineMs }),
      ...(signal ? { signal } : {}),
    });
  };
  return {
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
  };
}

export function encode(method: Method, request: JsonObject): { desc: DescMethod; input: Message } {
  const desc = methodOf(method);
  return { desc, input: fromJson(desc.input, request) };
}

export function decode(method: Method, answer: Message): JsonObject {
  return toJson(methodOf(method).output, answer as never) as JsonObject;
}

function methodOf(name: Method): DescMethod {
  const method = ProcmanService.methods.find((each) => each.name === name);
  if (!method) throw new Error(`no method ${name}`);
  return method;
}
