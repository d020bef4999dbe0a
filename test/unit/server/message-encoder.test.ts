import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AttachResponseSchema,
  Stream,
  WatchResponseSchema,
} from "../../../gen/procman/v1/procman_pb.js";
import { allocateWithHeadroom } from "../../../src/platform/headroom.js";
import { MessageEncoder } from "../../../src/server/message-encoder.js";

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

  test("puts output in its envelope, where it is or else by a copy", () => {
    const data = (memory: Buffer) => memory.fill("output");
    const inPlace = data(allocateWithHeadroom(100_000));
    for (const [output, isInPlace] of [
      [inPlace, true],
      // What a log limit has removed is in front of it.
      [inPlace.subarray(6), true],
      [inPlace.subarray(0, 40_000), false],
      [data(Buffer.alloc(100_000)), false],
      [data(Buffer.alloc(100_200)).subarray(200), false],
    ] as const) {
      const expected = Buffer.from(output);
      const seenTime = { seconds: 2n ** 35n, nanos: 999_999_999 };
      const writtenBetween = { from: seenTime, to: seenTime, unobserved: true };
      const message = create(AttachResponseSchema, {
        event: {
          case: "chunk",
          value: {
            stream: Stream.STDERR,
            offset: 2n ** 62n,
            data: output,
            seenTime,
            writtenBetween,
          },
        },
      });
      const plain = new MessageEncoder(AttachResponseSchema).encode(message);
      const bytes = new MessageEncoder(AttachResponseSchema, {
        minReusedBytes: 65_536,
      }).encodeOutput(message);
      expect(bytes?.buffer === output.buffer).toBe(isInPlace);
      expect(Buffer.compare(bytes as Uint8Array, encodeEnvelope(0, plain))).toBe(0);
      expect(Buffer.compare(output, expected)).toBe(0);
    }
  });

  test("puts nothing but output in an envelope", () => {
    const heartbeat = create(AttachResponseSchema, { event: { case: "heartbeat", value: {} } });
    expect(new MessageEncoder(AttachResponseSchema).encodeOutput(heartbeat)).toBeUndefined();
    const line = create(WatchResponseSchema, { event: { case: "line", value: { text: "a" } } });
    expect(new MessageEncoder(WatchResponseSchema).encodeOutput(line)).toBeUndefined();
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
