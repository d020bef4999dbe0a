const MAX_ADDRESSES = 1000;

interface Failures {
  readonly untilMs: number;
  count: number;
}

/** Counts what failed from each address in a window of time; bounded in memory. */
export class FailedAttempts {
  readonly #limit: number;
  readonly #windowMs: number;
  readonly #now: () => number;
  /** In the order in which their windows end. */
  readonly #addresses = new Map<string, Failures>();

  constructor({
    limit,
    windowMs,
    now = () => performance.now(),
  }: { limit: number; windowMs: number; now?: () => number }) {
    this.#limit = limit;
    this.#windowMs = windowMs;
    this.#now = now;
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.#addresses.size;
  }

  /** Notes a failure; false when there were more than the limit in this window. */
  count(address: string): boolean {
    const nowMs = this.#now();
    this.#forgetBefore(nowMs);
    let failures = this.#addresses.get(address);
    if (!failures) {
      failures = { untilMs: nowMs + this.#windowMs, count: 0 };
      this.#addresses.set(address, failures);
    }
    failures.count += 1;
    return failures.count <= this.#limit;
  }

  #forgetBefore(nowMs: number): void {
    for (const [address, { untilMs }] of this.#addresses) {
      if (untilMs > nowMs && this.#addresses.size < MAX_ADDRESSES) return;
      this.#addresses.delete(address);
    }
  }
}
