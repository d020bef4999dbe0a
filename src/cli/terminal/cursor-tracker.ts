const LF = 0x0a;
const CR = 0x0d;
const BEL = 0x07;
const ESC = 0x1b;

/** Longer ones set no colours. */
const MAX_PARAMETER_CHARS = 64;

/** What the next byte is a part of. */
type State = "text" | "escape" | "control sequence" | "string" | "end of string";

/** Tells, from the bytes that were sent to a terminal, whether its cursor is in an empty line. */
export class CursorTracker {
  #state: State = "text";
  /** The parameters of the control sequence that has begun. */
  #parameters = "";
  readonly #rendition = new GraphicRendition();
  #isFresh = true;
  /** Whether anything but text and its colours was sent. */
  #isUnknown = false;

  /**
   * Whether the cursor is at the beginning of an empty line, with no colours set, so
   * that something can be written there and erased without a trace. Forever false once
   * something was sent that can move the cursor.
   */
  get isAtFreshLine(): boolean {
    return this.#isFresh && !this.#isUnknown && this.#state === "text" && this.#rendition.isPlain;
  }

  push(bytes: Uint8Array): void {
    if (this.#isUnknown || bytes.length === 0) return;
    if (this.#state === "text" && !bytes.includes(ESC)) {
      // Most output is plain text: a fast path.
      this.#isFresh = this.#isFreshAfter(bytes.at(-1));
      return;
    }
    for (const byte of bytes) this.#parse(byte);
  }

  #parse(byte: number): void {
    switch (this.#state) {
      case "text":
        if (byte === ESC) this.#state = "escape";
        else if (byte !== CR) this.#isFresh = this.#isFreshAfter(byte);
        break;
      case "escape":
        this.#state = afterEscape(byte);
        this.#parameters = "";
        // It saves the cursor, scrolls, or changes the character set.
        if (this.#state === "text") this.#isUnknown = true;
        break;
      case "control sequence":
        if (byte < byteOf("@")) this.#parameters += String.fromCharCode(byte);
        else this.#execute(byte);
        if (this.#parameters.length > MAX_PARAMETER_CHARS) this.#isUnknown = true;
        break;
      // A title, or a link.
      case "string":
        if (byte === BEL) this.#state = "text";
        else if (byte === ESC) this.#state = "end of string";
        break;
      case "end of string":
        this.#state = byte === byteOf("\\") ? "text" : "string";
        break;
    }
  }

  #execute(final: number): void {
    this.#state = "text";
    if (final === byteOf("m")) this.#rendition.apply(this.#parameters);
    // Erasing in the line leaves the background colour that is set.
    else if (final === byteOf("K")) this.#isFresh &&= this.#rendition.isPlain;
    else this.#isUnknown = true;
  }

  /** When the screen scrolls, the new line has the background colour that is set. */
  #isFreshAfter(byte: number | undefined): boolean {
    return byte === LF && this.#rendition.isPlain;
  }
}

function afterEscape(byte: number): State {
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

/** The codes of SGR (Select Graphic Rendition): which one resets what another sets. */
const RESET_BY = new Map<number, number>([
  ...each(22, 1, 2),
  ...each(23, 3, 20),
  ...each(24, 4, 21),
  ...each(25, 5, 6),
  ...each(27, 7),
  ...each(28, 8),
  ...each(29, 9),
  ...each(39, 30, 31, 32, 33, 34, 35, 36, 37, 38, 90, 91, 92, 93, 94, 95, 96, 97),
  ...each(49, 40, 41, 42, 43, 44, 45, 46, 47, 48, 100, 101, 102, 103, 104, 105, 106, 107),
  ...each(54, 51, 52),
  ...each(55, 53),
  ...each(59, 58),
]);
const RESETS = new Set(RESET_BY.values());

/** How many parameters follow 38, 48 and 58, by the first of them: 5 is a palette's colour, 2 is RGB. */
const COLOUR_PARAMETERS = new Map([
  [5, 2],
  [2, 4],
]);

/** The colours and weights that a terminal writes with. */
class GraphicRendition {
  /** The codes that would reset what is set. */
  readonly #set = new Set<number>();

  get isPlain(): boolean {
    return this.#set.size === 0;
  }

  /** @param parameters of one sequence: "1;31" of "\u001b[1;31m" */
  apply(parameters: string): void {
    const codes = parameters.split(";").map((code) => Number.parseInt(code || "0", 10));
    for (let n = 0; n < codes.length; n += 1) {
      const code = codes[n] ?? 0;
      if (code === 0) this.#set.clear();
      else if (RESETS.has(code)) this.#set.delete(code);
      // Only 0 resets what is not known.
      else this.#set.add(RESET_BY.get(code) ?? code);
      const isColour = code === 38 || code === 48 || code === 58;
      if (isColour) n += COLOUR_PARAMETERS.get(codes[n + 1] ?? 0) ?? 0;
    }
  }
}

function each(reset: number, ...codes: readonly number[]): [number, number][] {
  return codes.map((code) => [code, reset]);
}
