import { setTimeout as sleep } from "node:timers/promises";

/** Waits until a condition gives something truthy; fails, saying what was waited for, at the ceiling. */
export async function eventually<T>(
  what: string,
  condition: () => T | Promise<T>,
  ceilingMs = 20_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + ceilingMs;
  let last: unknown;
  for (let pauseMs = 2; performance.now() < deadline; pauseMs = Math.min(pauseMs * 1.5, 100)) {
    try {
      last = await condition();
      if (last) return last as NonNullable<T>;
    } catch (error) {
      last = error;
    }
    await sleep(pauseMs);
  }
  throw new Error(`waited ${ceilingMs} ms for ${what}`, { cause: last });
}
