/**
 * Waits until a condition holds without letting this process do anything else, so
 * that what happens meanwhile is not seen by what runs in it.
 */
export function blockUntil(what: string, condition: () => boolean, ceilingMs = 20_000): void {
  const deadline = performance.now() + ceilingMs;
  const cell = new Int32Array(new SharedArrayBuffer(4));
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`waited ${ceilingMs} ms for ${what}`);
    Atomics.wait(cell, 0, 0, 1);
  }
}
