const LF = 0x0a;
const CR = 0x0d;
const BEL = 0x07;
const ESC = 0x1b;

/** Of control sequences, those that leave the cursor where it is: colours, and erasing in a line. */
const HARMLESS = new Set([byteOf("m"), byteOf("K")]);

/** Where in an escape sequence the last byte was. */
type Within = "text" | "escape" | "control sequence" | "string" | "end of string";

/**
 * Where a terminal's cursor is after the bytes that were sent to it, as far as
 * that can be told without being one.
 */
export class CursorTracker {
  #within: Within = "text";
  #fresh = true;
  #draws = false;

  /**
   * Whether the cursor is at the beginning of an empty line. Not where it cannot
   * be known: after anything but text, its colours and the like, for good.
   */
  get isAtFreshLine(): boolean {
    return this.#fresh && !this.#draws && this.#within === "text";
  }

  push(bytes: Uint8Array): void {
    if (this.#draws || bytes.length === 0) return;
    if (this.#within === "text" && !bytes.includes(ESC)) {
      // What most output is, at any speed.
      this.#fresh = bytes.at(-1) === LF;
      return;
    }
    for (const byte of bytes) this.#take(byte);
  }

  #take(byte: number): void {
    switch (this.#within) {
      case "text":
        if (byte === ESC) this.#within = "escape";
        else if (byte !== CR) this.#fresh = byte === LF;
        break;
      case "escape":
        this.#within = afterEscape(byte);
        // Cursor saved, scrolled, another character set: whoever says so draws.
        if (this.#within === "text") this.#draws = true;
        break;
      case "control sequence":
        if (byte < byteOf("@")) break;
        this.#within = "text";
        if (!HARMLESS.has(byte)) this.#draws = true;
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
