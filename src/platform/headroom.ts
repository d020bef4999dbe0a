/** In front of each memory: enough for a chunk's other fields and the envelope of its message. */
const HEADROOM_BYTES = 128;

const memories = new WeakSet<ArrayBufferLike>();

/**
 * Allocates memory for data that is passed on once and then read anew: whoever gets the data
 * may write in front of it, and so need not copy it behind what has to come first.
 */
export function allocateWithHeadroom(bytes: number): Buffer {
  const memory = Buffer.allocUnsafeSlow(HEADROOM_BYTES + bytes);
  memories.add(memory.buffer);
  return memory.subarray(HEADROOM_BYTES);
}

/**
 * Returns the data with so many bytes in front of it that are to be written; undefined where
 * what is there is somebody else's.
 */
export function withHeadroom(data: Uint8Array, bytes: number): Buffer | undefined {
  if (data.byteOffset < bytes || !memories.has(data.buffer)) return undefined;
  return Buffer.from(data.buffer, data.byteOffset - bytes, bytes + data.length);
}
