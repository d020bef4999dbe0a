const CONTINUATION = 0x80;

/** Whether a byte continues a character of UTF-8. */
export function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === CONTINUATION;
}

/**
 * Returns `at`, or the beginning of the UTF-8 character that would be split there.
 * What follows the data may continue its last character.
 */
export function characterBorder(data: Uint8Array, at: number): number {
  for (let back = 0; back <= 3; back += 1) {
    const byte = data[at - back] ?? CONTINUATION;
    if (!isContinuation(byte)) return characterLength(byte) > back ? at - back : at;
  }
  return at;
}

/** Bytes of the UTF-8 character that begins with this byte. */
function characterLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}
