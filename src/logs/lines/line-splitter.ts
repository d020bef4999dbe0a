import { isAscii } from "node:buffer";
import type { OutputLine } from "../../contract/procman.js";
import { characterBorder } from "../../platform/character-border.js";

/** The longest line that comes in one piece, without its terminator. */
export const MAX_LINE_BYTES = 64 * 1024;

const LF = 0x0a;
const CR = 0x0d;

/** A line, or a piece of one that is too long. */
export type SplitLine = Pick<OutputLine, "text" | "offset" | "nextOffset" | "terminator">;

/**
 * Cuts a stream of bytes into lines, which end with LF, CRLF or a lone CR. The
 * lines depend on the bytes alone and not on how they were cut into reads, so a CR
 * at the end of a read is kept back until it is known what follows.
 *
 * A line of more than `maxLineBytes` comes in pieces, each as long as can be
 * without splitting a UTF-8 character.
 *
 * The caller takes the lines out with `next` before it pushes more, so that no
 * more than one read is held however slow it is.
 */
export class LineSplitter {
  readonly #maxLineBytes: number;
  #data: Buffer = Buffer.alloc(0);
  /** Where #data begins in the stream. */
  #base: number;
  /** Where in #data the current line begins. */
  #start = 0;
  /** Up to here there is no terminator in #data from #start on. */
  #scanned = 0;
  /** The next LF and CR in #data from #scanned on, or its length. */
  #lf = 0;
  #cr = 0;
  #ascii = true;
  #ended = false;

  /** @param offset where the first byte that will be pushed is in the stream */
  constructor(offset: number, maxLineBytes = MAX_LINE_BYTES) {
    this.#base = offset;
    this.#maxLineBytes = maxLineBytes;
  }

  /** Where the line that `next` gives next begins. */
  get offset(): number {
    return this.#base + this.#start;
  }

  /** Where the bytes that are pushed next have to begin. */
  get pushOffset(): number {
    return this.#base + this.#data.length;
  }

  /** Adds the next bytes of the stream. They are kept, not copied, until their last line is out. */
  push(bytes: Uint8Array): void {
    const more = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const rest = this.#data.subarray(this.#start);
    this.#data = rest.length === 0 ? more : Buffer.concat([rest, more]);
    this.#ascii = isAscii(this.#data);
    this.#base += this.#start;
    this.#scanned -= this.#start;
    this.#start = 0;
    this.#lf = this.#find(LF, this.#scanned);
    this.#cr = this.#find(CR, this.#scanned);
  }

  /** Says that there are no more bytes, so that what is left is the last line. */
  end(): void {
    this.#ended = true;
  }

  /** Takes out the next line. Undefined when more bytes are needed for one. */
  next(): SplitLine | undefined {
    const data = this.#data;
    if (this.#start === data.length) return undefined;
    if (this.#lf < this.#scanned) this.#lf = this.#find(LF, this.#scanned);
    if (this.#cr < this.#scanned) this.#cr = this.#find(CR, this.#scanned);
    const end = Math.min(this.#lf, this.#cr);
    this.#scanned = end;

    if (end - this.#start > this.#maxLineBytes) {
      const cut = characterBorder(data, this.#start + this.#maxLineBytes);
      return this.#take(cut, cut, "none");
    }
    if (end === data.length) return this.#ended ? this.#take(end, end, "none") : undefined;
    if (data[end] === LF) return this.#take(end, end + 1, "lf");
    if (end + 1 === data.length) return this.#ended ? this.#take(end, end + 1, "cr") : undefined;
    return data[end + 1] === LF ? this.#take(end, end + 2, "crlf") : this.#take(end, end + 1, "cr");
  }

  /**
   * Returns the beginning of the line that has no end yet, where there is some of
   * it. A character that is cut is left out, as is a CR, so the line begins so
   * whatever follows.
   */
  rest(): SplitLine | undefined {
    const data = this.#data;
    const end = this.#cr < data.length ? this.#cr : characterBorder(data, data.length);
    return end > this.#start ? this.#line(end, end, "none") : undefined;
  }

  #take(end: number, next: number, terminator: SplitLine["terminator"]): SplitLine {
    const line = this.#line(end, next, terminator);
    this.#start = next;
    this.#scanned = Math.max(this.#scanned, next);
    return line;
  }

  #line(end: number, next: number, terminator: SplitLine["terminator"]): SplitLine {
    return {
      text: this.#data.toString(this.#ascii ? "latin1" : "utf8", this.#start, end),
      offset: this.#base + this.#start,
      nextOffset: this.#base + next,
      terminator,
    };
  }

  #find(byte: number, from: number): number {
    const at = this.#data.indexOf(byte, from);
    return at === -1 ? this.#data.length : at;
  }
}
