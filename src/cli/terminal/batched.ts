import { setImmediate as turn } from "node:timers/promises";

const NOTHING_YET = Symbol("nothing yet");

/** The same bytes in fewer pieces: what has come while the one before was used is one. */
export async function* batched(
  pieces: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = pieces[Symbol.asyncIterator]();
  const request = () => {
    const next = iterator.next();
    // Whoever takes it gets the error; nobody may, when the consumer has left.
    next.catch(() => {});
    return next;
  };
  let next = request();
  try {
    for (;;) {
      const { done, value } = await next;
      if (done) return;
      next = request();
      const batch = [value];
      for (let size = value.length; size < maxBytes; ) {
        const more = await Promise.race([next, turn(NOTHING_YET)]);
        if (more === NOTHING_YET || more.done) break;
        batch.push(more.value);
        size += more.value.length;
        next = request();
      }
      yield batch.length === 1 ? value : Buffer.concat(batch);
    }
  } finally {
    // Not waited for: a source of which something was requested answers that first.
    iterator.return?.().catch(() => {});
  }
}
