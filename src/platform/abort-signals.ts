/**
 * The reason of a signal that only says that something is over. Where none is given, a
 * DOMException is made, which takes longer than all the rest of an abort.
 */
export const IS_OVER = new Error("it is over");

/**
 * Returns an AbortController that is aborted with the first of the signals, and
 * with that one's reason. Abort it also when its work is done: only then does it
 * let go of the signals.
 *
 * AbortSignal.any is not used, since in Node 20 it keeps what listens to it for as
 * long as any of its sources lives, and a server's or a client's lives long.
 */
export function createLinkedAbortController(
  ...signals: readonly (AbortSignal | undefined)[]
): AbortController {
  const controller = new AbortController();
  const linked = [...signals.filter((signal) => signal !== undefined), controller.signal];
  const onAbort = ({ target }: { target: unknown }): void => {
    for (const signal of linked) signal.removeEventListener("abort", onAbort);
    controller.abort((target as AbortSignal).reason);
  };
  for (const signal of linked) signal.addEventListener("abort", onAbort);
  const aborted = linked.find((signal) => signal.aborted);
  if (aborted) onAbort({ target: aborted });
  return controller;
}

/** Calls `act` with a signal that is aborted with the first of those given. */
export async function withLinkedSignal<T>(
  [first, second]: readonly [AbortSignal | undefined, AbortSignal],
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!first) return act(second);
  const controller = createLinkedAbortController(first, second);
  try {
    return await act(controller.signal);
  } finally {
    controller.abort(IS_OVER);
  }
}

/** Does the same for a stream, which is opened when its first item is asked for. */
export async function* streamWithLinkedSignal<T>(
  [first, second]: readonly [AbortSignal | undefined, AbortSignal],
  open: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  if (!first) return yield* open(second);
  const controller = createLinkedAbortController(first, second);
  try {
    yield* open(controller.signal);
  } finally {
    controller.abort(IS_OVER);
  }
}

/** Resolves as soon as any of the signals is aborted. */
export function anyAborted(...signals: readonly (AbortSignal | undefined)[]): Promise<void> {
  const { signal } = createLinkedAbortController(...signals);
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve()));
}

/** Settles as the promise does, or rejects with the signal's reason as soon as that is aborted. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
