import {
  create,
  type DescMessage,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import {
  type AttachResponse,
  AttachResponseSchema,
  type Chunk,
  ChunkSchema,
} from "../../gen/procman/v1/procman_pb.js";
import { withHeadroom } from "../platform/headroom.js";

const CHUNK_FIELD = AttachResponseSchema.field.chunk.number;
const DATA_FIELD = ChunkSchema.field.data.number;
const NO_DATA = new Uint8Array();

/** Below this, it does not pay to keep a message's memory. */
const MIN_REUSED_BYTES = 16 * 1024;

/** The length of what Connect, gRPC and gRPC-Web put before a message: flags and its length. */
export const ENVELOPE_BYTES = 5;

export interface MessageEncoderOptions {
  /** Messages shorter than this, beside those that are short anyway, get memory of their own. */
  readonly minReusedBytes?: number;
}

/** Encodes the messages of one stream, large ones into memory that is used again. */
export class MessageEncoder {
  readonly #schema: DescMessage;
  readonly #minReusedBytes: number;
  /** The memory of the last large message, and of the one before. */
  #memory: Buffer | undefined;
  #spare: Buffer | undefined;

  constructor(schema: DescMessage, { minReusedBytes = 0 }: MessageEncoderOptions = {}) {
    this.#schema = schema;
    this.#minReusedBytes = Math.max(MIN_REUSED_BYTES, minReusedBytes);
  }

  /** Returns a message's bytes, which are valid until the next but one is encoded. */
  encode(init: MessageInitShape<DescMessage>): Uint8Array {
    const message = create(this.#schema, init);
    const chunk = chunkOf(message);
    if (!chunk) return toBinary(this.#schema, message);
    const head = headOf(chunk);
    const bytes = this.#copied(chunk.data, head.length);
    bytes.set(head);
    return bytes;
  }

  /**
   * Returns the bytes of a message with output in its envelope, which are valid until the
   * next but one is encoded, and where that has headroom, as long as the output is;
   * undefined for every other message.
   */
  encodeOutput(message: Message): Uint8Array | undefined {
    const chunk = chunkOf(message);
    if (!chunk) return undefined;
    const { data } = chunk;
    const head = headOf(chunk);
    const prefixBytes = ENVELOPE_BYTES + head.length;
    const isLarge = prefixBytes + data.length >= this.#minReusedBytes;
    const bytes = (isLarge && withHeadroom(data, prefixBytes)) || this.#copied(data, prefixBytes);
    bytes[0] = 0;
    bytes.writeUInt32BE(bytes.length - ENVELOPE_BYTES, 1);
    bytes.set(head, ENVELOPE_BYTES);
    return bytes;
  }

  #copied(data: Uint8Array, prefixBytes: number): Buffer {
    const bytes = this.#memoryOf(prefixBytes + data.length);
    bytes.set(data, prefixBytes);
    return bytes;
  }

  #memoryOf(bytes: number): Buffer {
    const free = this.#spare;
    this.#spare = this.#memory;
    if (bytes < this.#minReusedBytes) {
      this.#memory = undefined;
      return Buffer.allocUnsafe(bytes);
    }
    this.#memory = free && free.length >= bytes ? free : Buffer.allocUnsafeSlow(bytes);
    return this.#memory.subarray(0, bytes);
  }
}

/**
 * Encodes all of an output's message but its data, which comes last: fields may come in any
 * order. `toBinary` would take the data through buffers that grow, and those through the
 * garbage collector, which costs more than all the rest of a stream.
 */
function headOf(chunk: Chunk): Uint8Array {
  const { data } = chunk;
  const fields = new BinaryWriter()
    .raw(toBinary(ChunkSchema, { ...chunk, data: NO_DATA }))
    .tag(DATA_FIELD, WireType.LengthDelimited)
    .uint32(data.length)
    .finish();
  return new BinaryWriter()
    .tag(CHUNK_FIELD, WireType.LengthDelimited)
    .uint32(fields.length + data.length)
    .raw(fields)
    .finish();
}

function chunkOf(message: Message): Chunk | undefined {
  if (message.$typeName !== AttachResponseSchema.typeName) return undefined;
  const { event } = message as AttachResponse;
  return event.case === "chunk" ? event.value : undefined;
}
