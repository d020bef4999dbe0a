import type { LogBytes, LogFile } from "../reading/log-file.js";
import type { LogPlace } from "../reading/log-place.js";

/** So many bytes are compared: two pieces of output that differ rarely end alike. */
const TAIL_BYTES = 64;

/** The bytes before the end that a log had at the last look, to tell whether they are there still. */
export class KnownTail {
  #known: LogBytes = { offset: 0, data: Buffer.alloc(0) };

  /** Whether the log still holds them; true too where nothing is known to compare. */
  async isKept(file: LogFile, place: LogPlace): Promise<boolean> {
    const { offset, data } = this.#known;
    if (data.length === 0 || offset < place.base) return true;
    const now = await file.readKept(offset, data.length);
    // It has become shorter since, or its beginning was removed: the next look tells.
    if (now.offset !== offset || now.data.length !== data.length) return true;
    return now.data.equals(data);
  }

  async take(file: LogFile, place: LogPlace): Promise<void> {
    const { base, end } = place;
    const offset = Math.max(base, end - TAIL_BYTES);
    if (this.#known.offset + this.#known.data.length === end && offset === this.#known.offset) {
      return;
    }
    this.#known = await file.readKept(offset, end - offset);
  }
}
