import type { Stream } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { progressLine } from "../format/progress.js";
import { CursorTracker } from "./cursor-tracker.js";
import { OutputTail } from "./output-tail.js";

const DEFAULT_REFRESH_INTERVAL_MS = 100;

/** Lines are cut at the edge of the terminal, instead of wrapped. */
const NO_WRAP = "\u001b[?7l";
const WRAP = "\u001b[?7h";
const ERASE_LINE = "\r\u001b[K";

export interface RawViewOptions {
  /** Show progress, on a terminal. */
  readonly progress: boolean;
  /** How often the progress is brought up to date. Default 100. */
  readonly refreshIntervalMs?: number;
}

/**
 * Writes a job's output byte by byte, and on a terminal its progress below it.
 *
 * Progress is drawn only while the cursor is at the beginning of an empty line and no
 * colours are set. The cursor stays there, and the line is erased before the next
 * bytes. So output that draws its own bars, or moves the cursor, looks as it would
 * alone.
 */
export class RawView {
  readonly #cli: Cli;
  readonly #showsProgress: boolean;
  readonly #refreshIntervalMs: number;
  readonly #cursor = new CursorTracker();
  readonly #tail = new OutputTail();
  #timer: NodeJS.Timeout | undefined;
  #refreshedAtMs = performance.now();
  #text = "";
  /** Whether the progress is on the screen. */
  #isDrawn = false;

  constructor(cli: Cli, options: RawViewOptions) {
    const { progress, refreshIntervalMs = DEFAULT_REFRESH_INTERVAL_MS } = options;
    this.#cli = cli;
    this.#showsProgress = progress && cli.stdout.isScreen;
    this.#refreshIntervalMs = refreshIntervalMs;
  }

  async show(stream: Stream, data: Uint8Array): Promise<void> {
    const output = this.#cli[stream];
    if (!this.#showsProgress) return output.write(data);
    clearTimeout(this.#timer);
    this.#tail.push(stream, data);
    if (output.isTerminal) {
      await this.#erase();
      this.#cursor.push(data);
    }
    await output.write(data);
    if (this.#cursor.isAtFreshLine) await this.#drawSoon();
  }

  /** Erases the progress. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#erase();
  }

  async #drawSoon(): Promise<void> {
    const leftMs = this.#refreshedAtMs + this.#refreshIntervalMs - performance.now();
    if (leftMs <= 0) return this.#refresh();
    await this.#draw();
    // Whoever writes next gets the error.
    this.#timer = setTimeout(() => void this.#refresh().catch(() => {}), leftMs);
  }

  async #refresh(): Promise<void> {
    this.#refreshedAtMs = performance.now();
    const { stdout } = this.#cli;
    const progress = this.#tail.progress();
    this.#text = progress ? stdout.paint("cyan", progressLine(progress, stdout.width)) : "";
    await this.#erase();
    await this.#draw();
  }

  async #draw(): Promise<void> {
    if (this.#text === "" || this.#isDrawn) return;
    this.#isDrawn = true;
    await this.#cli.stdout.write(`${NO_WRAP}${this.#text}${WRAP}\r`);
  }

  async #erase(): Promise<void> {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    await this.#cli.stdout.write(ERASE_LINE);
  }
}
