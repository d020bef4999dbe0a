import * as fc from "fast-check";

/** Bytes as programs write them, and such as they should not: all that splitting could trip over. */
export function outputBytes(): fc.Arbitrary<Buffer> {
  const piece = fc.oneof(
    fc.constantFrom("\n", "\r", "\r\n", "a", "é", "€", "😀").map((text) => Buffer.from(text)),
    fc.constantFrom(0x80, 0xbf, 0xc3, 0xe2, 0xf0, 0xff).map((byte) => Buffer.from([byte])),
    fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes)),
  );
  return fc.array(piece, { maxLength: 80, size: "max" }).map((pieces) => Buffer.concat(pieces));
}

/** The same bytes in pieces. */
export function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const borders = cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b);
  return [0, ...borders].map((from, i) => bytes.subarray(from, borders[i] ?? bytes.length));
}
