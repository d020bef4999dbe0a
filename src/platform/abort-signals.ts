/** A signal made of two, and how to let go of them. */
export interface EitherSignal {
  readonly signal: AbortSignal;
  readonly release: () => void;
}

/**
 * Aborted with the first of two signals, and with its reason.
 *
 * AbortSignal.any would do, but in Node 20 it keeps what listens to it for as
 * long as any of its sources lives, and here one lives as long as the server.
 */
export function eitherSignal(a: AbortSignal, b: AbortSignal): EitherSignal {
  const controller = new AbortController();
  const release = () => {
    a.removeEventListener("abort", onAbort);
    b.removeEventListener("abort", onAbort);
  };
  const onAbort = () => {
    release();
    controller.abort((a.aborted ? a : b).reason);
  };
  a.addEventListener("abort", onAbort);
  b.addEventListener("abort", onAbort);
  if (a.aborted || b.aborted) onAbort();
  return { signal: controller.signal, release };
}

/** Does something with a signal made of two, of which the first may be missing. */
export async function untilEither<T>(
  a: AbortSignal | undefined,
  b: AbortSignal,
  act: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (!a) return act(b);
  const { signal, release } = eitherSignal(a, b);
  try {
    return await act(signal);
  } finally {
    release();
  }
}

/** The same for a stream, once it is asked for its first item. */
export async function* streamUntilEither<T>(
  a: AbortSignal | undefined,
  b: AbortSignal,
  open: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  if (!a) return yield* open(b);
  const { signal, release } = eitherSignal(a, b);
  try {
    yield* open(signal);
  } finally {
    release();
  }
}
