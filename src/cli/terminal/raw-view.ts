import type { Stream } from "../../contract/job.js";
import type { Cli } from "../cli.js";
import { CursorTracker } from "./cursor-tracker.js";
import { OutputTail } from "./output-tail.js";
import { progressLine } from "../format/progress.js";

const DEFAULT_LOOK_INTERVAL_MS = 100;

/** Cut at the edge of the terminal, and the cursor back at the beginning. */
const BEGIN = "\u001b[?7l";
const END = "\u001b[?7h\r";
const ERASE = "\r\u001b[K";

export interface RawViewOptions {
  /** Show progress, on a terminal. */
  readonly progress: boolean;
  /** How often progress is looked for. Default 100. */
  readonly lookIntervalMs?: number;
}

/**
 * Passes a job's output through, byte by byte.
 *
 * On a terminal the progress that it tells of is shown below it, while the
 * cursor is at the beginning of an empty line and no colours are set: the cursor
 * stays there, and the line is erased before the next bytes. So output that draws
 * its own bars, or moves the cursor, looks as if nobody else was there.
 */
export class RawView {
  readonly #cli: Cli;
  readonly #showsProgress: boolean;
  readonly #lookIntervalMs: number;
  readonly #cursor = new CursorTracker();
  readonly #tail = new OutputTail();
  #timer: NodeJS.Timeout | undefined;
  #lookedAtMs = performance.now();
  #text = "";
  /** Whether it is on the screen. */
  #drawn = false;

  constructor(cli: Cli, options: RawViewOptions) {
    const { progress, lookIntervalMs = DEFAULT_LOOK_INTERVAL_MS } = options;
    this.#cli = cli;
    this.#showsProgress = progress && cli.stdout.isScreen;
    this.#lookIntervalMs = lookIntervalMs;
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

  /** Takes the progress away. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#erase();
  }

  async #drawSoon(): Promise<void> {
    const leftMs = this.#lookedAtMs + this.#lookIntervalMs - performance.now();
    if (leftMs <= 0) return this.#look();
    await this.#draw();
    // Whoever writes next gets the error.
    this.#timer = setTimeout(() => void this.#look().catch(() => {}), leftMs);
  }

  async #look(): Promise<void> {
    this.#lookedAtMs = performance.now();
    const { stdout } = this.#cli;
    const progress = this.#tail.progress();
    this.#text = progress ? stdout.paint("cyan", progressLine(progress, stdout.width)) : "";
    await this.#erase();
    await this.#draw();
  }

  async #draw(): Promise<void> {
    if (this.#text === "" || this.#drawn) return;
    this.#drawn = true;
    await this.#cli.stdout.write(BEGIN + this.#text + END);
  }

  async #erase(): Promise<void> {
    if (!this.#drawn) return;
    this.#drawn = false;
    await this.#cli.stdout.write(ERASE);
  }
}
