import { startTimer } from "../platform/timers.js";

/** In how many steps a lease runs down. */
const STEPS = 4;

/**
 * The time that is left of a job's lease. It runs down by a clock that never jumps, a
 * quarter at a time. However late the end of a quarter is noticed, no more than that
 * quarter counts: while this process was stopped, or the machine slept, nobody could renew.
 *
 * It is kept in memory alone. The next server grants a whole lease again, so to renew one
 * costs no write.
 */
export class Lease {
  readonly #onExpired: () => void;
  #stepsLeft = 0;
  #cancelTimer: () => void = () => {};
  #hasExpired = false;
  #expireTime: Date;

  /** @param onExpired called once, unless it is disposed before */
  constructor(leaseMs: number, onExpired: () => void) {
    this.#onExpired = onExpired;
    this.#expireTime = this.#begin(leaseMs);
  }

  /** When it runs out at the earliest, unless it is renewed. The same object until then. */
  get expireTime(): Date {
    return this.#expireTime;
  }

  /** From then on it cannot be renewed any more. */
  get hasExpired(): boolean {
    return this.#hasExpired;
  }

  /** Begins it anew. */
  renew(leaseMs: number): void {
    if (!this.#hasExpired) this.#expireTime = this.#begin(leaseMs);
  }

  dispose(): void {
    this.#cancelTimer();
  }

  #begin(leaseMs: number): Date {
    this.#cancelTimer();
    this.#stepsLeft = STEPS;
    this.#step(leaseMs / STEPS);
    return new Date(Date.now() + leaseMs);
  }

  #step(stepMs: number): void {
    this.#cancelTimer = startTimer(stepMs, () => {
      this.#stepsLeft -= 1;
      if (this.#stepsLeft > 0) return this.#step(stepMs);
      this.#hasExpired = true;
      this.#onExpired();
    });
  }
}
