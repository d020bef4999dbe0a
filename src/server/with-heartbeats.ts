/** What became of a request for the source's next item. */
type Arrival<T> = { readonly result: IteratorResult<T> } | { readonly error: unknown };

/**
 * The source's items, and one of `make` after every `intervalMs` in which the
 * consumer waited and nothing came.
 *
 * The source is released (its `return` is called) when the consumer leaves, and
 * when the signal is aborted: also while the consumer asks for nothing, as one
 * whose connection broke while it was waiting to write never will again.
 *
 * @throws the signal's reason when it is aborted.
 */
export async function* withHeartbeats<T, H>(
  source: AsyncIterable<T>,
  intervalMs: number,
  make: () => H,
  signal: AbortSignal,
): AsyncGenerator<T | H> {
  const iterator = source[Symbol.asyncIterator]();
  const inbox: { arrival?: Arrival<T>; wake(): void } = { wake: () => {} };
  const arrive = (arrival: Arrival<T>) => {
    inbox.arrival = arrival;
    inbox.wake();
  };
  const requestNext = () =>
    void iterator.next().then(
      (result) => arrive({ result }),
      (error: unknown) => arrive({ error }),
    );
  const silence = setTimeout(() => inbox.wake(), intervalMs);
  const arrivalOrSilence = () =>
    new Promise<void>((resolve) => {
      inbox.wake = resolve;
      silence.refresh();
    });
  const release = async () => {
    clearTimeout(silence);
    await iterator.return?.();
  };
  const onAbort = () => {
    release().catch(() => {});
    inbox.wake();
  };
  signal.addEventListener("abort", onAbort, { once: true });

  try {
    signal.throwIfAborted();
    requestNext();
    for (;;) {
      if (!inbox.arrival) await arrivalOrSilence();
      signal.throwIfAborted();
      const { arrival } = inbox;
      if (!arrival) {
        yield make();
        continue;
      }
      delete inbox.arrival;
      if ("error" in arrival) throw arrival.error;
      if (arrival.result.done) return;
      yield arrival.result.value;
      signal.throwIfAborted();
      requestNext();
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    const released = release();
    // A source that does not heed the signal must not hold up who does.
    if (signal.aborted) released.catch(() => {});
    else await released;
  }
}
