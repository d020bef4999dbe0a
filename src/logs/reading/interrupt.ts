/**
 * Ends a reader at once, from outside and whatever it is doing: what it holds
 * is released there and then, and what it waits for rejects.
 */
export class Interrupt {
  readonly #release: () => void;
  #stopped: { readonly reason: unknown } | undefined;
  // One slot instead of Promise.race against one long-lived promise, which
  // would keep every promise it ever raced with.
  #rejectWait: ((reason: unknown) => void) | undefined;

  /** `release` is called once: by stop, or by done. */
  constructor(release: () => void) {
    this.#release = release;
  }

  /** Nothing after the first call counts. */
  stop(reason: unknown): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = { reason };
    this.#release();
    this.#rejectWait?.(reason);
  }

  /** The reader has ended by itself. */
  done(): void {
    this.stop(undefined);
  }

  throwIfStopped(): void {
    if (this.#stopped !== undefined) throw this.#stopped.reason;
  }

  /** The same outcome, unless stopped before. One at a time. */
  wait<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#rejectWait = reject;
      promise.then(resolve, reject);
      if (this.#stopped !== undefined) reject(this.#stopped.reason);
    });
  }
}
