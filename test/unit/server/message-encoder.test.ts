import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AttachResponseSchema,
  Stream,
  WatchResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { MessageEncoder } from "../../../src/server/grpc/message-encoder.js";

type AttachResponseInit = MessageInitShape<typeof AttachResponseSchema>;

describe("MessageEncoder", () => {
  test("encodes chunks of any size, one after another", () => {
    const chunk = fc.record({
      stream: fc.constantFrom(Stream.UNSPECIFIED, Stream.STDOUT, Stream.STDERR),
      offset: fc.bigInt({ min: 0n, max: 2n ** 53n }),
      length: fc.oneof(fc.nat(300), fc.nat(200_000)),
      seconds: fc.option(fc.nat(), { nil: undefined }),
    });
    fc.assert(
      fc.property(fc.array(chunk, { maxLength: 8 }), (chunks) => {
        const encoder = new MessageEncoder(AttachResponseSchema);
        for (const [i, { stream, offset, length, seconds }] of chunks.entries()) {
          const seenTime = seconds === undefined ? {} : { seenTime: { seconds: BigInt(seconds) } };
          const data = Buffer.alloc(length, `${i},`);
          const init = { event: { case: "chunk", value: { stream, offset, data, ...seenTime } } };
          const message = create(AttachResponseSchema, init as AttachResponseInit);
          const decoded = fromBinary(AttachResponseSchema, encoder.encode(message));
          // In the order in which fields are written otherwise.
          const [got, expected] = [decoded, message].map((m) => toBinary(AttachResponseSchema, m));
          expect(Buffer.compare(got as Uint8Array, expected as Uint8Array)).toBe(0);
        }
      }),
    );
  });

  test("takes the memory of the last but one large chunk again", () => {
    const encoder = new MessageEncoder(AttachResponseSchema);
    const chunk = (bytes: number): AttachResponseInit => ({
      event: { case: "chunk", value: { data: Buffer.alloc(bytes) } },
    });
    const sizes = [65_536, 65_536, 65_536, 40_000, 65_536];
    const memory = sizes.map((bytes) => encoder.encode(chunk(bytes)).buffer);
    expect(memory[1]).not.toBe(memory[0]);
    expect(memory.slice(2)).toEqual([memory[0], memory[1], memory[0]]);
    expect(new Set(memory).size).toBe(2);
    // A follower at the head gets little at a time, and may wait for long.
    for (let small = 0; small < 2; small += 1) encoder.encode(chunk(100));
    expect(memory).not.toContain(encoder.encode(chunk(65_536)).buffer);
  });

  test("encodes everything else as it is", () => {
    const opened = create(AttachResponseSchema, {
      event: { case: "opened", value: { job: { id: "a", stdoutBytes: 5n } } },
    });
    expect(new MessageEncoder(AttachResponseSchema).encode(opened)).toEqual(
      toBinary(AttachResponseSchema, opened),
    );
    const line = create(WatchResponseSchema, { event: { case: "line", value: { text: "é" } } });
    expect(new MessageEncoder(WatchResponseSchema).encode(line)).toEqual(
      toBinary(WatchResponseSchema, line),
    );
  });
});
