import { Rendition } from "./rendition.js";

const LF = 0x0a;
const CR = 0x0d;
const BEL = 0x07;
const ESC = 0x1b;

/** Longer ones are no colours. */
const MOST_PARAMETERS = 64;

/** Where in an escape sequence the last byte was. */
type Within = "text" | "escape" | "control sequence" | "string" | "end of string";

/**
 * Where a terminal's cursor is after the bytes that were sent to it, as far as
 * that can be told without being one.
 */
export class CursorTracker {
  #within: Within = "text";
  /** Of the control sequence that has begun. */
  #parameters = "";
  readonly #rendition = new Rendition();
  #fresh = true;
  #draws = false;

  /**
   * Whether the cursor is at the beginning of an empty line, with no colours set,
   * so that something can be written there and erased without a trace. Not where
   * it cannot be known: after anything but text, its colours and the like, for good.
   */
  get isAtFreshLine(): boolean {
    return this.#fresh && !this.#draws && this.#within === "text" && this.#rendition.isPlain;
  }

  push(bytes: Uint8Array): void {
    if (this.#draws || bytes.length === 0) return;
    if (this.#within === "text" && !bytes.includes(ESC)) {
      // What most output is, at any speed.
      this.#fresh = this.#isFreshAfter(bytes.at(-1));
      return;
    }
    for (const byte of bytes) this.#take(byte);
  }

  #take(byte: number): void {
    switch (this.#within) {
      case "text":
        if (byte === ESC) this.#within = "escape";
        else if (byte !== CR) this.#fresh = this.#isFreshAfter(byte);
        break;
      case "escape":
        this.#within = afterEscape(byte);
        this.#parameters = "";
        // Cursor saved, scrolled, another character set: whoever says so draws.
        if (this.#within === "text") this.#draws = true;
        break;
      case "control sequence":
        if (byte < byteOf("@")) this.#parameters += String.fromCharCode(byte);
        else this.#obey(byte);
        if (this.#parameters.length > MOST_PARAMETERS) this.#draws = true;
        break;
      // A title, or a link.
      case "string":
        if (byte === BEL) this.#within = "text";
        else if (byte === ESC) this.#within = "end of string";
        break;
      case "end of string":
        this.#within = byte === byteOf("\\") ? "text" : "string";
        break;
    }
  }

  /** A control sequence is complete. */
  #obey(final: number): void {
    this.#within = "text";
    if (final === byteOf("m")) this.#rendition.take(this.#parameters);
    // Erases in the line; with the background that is set.
    else if (final === byteOf("K")) this.#fresh &&= this.#rendition.isPlain;
    else this.#draws = true;
  }

  /** Where lines scroll, a new one has the background that is set. */
  #isFreshAfter(byte: number | undefined): boolean {
    return byte === LF && this.#rendition.isPlain;
  }
}

function afterEscape(byte: number): Within {
  switch (byte) {
    case byteOf("["):
      return "control sequence";
    case byteOf("]"):
      return "string";
    default:
      return "text";
  }
}

function byteOf(char: string): number {
  return char.charCodeAt(0);
}
