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
