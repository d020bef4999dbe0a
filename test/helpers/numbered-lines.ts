/** Output of which each byte is known by its offset: lines of 16 bytes, numbered from 1. */

const LINE_BYTES = 16;

/** A shell command that writes lines first to last; those may be shell expressions. */
export function writeLines(first: number | string, last: number | string): string {
  return `seq -f %015.0f ${first} ${last}`;
}

export function linesIn(bytes: number): number {
  return Math.ceil(bytes / LINE_BYTES);
}

export function numberedBytes(offset: number, length: number): Buffer {
  const first = Math.floor(offset / LINE_BYTES);
  const last = Math.ceil((offset + length) / LINE_BYTES);
  let text = "";
  for (let line = first; line < last; line += 1) text += `${String(line + 1).padStart(15, "0")}\n`;
  const skip = offset - first * LINE_BYTES;
  return Buffer.from(text, "latin1").subarray(skip, skip + length);
}

/** @throws Error that says where a byte is another one */
export function checkNumbered(offset: number, data: Uint8Array): void {
  const expected = numberedBytes(offset, data.length);
  if (expected.equals(data)) return;
  const at = data.findIndex((byte, i) => byte !== expected[i]);
  throw new Error(`the byte at ${offset + at} is ${data[at]} instead of ${expected[at]}`);
}
