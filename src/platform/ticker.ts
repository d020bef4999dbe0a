import { MAX_TIMEOUT_MS } from "./timers.js";

interface TickListener {
  readonly onTick: () => void;
  readonly keepsAlive: boolean;
}

/**
 * One timer for all that poll at the same interval, since a wake-up costs more
 * than what most of them do in it. It runs while somebody listens, and keeps the
 * process alive while one of those wants that. For Node alone: the timers of
 * browsers have no `ref`.
 */
export class Ticker {
  readonly #intervalMs: number;
  readonly #listeners = new Set<TickListener>();
  /** How many of them keep the process alive. */
  #keepers = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(intervalMs: number) {
    this.#intervalMs = Math.min(intervalMs, MAX_TIMEOUT_MS);
  }

  /**
   * Calls back at each tick from now on.
   * @param keepsAlive whether the process stays for it, also with nothing else to do
   * @returns how to stop that
   */
  add(onTick: () => void, { keepsAlive = true } = {}): () => void {
    const listener = { onTick, keepsAlive };
    this.#listeners.add(listener);
    if (keepsAlive) this.#keepers += 1;
    this.#update();
    return () => {
      if (!this.#listeners.delete(listener)) return;
      if (keepsAlive) this.#keepers -= 1;
      this.#update();
    };
  }

  #update(): void {
    if (this.#listeners.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
      return;
    }
    this.#timer ??= setInterval(() => this.#tick(), this.#intervalMs);
    if (this.#keepers > 0) this.#timer.ref();
    else this.#timer.unref();
  }

  #tick(): void {
    for (const { onTick } of this.#listeners) onTick();
  }
}
