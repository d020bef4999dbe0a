/* oxlint-disable eslint/no-control-regex -- control characters are what it looks for */

/** Private modes that programs set, by what they are there for. */
const CURSOR_SHOWN = 25;
const OTHER_MODES = [
  // Cursor keys, where margins count from, mouse, focus, the other screen, pasting.
  1, 6, 9, 47, 1000, 1002, 1003, 1004, 1005, 1006, 1015, 1047, 1049, 2004,
];

/**
 * The margins, without moving the cursor; lines that go on at the edge; letters
 * for letters; the number pad's keys, the cursor's shape, and no colours: whether
 * or not these were changed.
 */
const AS_USUAL = "\u001b7\u001b[r\u001b8\u001b[?7h\u001b(B\u000f\u001b>\u001b[0 q\u001b[0m";

/** Longer than any of the sequences looked for, so that one cut in two is found. */
const KEPT_CHARS = 64;

const MODE = /\u001b\[\?([\d;]+)([hl])/g;
const KEYS_ON = /\u001b\[>\d*u|\u001b\[>4;\d+m/;

/**
 * What a program's output has made of the terminal that shows it, and how to have
 * that undone when one leaves before the program has.
 */
export class TerminalState {
  readonly #set = new Set<number>();
  #cursorHidden = false;
  #keysSpelt = false;
  #tail = "";

  /** Takes note of what is shown. */
  shown(output: Uint8Array): void {
    const text = this.#tail + Buffer.from(output).toString("latin1");
    for (const [, numbers = "", action] of text.matchAll(MODE)) {
      for (const number of numbers.split(";").map(Number)) this.#note(number, action === "h");
    }
    this.#keysSpelt ||= KEYS_ON.test(text);
    this.#tail = text.slice(-KEPT_CHARS);
  }

  /** What brings the terminal back. */
  restoring(): string {
    // The last first: the cursor comes back with the screen that it was on.
    const modes = [...this.#set].toReversed().map((number) => `\u001b[?${number}l`);
    const cursor = this.#cursorHidden ? "\u001b[?25h" : "";
    const keys = this.#keysSpelt ? "\u001b[<u\u001b[>4m" : "";
    return `${modes.join("")}${cursor}${keys}${AS_USUAL}`;
  }

  #note(number: number, isSet: boolean): void {
    if (number === CURSOR_SHOWN) this.#cursorHidden = !isSet;
    else if (!OTHER_MODES.includes(number)) return;
    else if (isSet) this.#set.add(number);
    else this.#set.delete(number);
  }
}

/**
 * Output without what asks the terminal something: shown again, later, it would
 * answer, and the job take that for typed.
 */
export function withoutQuestions(output: Uint8Array): Uint8Array {
  const text = Buffer.from(output).toString("latin1");
  return Buffer.from(text.replace(QUESTIONS, ""), "latin1");
}

const QUESTIONS = new RegExp(
  [
    // Who and where are you: device attributes and status, the cursor's place.
    /\u001b\[[>=?]?[\d;]*[cn]/,
    // Its version, the state of modes, its size, how it spells keys.
    /\u001b\[>\d*q/,
    /\u001b\[\??\d+\$p/,
    /\u001b\[(?:1[1-9]|2[01])(?:;\d+)*t/,
    /\u001b\[\?u/,
    // Colours, and what a name stands for.
    /\u001b\][\d;]+;\?(?:\u0007|\u001b\\)/,
    /\u001bP[+$]q[^\u001b]*\u001b\\/,
  ]
    .map(({ source }) => source)
    .join("|"),
  "g",
);
