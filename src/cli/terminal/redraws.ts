/** So often at most: as smooth as progress needs to be, and nothing for a terminal to do. */
const INTERVAL_MS = 250;

/** Draws what has changed: not for every change, and not while the terminal is busy. */
export class Redraws {
  readonly #draw: () => Promise<void>;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #drawing = false;
  #wanted = false;
  #drawnAtMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(draw: () => Promise<void>, onError: (error: unknown) => void) {
    this.#draw = draw;
    this.#onError = onError;
  }

  soon(): void {
    this.#wanted = true;
    if (this.#stopped || this.#drawing || this.#timer !== undefined) return;
    const leftMs = this.#drawnAtMs + INTERVAL_MS - performance.now();
    this.#timer = setTimeout(() => void this.#run(), Math.max(leftMs, 0));
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Goes on after `stop`. */
  start(): void {
    this.#stopped = false;
    this.soon();
  }

  async #run(): Promise<void> {
    this.#timer = undefined;
    this.#wanted = false;
    this.#drawing = true;
    try {
      await this.#draw();
    } catch (error) {
      this.#onError(error);
    }
    this.#drawing = false;
    this.#drawnAtMs = performance.now();
    if (this.#wanted) this.soon();
  }
}
