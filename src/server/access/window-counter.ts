const MAX_KEYS = 1000;

interface Window {
  readonly untilMs: number;
  count: number;
}

/**
 * Counts events by key. A key's count starts anew a fixed time after its first event.
 * Where there are too many keys, the oldest are forgotten, so that memory is bounded.
 */
export class WindowCounter {
  readonly #windowMs: number;
  readonly #now: () => number;
  /** In insertion order, which is the order in which they end. */
  readonly #windows = new Map<string, Window>();

  constructor({
    windowMs,
    now = () => performance.now(),
  }: { windowMs: number; now?: () => number }) {
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** The number of keys that are remembered. */
  get size(): number {
    return this.#windows.size;
  }

  /** Counts one more event of a key; returns how many there are in its window. */
  count(key: string): number {
    const nowMs = this.#now();
    this.#forgetEnded(nowMs);
    let window = this.#windows.get(key);
    if (!window) {
      window = { untilMs: nowMs + this.#windowMs, count: 0 };
      this.#windows.set(key, window);
    }
    window.count += 1;
    return window.count;
  }

  #forgetEnded(nowMs: number): void {
    for (const [key, { untilMs }] of this.#windows) {
      if (untilMs > nowMs && this.#windows.size < MAX_KEYS) return;
      this.#windows.delete(key);
    }
  }
}
