import { create, type DescMessage, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AttachResponse,
  AttachResponseSchema,
  type Chunk,
  ChunkSchema,
} from "../../../gen/procman/v1/procman_pb.js";

const CHUNK_FIELD = AttachResponseSchema.field.chunk.number;
const DATA_FIELD = ChunkSchema.field.data.number;
const NO_DATA = new Uint8Array();

/** Below this, it does not pay to keep a message's memory. */
const MIN_REUSED_BYTES = 16 * 1024;

/** Encodes the messages of one stream, large ones into memory that is used again. */
export class MessageEncoder {
  readonly #schema: DescMessage;
  /** The memory of the last large message, and of the one before. */
  #memory: Buffer | undefined;
  #spare: Buffer | undefined;

  constructor(schema: DescMessage) {
    this.#schema = schema;
  }

  /** Returns a message's bytes, which are valid until the next but one is encoded. */
  encode(init: MessageInitShape<DescMessage>): Uint8Array {
    const message = create(this.#schema, init);
    if (this.#schema.typeName === AttachResponseSchema.typeName) {
      const { event } = message as AttachResponse;
      if (event.case === "chunk") return this.#encodeChunk(event.value);
    }
    return toBinary(this.#schema, message);
  }

  /**
   * `toBinary` would take the data through buffers that grow, and those through
   * the garbage collector, which costs more than all the rest of a stream. Here
   * it is copied once, behind the other fields: they may come in any order.
   */
  #encodeChunk(chunk: Chunk): Uint8Array {
    const { data } = chunk;
    const fields = new BinaryWriter()
      .raw(toBinary(ChunkSchema, { ...chunk, data: NO_DATA }))
      .tag(DATA_FIELD, WireType.LengthDelimited)
      .uint32(data.length)
      .finish();
    const head = new BinaryWriter()
      .tag(CHUNK_FIELD, WireType.LengthDelimited)
      .uint32(fields.length + data.length)
      .raw(fields)
      .finish();
    const message = this.#memoryOf(head.length + data.length);
    message.set(head);
    message.set(data, head.length);
    return message;
  }

  #memoryOf(bytes: number): Buffer {
    const free = this.#spare;
    this.#spare = this.#memory;
    if (bytes < MIN_REUSED_BYTES) {
      this.#memory = undefined;
      return Buffer.allocUnsafe(bytes);
    }
    this.#memory = free && free.length >= bytes ? free : Buffer.allocUnsafeSlow(bytes);
    return this.#memory.subarray(0, bytes);
  }
}
