import type { Output } from "./output.js";

/** The alternate screen, without a cursor, whose lines are cut at the edge; and back. */
const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const CLEAR = "\u001b[2J";

/** Takes all of a terminal for a while; what was on it comes back with `leave`. */
export class Screen {
  readonly #output: Output;
  #isEntered = false;
  /** The lines that are on it; undefined where that is not known. */
  #lines: readonly string[] | undefined;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Shows these lines and nothing else. Writes only those that differ from what is there. */
  async draw(lines: readonly string[]): Promise<void> {
    const parts = [this.#isEntered ? "" : ENTER, this.#lines ? "" : CLEAR];
    const before = this.#lines ?? [];
    for (let row = 0; row < Math.max(lines.length, before.length); row += 1) {
      const line = lines[row] ?? "";
      // Erased first: after a full line, erasing would take its last character.
      if (line !== (before[row] ?? "")) parts.push(`\u001b[${row + 1};1H\u001b[2K${line}`);
    }
    this.#isEntered = true;
    this.#lines = lines;
    await this.#output.write(parts.join(""));
  }

  /** Has the next `draw` write every line, as after a change of size. */
  invalidate(): void {
    this.#lines = undefined;
  }

  async leave(): Promise<void> {
    if (!this.#isEntered) return;
    this.#isEntered = false;
    await this.#output.write(LEAVE);
  }
}

/** Often enough for progress to look smooth, and little work for a terminal. */
const MIN_REDRAW_INTERVAL_MS = 250;

/** Limits how often something is drawn: with a pause in between, and never twice at once. */
export class RedrawThrottle {
  readonly #draw: () => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #isDrawing = false;
  #isRequested = false;
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #isStopped = false;

  constructor(draw: () => Promise<void>, onError: (error: unknown) => void) {
    this.#draw = draw;
    this.#onError = onError;
  }

  /** Draws soon; further requests until then are one with this. */
  request(): void {
    this.#isRequested = true;
    if (this.#isStopped || this.#isDrawing || this.#timer !== undefined) return;
    const leftMs = this.#drawnAtMs + MIN_REDRAW_INTERVAL_MS - performance.now();
    this.#timer = setTimeout(() => void this.#run(), Math.max(leftMs, 0));
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Draws, and goes on after `stop`. */
  restart(): void {
    this.#isStopped = false;
    this.request();
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#isRequested = false;
    this.#isDrawing = true;
    try {
      await this.#draw();
    } catch (error) {
      this.#onError(error);
    }
    this.#isDrawing = false;
    this.#drawnAtMs = performance.now();
    if (this.#isRequested) this.request();
  }
}
