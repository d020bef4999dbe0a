const INTERVAL_MS = 500;

/**
 * Tells regularly how late a timer is: for so long nothing else had its turn. The histogram of
 * node:perf_hooks wakes the process a hundred times a second, and counts the time between.
 * @returns how to stop it
 */
export function watchEventLoopDelay(onDelay: (seconds: number) => void): () => void {
  let dueMs = performance.now() + INTERVAL_MS;
  const timer = setInterval(() => {
    const nowMs = performance.now();
    onDelay(Math.max(0, nowMs - dueMs) / 1000);
    dueMs = nowMs + INTERVAL_MS;
  }, INTERVAL_MS).unref();
  return () => clearInterval(timer);
}
