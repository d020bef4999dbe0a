import type { IncomingMessage, ServerResponse } from "node:http";
import { create, type DescMethod, type Message } from "@bufbuild/protobuf";
import { createContextKey, type Interceptor } from "@connectrpc/connect";
import { AttachResponseSchema, ProcmanService } from "../../../gen/procman/v1/procman_pb.js";
import { ENVELOPE_BYTES, MessageEncoder } from "../message-encoder.js";

/** Those of streams whose messages are protobuf as it is. */
const BINARY_TYPES = new Set([
  "application/connect+proto",
  "application/grpc-web",
  "application/grpc-web+proto",
]);

/** Goes through Connect in place of output: no message of the server's has no event. */
const PLACEHOLDER: Message = create(AttachResponseSchema);

/** The one of a call, if it has one. */
export const outputBypassKey = createContextKey<OutputBypass | undefined>(undefined);

/** Gives Connect what the call's bypass leaves of its messages. */
export const bypassOutput: Interceptor = (next) => async (request) => {
  const response = await next(request);
  const bypass = request.contextValues.get(outputBypassKey);
  if (!bypass || !response.stream) return response;
  return { ...response, message: bypass.takeOut(response.message) };
};

/**
 * Takes the output of one Attach around Connect, which would copy each chunk four times,
 * into new memory each time. Connect is given an empty message instead, and behind it the
 * chunk takes the place of that one's envelope, which is the same in all of its protocols.
 *
 * It relies on a message being written before the next one is asked for.
 */
export class OutputBypass {
  readonly #encoder: MessageEncoder;
  readonly #encoded: Uint8Array[] = [];

  /** Returns undefined for a call that has no output, or not as protobuf. */
  static of(
    method: DescMethod,
    { headers }: IncomingMessage,
    { writableHighWaterMark }: ServerResponse,
  ): OutputBypass | undefined {
    const isBinary = BINARY_TYPES.has(headers["content-type"] ?? "");
    if (method !== ProcmanService.method.attach || !isBinary) return undefined;
    return new OutputBypass(writableHighWaterMark);
  }

  /**
   * @param minAwaitedBytes a message as long as this is waited for until the connection has
   * taken it. Until then its memory is in use
   */
  constructor(minAwaitedBytes: number) {
    const options = { minReusedBytes: minAwaitedBytes };
    this.#encoder = new MessageEncoder(AttachResponseSchema, options);
  }

  /** Returns what Connect is given of the messages. */
  takeOut<M extends Message>(messages: AsyncIterable<M>): AsyncIterable<M> {
    return mapped(messages, (message) => {
      const bytes = this.#encoder.encodeOutput(message);
      if (!bytes) return message;
      this.#encoded.push(bytes);
      return PLACEHOLDER as M;
    });
  }

  /** Returns what is sent of what Connect returns. */
  putBack(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    return mapped(body, (bytes) => {
      const isPlaceholder = bytes.length === ENVELOPE_BYTES && bytes.every((byte) => byte === 0);
      return (isPlaceholder && this.#encoded.shift()) || bytes;
    });
  }
}

/** No generator: that would cost each chunk turns, and could not be left while it waits. */
function mapped<T>(source: AsyncIterable<T>, map: (item: T) => T): AsyncIterable<T> {
  return {
    [Symbol.asyncIterator]() {
      const it = source[Symbol.asyncIterator]();
      return {
        async next() {
          const result = await it.next();
          return result.done ? result : { done: false, value: map(result.value) };
        },
        async return(value) {
          return (await it.return?.(value)) ?? { done: true, value };
        },
        async throw(error) {
          if (it.throw) return it.throw(error);
          throw error;
        },
      };
    },
  };
}
