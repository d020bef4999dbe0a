/**
 * The life of one call: aborted with the first of its sources, with that one's
 * reason, or by itself.
 *
 * AbortSignal.any would do, but in Node 20 it keeps what listens to it for as
 * long as any of its sources lives, and a client's lives long.
 */
export class CallScope {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];

  constructor(...sources: readonly (AbortSignal | undefined)[]) {
    this.#sources = sources.filter((source) => source !== undefined);
    for (const source of this.#sources) source.addEventListener("abort", this.#onAbort);
    this.#onAbort();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason?: unknown): void {
    this.release();
    this.#controller.abort(reason);
  }

  /** Lets go of the sources. */
  release(): void {
    for (const source of this.#sources) source.removeEventListener("abort", this.#onAbort);
  }

  readonly #onAbort = (): void => {
    const aborted = this.#sources.find((source) => source.aborted);
    if (aborted) this.abort(aborted.reason);
  };
}
