import { anyAborted, IS_OVER } from "./abort-signals.js";

/** Beyond this, setTimeout and setInterval fire at once. */
export const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * Calls back after any number of milliseconds: what setTimeout cannot take is
 * waited for in several steps.
 * @param keepsAlive whether the process stays for it, also with nothing else to do
 * @returns how to cancel it
 */
export function startTimer(
  delayMs: number,
  onElapsed: () => void,
  { keepsAlive = true } = {},
): () => void {
  let timer: NodeJS.Timeout;
  const arm = (leftMs: number): void => {
    const stepMs = Math.min(leftMs, MAX_TIMEOUT_MS);
    timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : onElapsed()), stepMs);
    if (!keepsAlive) timer.unref();
  };
  arm(Math.max(delayMs, 0));
  return () => clearTimeout(timer);
}

/** A signal that is aborted once a time has passed. `cancel` stops the clock. */
export interface Deadline {
  readonly signal: AbortSignal;
  readonly cancel: () => void;
}

export function createDeadline(delayMs: number): Deadline {
  const controller = new AbortController();
  return {
    signal: controller.signal,
    cancel: startTimer(delayMs, () => controller.abort(IS_OVER)),
  };
}

/** Resolves after `delayMs`, or as soon as any of the signals is aborted. */
export async function sleep(
  delayMs: number,
  ...signals: readonly (AbortSignal | undefined)[]
): Promise<void> {
  const { signal, cancel } = createDeadline(delayMs);
  await anyAborted(signal, ...signals);
  cancel();
}
