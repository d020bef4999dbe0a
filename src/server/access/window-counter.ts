const MAX_KEYS = 1000;

interface Window {
  readonly untilMs: number;
  count: number;
}

/** Counts what happens to each key in a window of time; bounded in memory. */
export class WindowCounter {
  readonly #windowMs: number;
  readonly #now: () => number;
  /** In the order in which they end. */
  readonly #windows = new Map<string, Window>();

  constructor({
    windowMs,
    now = () => performance.now(),
  }: { windowMs: number; now?: () => number }) {
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#windows.size;
  }

  /** Notes one more; returns how many there were in this window. */
  count(key: string): number {
    const nowMs = this.#now();
    this.#forgetBefore(nowMs);
    let window = this.#windows.get(key);
    if (!window) {
      window = { untilMs: nowMs + this.#windowMs, count: 0 };
      this.#windows.set(key, window);
    }
    window.count += 1;
    return window.count;
  }

  #forgetBefore(nowMs: number): void {
    for (const [key, { untilMs }] of this.#windows) {
      if (untilMs > nowMs && this.#windows.size < MAX_KEYS) return;
      this.#windows.delete(key);
    }
  }
}
