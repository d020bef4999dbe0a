import { addAbortSignal, PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { DetachKey } from "./detach-key.js";

/** So much that was typed can wait to be sent. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** How long what was typed before the detach key has to be sent. */
const LAST_KEYS_MS = 500;
/** Longer than any spelling of the detach key, so that one cut in two is found. */
const KEPT_BYTES = 64;

export interface KeysOptions {
  readonly detachKey: DetachKey;
  /** Called when the detach key was pressed. */
  readonly onDetach: () => void;
  /** Called for what was typed where no more can wait; it is dropped. */
  readonly onDropped: () => void;
}

/**
 * Sends what is typed, and looks for the detach key in it: at once, whatever
 * becomes of the sending.
 * @param send resolves when it has sent all, or the job wants no more
 */
export async function sendKeys(
  typed: AsyncIterable<Uint8Array>,
  send: (keys: (signal: AbortSignal) => AsyncIterable<Uint8Array>) => Promise<void>,
  options: KeysOptions,
): Promise<void> {
  const waiting = new PassThrough({ highWaterMark: MAX_WAITING_BYTES });
  // Whoever takes from it is told as well.
  waiting.on("error", () => {});
  const sending = send((signal) => addAbortSignal(signal, waiting)).finally(() =>
    waiting.destroy(),
  );
  const typing = (async () => {
    const isLeft = await untilDetached(typed, waiting, options);
    waiting.end();
    if (!isLeft) return;
    await Promise.race([sending, sleep(LAST_KEYS_MS, undefined, { ref: false })]);
    options.onDetach();
  })();
  await Promise.all([sending, typing]);
}

/** @returns whether the detach key was pressed, or else nothing is typed any more */
async function untilDetached(
  typed: AsyncIterable<Uint8Array>,
  waiting: PassThrough,
  { detachKey, onDropped }: KeysOptions,
): Promise<boolean> {
  const keep = (keys: Uint8Array) => {
    // There is nobody who takes them.
    if (waiting.destroyed) return;
    const waitingBytes = waiting.writableLength + waiting.readableLength;
    if (waitingBytes + keys.length <= MAX_WAITING_BYTES) waiting.write(keys);
    else onDropped();
  };
  let before = Buffer.alloc(0);
  for await (const keys of typed) {
    const seen = Buffer.concat([before, keys]);
    const at = detachKey.findIn(seen);
    if (at >= 0) {
      keep(keys.subarray(0, Math.max(at - before.length, 0)));
      return true;
    }
    keep(keys);
    before = seen.subarray(-KEPT_BYTES);
  }
  return false;
}
