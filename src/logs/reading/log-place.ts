import type { Stream } from "../../contract/job.js";
import type { Truncation } from "../../core/ports.js";

/** What a look at a log's file has found. */
export interface FoundFile {
  readonly size: number;
  readonly ino: number;
}

/**
 * Where a log's file is among the bytes of its stream. A command can truncate its own
 * log, since its standard output is that file. What it writes then goes on behind all
 * that was seen before: offsets never begin again. All readers of a log share one place.
 *
 * A truncation is seen where the file is found shorter than before, or another file, or
 * with other bytes at its old end. Where nobody looks before it has grown again, and
 * nobody knows those bytes, it is not seen.
 */
export class LogPlace {
  readonly #onTruncated: () => void;
  #base: number;
  #truncations: number;
  #found: FoundFile = { size: 0, ino: 0 };
  #isMissing = false;
  #isErased = false;
  #looks = 0;
  /** The look that `#found` is of. */
  #lastLook = 0;

  /** @param onTruncated called before anybody is told of offsets after a truncation */
  constructor({ base, truncations }: Truncation, onTruncated: () => void) {
    this.#base = base;
    this.#truncations = truncations;
    this.#onTruncated = onTruncated;
  }

  /** The offset of the file's first byte. */
  get base(): number {
    return this.#base;
  }

  /** The offset of the stream's end, as of the last look. */
  get end(): number {
    return this.#base + this.#found.size;
  }

  /** How often the log was seen to be truncated. */
  get truncations(): number {
    return this.#truncations;
  }

  /** Whether the last look found no file: somebody has deleted it. */
  get isMissing(): boolean {
    return this.#isMissing;
  }

  /** Whether a reader may be beyond the end: nobody knows how long the log was, or it counts as empty. */
  get mayBeShorter(): boolean {
    return this.#isMissing || this.#isErased;
  }

  /**
   * Makes the stream begin anew. For the output of a command that was not executed: what
   * the shell had to say about that was in the log for a moment, and is no output.
   */
  erase(): void {
    const hadTruncations = this.#truncations > 0;
    this.#lastLook = this.beginLook();
    this.#found = { size: 0, ino: this.#found.ino };
    this.#base = 0;
    this.#truncations = 0;
    this.#isErased = true;
    if (hadTruncations) this.#onTruncated();
  }

  /** Whether another file than that one was found since. */
  isReplaced({ ino }: FoundFile): boolean {
    return this.#found.ino !== 0 && this.#found.ino !== ino;
  }

  /** To be called before a file is looked at. @returns what to pass to `endLook` */
  beginLook(): number {
    this.#looks += 1;
    return this.#looks;
  }

  /** Takes in what was found, unless a look that began later has ended earlier. */
  endLook(look: number, found: FoundFile | undefined): void {
    if (look < this.#lastLook) return;
    this.#lastLook = look;
    this.#isMissing = found === undefined;
    if (!found) return;
    const isTruncated = found.size < this.#found.size || this.isReplaced(found);
    const end = this.end;
    this.#found = { size: found.size, ino: found.ino };
    if (isTruncated) this.rewritten(end);
  }

  /** Notes that the file holds other bytes than before, when the stream ended at `end`. */
  rewritten(end: number): void {
    this.#base = end;
    this.#truncations += 1;
    this.#onTruncated();
  }
}

/** The places of a job's two logs. */
export type LogPlaces = Readonly<Record<Stream, LogPlace>>;

/** Returns the places of logs whose truncations nobody stores. */
export function newPlaces(): LogPlaces {
  const place = () => new LogPlace({ base: 0, truncations: 0 }, () => {});
  return { stdout: place(), stderr: place() };
}
