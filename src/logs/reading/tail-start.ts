import { CHUNK_BYTES } from "./log-file.js";
import { MAX_LINE_BYTES } from "../lines/line-splitter.js";
import { isContinuation } from "../../platform/character-border.js";

const LF = 0x0a;
const CR = 0x0d;

/** Bytes that can be read at any offset, such as a LogFile's. */
export interface ByteSource {
  read(offset: number, length: number): Promise<Buffer>;
}

export interface TailOptions {
  /** The end of the bytes in question, such as the source's size. */
  readonly size: number;
  readonly lines: number;
  /** Nothing before this byte is read. Default 0. */
  readonly floor?: number;
  /** Default 64 KiB. */
  readonly blockBytes?: number;
  /** Default MAX_LINE_BYTES. */
  readonly maxLineBytes?: number;
}

/**
 * Returns where the last `lines` lines begin, or `floor` where that is later. Lines
 * end where LineSplitter says, and an unterminated last one counts.
 *
 * It reads backwards, but no further than that many lines of maxLineBytes and a
 * terminator go. Where the lines are longer, the result is that far from the end,
 * within a line.
 */
export async function tailStart(source: ByteSource, options: TailOptions): Promise<number> {
  const { size, lines, floor = 0, blockBytes = CHUNK_BYTES } = options;
  const { maxLineBytes = MAX_LINE_BYTES } = options;
  if (lines === 0 || size <= floor) return Math.max(size, floor);

  const capped = size - lines * (maxLineBytes + "\r\n".length);
  const lowest = Math.max(floor, capped);
  let found = 0;
  let byteAfter: number | undefined;
  for (let end = size; end > lowest; ) {
    const offset = Math.max(lowest, end - blockBytes);
    const block = await source.read(offset, end - offset);
    const terminators = new BackwardScan(block);
    for (let i = terminators.next(); i !== -1; i = terminators.next()) {
      // No line begins after the very last terminator, nor within a CRLF.
      if (offset + i === size - 1) continue;
      if (block[i] === CR && (block[i + 1] ?? byteAfter) === LF) continue;
      found += 1;
      if (found === lines) return offset + i + 1;
    }
    byteAfter = block[0];
    end = offset;
  }
  return lowest === capped ? afterSplitCharacter(source, lowest, size) : lowest;
}

/** Finds CRs and LFs from the end of a block to its beginning. */
class BackwardScan {
  readonly #block: Buffer;
  #lf: number;
  #cr: number;

  constructor(block: Buffer) {
    this.#block = block;
    this.#lf = block.lastIndexOf(LF);
    this.#cr = block.lastIndexOf(CR);
  }

  /** Position of the next one, or -1. */
  next(): number {
    const at = Math.max(this.#lf, this.#cr);
    // lastIndexOf takes a negative start as counted from the end.
    if (at === this.#lf) this.#lf = at <= 0 ? -1 : this.#block.lastIndexOf(LF, at - 1);
    else this.#cr = at <= 0 ? -1 : this.#block.lastIndexOf(CR, at - 1);
    return at;
  }
}

/** Moves a place within a line on, so that it splits no character and no CRLF. */
async function afterSplitCharacter(
  source: ByteSource,
  position: number,
  size: number,
): Promise<number> {
  const bytes = await source.read(position, Math.min(4, size - position));
  if (bytes[0] === LF) return position + 1;
  let skip = 0;
  while (skip < 3 && skip < bytes.length && isContinuation(bytes[skip])) skip += 1;
  return position + skip;
}
