import {
  create,
  type DescMessage,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Client, type ClientReadableStream, credentials, Metadata } from "@grpc/grpc-js";
import type { Target } from "./follow.js";

const keep = (bytes: Buffer) => bytes;

/** A grpc-js client over TCP, with one connection. */
export class GrpcClient {
  readonly #client: Client;
  readonly #metadata = new Metadata();

  constructor({ authority, token }: Pick<Target, "authority" | "token">) {
    // A pool of its own: clients of one process would share connections otherwise.
    const options = { "grpc.use_local_subchannel_pool": 1 };
    this.#client = new Client(authority, credentials.createInsecure(), options);
    this.#metadata.set("authorization", `Bearer ${token}`);
  }

  /** One call, of which neither side is parsed here. */
  callBytes(path: string, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(path, keep, keep, request, this.#metadata, (error, response) =>
        error ? reject(error) : resolve(response ?? Buffer.alloc(0)),
      );
    });
  }

  async call<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodUnary<Input, Output>,
    request: MessageInitShape<Input>,
  ): Promise<MessageShape<Output>> {
    const response = await this.callBytes(pathOf(method), encodeRequest(method, request));
    return fromBinary(method.output, response);
  }

  stream<Input extends DescMessage, Output extends DescMessage>(
    method: DescMethodServerStreaming<Input, Output>,
    request: MessageInitShape<Input>,
  ): ClientReadableStream<MessageShape<Output>> {
    const bytes = encodeRequest(method, request);
    const parse = (response: Buffer) => fromBinary(method.output, response);
    return this.#client.makeServerStreamRequest(pathOf(method), keep, parse, bytes, this.#metadata);
  }

  close(): void {
    this.#client.close();
  }
}

type Method = Pick<DescMethodUnary, "parent" | "name">;

export function pathOf({ parent, name }: Method): string {
  return `/${parent.typeName}/${name}`;
}

export function encodeRequest<Input extends DescMessage>(
  { input }: { readonly input: Input },
  request: MessageInitShape<Input>,
): Buffer {
  return Buffer.from(toBinary(input, create(input, request)));
}
