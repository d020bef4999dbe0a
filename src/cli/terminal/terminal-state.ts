/* oxlint-disable eslint/no-control-regex -- control characters are what it looks for */

/** DEC private modes that programs set. */
const CURSOR_SHOWN = 25;
const OTHER_MODES = [
  // Cursor keys, where margins count from, mouse, focus, the other screen, pasting.
  1, 6, 9, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004,
];

/**
 * Resets what is not tracked: the margins, without moving the cursor; wrapping at the
 * edge; the character set; the keypad; the cursor's shape; colours.
 */
const RESET = "\u001b7\u001b[r\u001b8\u001b[?7h\u001b(B\u000f\u001b>\u001b[0 q\u001b[0m";

/** More than any of the sequences has, so that one that comes in two pieces is found. */
const KEPT_CHARS = 64;

const MODE = /\u001b\[\?([\d;]+)([hl])/g;
/** Kitty's and xterm's escape sequences for keys are switched on. */
const KEY_PROTOCOL = /\u001b\[>\d*u|\u001b\[>4;\d+m/;

/**
 * Tracks the modes that a program's output has set in the terminal that shows it, so
 * that they can be undone when the user leaves before the program does.
 */
export class TerminalState {
  readonly #set = new Set<number>();
  #cursorHidden = false;
  #hasKeyProtocol = false;
  #tail = "";

  observe(output: Uint8Array): void {
    const text = this.#tail + Buffer.from(output).toString("latin1");
    for (const [, numbers = "", action] of text.matchAll(MODE)) {
      for (const number of numbers.split(";").map(Number)) this.#note(number, action === "h");
    }
    this.#hasKeyProtocol ||= KEY_PROTOCOL.test(text);
    this.#tail = text.slice(-KEPT_CHARS);
  }

  /** Returns the escape sequences that undo it all. */
  restoreSequence(): string {
    // The last one first: the alternate screen brings the cursor back with it.
    const modes = [...this.#set].toReversed().map((number) => `\u001b[?${number}l`);
    const cursor = this.#cursorHidden ? "\u001b[?25h" : "";
    const keys = this.#hasKeyProtocol ? "\u001b[<u\u001b[>4m" : "";
    return `${modes.join("")}${cursor}${keys}${RESET}`;
  }

  #note(number: number, isSet: boolean): void {
    if (number === CURSOR_SHOWN) this.#cursorHidden = !isSet;
    else if (!OTHER_MODES.includes(number)) return;
    else if (isSet) this.#set.add(number);
    else this.#set.delete(number);
  }
}

/**
 * Removes what asks the terminal something. When old output is shown again, the
 * terminal would answer, and the job take the answer for typed.
 */
export function withoutQueries(output: Uint8Array): Uint8Array {
  const text = Buffer.from(output).toString("latin1");
  return Buffer.from(text.replace(QUERIES, ""), "latin1");
}

const QUERIES = new RegExp(
  [
    // Device attributes and status, the cursor's position.
    /\u001b\[[>=?]?[\d;]*[cn]/,
    // The version, the state of modes, the size, the key protocol.
    /\u001b\[>\d*q/,
    /\u001b\[\??\d+\$p/,
    /\u001b\[(?:1[1-9]|2[01])(?:;\d+)*t/,
    /\u001b\[\?u/,
    // Colours, settings and capabilities.
    /\u001b\][\d;]+;\?(?:\u0007|\u001b\\)/,
    /\u001bP[+$]q[^\u001b]*\u001b\\/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);
