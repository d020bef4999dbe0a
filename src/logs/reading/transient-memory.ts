import { allocateWithHeadroom } from "../../platform/headroom.js";
import { CHUNK_BYTES, TRANSIENT_CHUNK_BYTES } from "./log-file.js";

/** A reader that asks again within this time waits for nothing. */
const MAX_QUICK_MS = 100;

/**
 * So much has to be taken quickly before pieces become large. The buffers of a connection,
 * and of a proxy behind it, take some MiB at once however slow the link is, and again
 * whenever they have room.
 */
export const MIN_QUICK_BYTES = 8 * 1024 * 1024;

/**
 * The memory for one reader's pieces of a log. They are of CHUNK_BYTES, and of
 * TRANSIENT_CHUNK_BYTES for a reader that takes them quickly: a client waits for a whole
 * message, and takes a long silence for a lost connection. Where a message takes longer than
 * that, the client asks for it again and again, and never gets it.
 */
export class TransientMemory {
  #memory: Buffer | undefined;
  #quickBytes = 0;
  #takenBytes = 0;
  #passedOnMs = 0;

  /** Returns the memory for the next piece, of which `leftBytes` are there. It has headroom. */
  next(leftBytes: number): Buffer {
    const isQuick = performance.now() - this.#passedOnMs <= MAX_QUICK_MS;
    this.#quickBytes = isQuick ? this.#quickBytes + this.#takenBytes : 0;
    this.#takenBytes = 0;
    const maxBytes = this.#quickBytes < MIN_QUICK_BYTES ? CHUNK_BYTES : TRANSIENT_CHUNK_BYTES;
    const bytes = Math.min(maxBytes, leftBytes);
    const held = this.#memory?.length ?? 0;
    // A reader that became slow may hold it for long.
    const isFit = held >= bytes && held <= maxBytes;
    if (!this.#memory || !isFit) this.#memory = allocateWithHeadroom(bytes);
    return this.#memory.subarray(0, bytes);
  }

  /** Tells that so many bytes are passed on now. The reader has taken them when it asks again. */
  passedOn(bytes: number): void {
    this.#takenBytes = bytes;
    this.#passedOnMs = performance.now();
  }

  /** Lets go of the memory where the reader goes on without it. The next piece is as the first. */
  release(): void {
    this.#memory = undefined;
    this.#quickBytes = 0;
    this.#takenBytes = 0;
  }
}
