/** Beyond this, setTimeout fires at once. */
export const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** A signal that is aborted after any number of milliseconds, and how to give it up. */
export function timeoutSignal(delayMs: number): { signal: AbortSignal; clear: () => void } {
  const controller = new AbortController();
  let timer: NodeJS.Timeout;
  const arm = (leftMs: number) => {
    const stepMs = Math.min(leftMs, LONGEST_TIMEOUT_MS);
    timer = setTimeout(() => {
      if (leftMs > stepMs) arm(leftMs - stepMs);
      else controller.abort();
    }, stepMs);
  };
  arm(delayMs);
  return { signal: controller.signal, clear: () => clearTimeout(timer) };
}

/** Resolves when any of the signals is aborted. */
export function anyAborted(...signals: (AbortSignal | undefined)[]): Promise<void> {
  const present = signals.filter((signal) => signal !== undefined);
  return new Promise((resolve) => {
    const finish = () => {
      for (const signal of present) signal.removeEventListener("abort", finish);
      resolve();
    };
    if (present.some((signal) => signal.aborted)) return resolve();
    for (const signal of present) signal.addEventListener("abort", finish);
  });
}

/** The promise's result, unless the signal is aborted first: then its reason is thrown. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const settled = new AbortController();
  promise.then(
    () => settled.abort(),
    () => settled.abort(),
  );
  await anyAborted(settled.signal, signal);
  if (!settled.signal.aborted) signal.throwIfAborted();
  return promise;
}
