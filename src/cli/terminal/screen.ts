import type { Output } from "./output.js";

/** A screen of its own, without a cursor, whose lines are cut at the edge; and back. */
const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const CLEAR = "\u001b[2J";

/** All of a terminal, for a while; what was on it comes back. */
export class Screen {
  readonly #output: Output;
  #entered = false;
  /** What is on it, where that is known. */
  #lines: readonly string[] | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Shows these lines and nothing else. Only those are written that are not there yet. */
  async draw(lines: readonly string[]): Promise<void> {
    const parts = [this.#entered ? "" : ENTER, this.#lines ? "" : CLEAR];
    const before = this.#lines ?? [];
    for (let row = 0; row < Math.max(lines.length, before.length); row += 1) {
      const line = lines[row] ?? "";
      // Erased first: after a line that fills the screen, its last character would go.
      if (line !== (before[row] ?? "")) parts.push(`\u001b[${row + 1};1H\u001b[2K${line}`);
    }
    this.#entered = true;
    this.#lines = lines;
    await this.#output.write(parts.join(""));
  }

  /** It may be in disorder, as after a change of size. */
  invalidate(): void {
    this.#lines = undefined;
  }

  async leave(): Promise<void> {
    if (!this.#entered) return;
    this.#entered = false;
    await this.#output.write(LEAVE);
  }
}
