import { addAbortSignal, PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { InvalidArgumentError } from "commander";

/** The key that leaves a terminal without ending what runs in it. */
export interface DetachKey {
  /** For people: "Ctrl-]". */
  readonly name: string;
  /** Returns where in what was typed the key is, or -1. */
  findIn(typed: Uint8Array): number;
}

/** Ctrl, alone or with Caps Lock, Num Lock or both, as terminals encode modifiers. */
const CONTROL = "(?:5|69|133|197)";

/** Parses "ctrl-]". @throws InvalidArgumentError, to which commander adds the option's name */
export function parseDetachKey(text: string): DetachKey {
  const key = /^(?:ctrl-|\^)([a-z[\]\\^_@])$/i.exec(text.trim())?.[1]?.toLowerCase();
  if (key === undefined) {
    throw new InvalidArgumentError('Give a letter or one of @[\\]^_ with "ctrl-": "ctrl-]".');
  }
  if (key === "[") {
    throw new InvalidArgumentError("Ctrl-[ is Escape, with which every arrow key begins.");
  }
  const byte = key.toUpperCase().charCodeAt(0) & 0x1f;
  const code = key.charCodeAt(0);
  // A program may have switched the terminal to escape sequences for keys: kitty's, or
  // xterm's modifyOtherKeys.
  const kitty = `\u001b\\[${code}(?::\\d*)*;${CONTROL}(?::[12])?(?:;[\\d:]*)?u`;
  const xterm = `\u001b\\[27;${CONTROL};${code}~`;
  const pattern = new RegExp(`\\x${byte.toString(16).padStart(2, "0")}|${kitty}|${xterm}`);
  return {
    name: `Ctrl-${key.toUpperCase()}`,
    findIn: (typed) => Buffer.from(typed).toString("latin1").search(pattern),
  };
}

/** How much of what was typed can wait to be sent. */
const MAX_WAITING_BYTES = 1024 * 1024;
/** How long what was typed before the detach key has to be sent. */
const LAST_KEYS_TIMEOUT_MS = 500;
/** More than any encoding of the detach key has, so that one that comes in two reads is found. */
const KEPT_BYTES = 64;

export interface SendKeysOptions {
  readonly detachKey: DetachKey;
  /** Called when the detach key was pressed. */
  readonly onDetach: () => void;
  /** Called for what was typed where no more can wait; it is dropped. */
  readonly onDropped: () => void;
}

/**
 * Sends what is typed, and looks for the detach key in it: at once, whatever
 * becomes of the sending.
 * @param send resolves when it has sent all, or the job takes no more
 */
export async function sendKeys(
  typed: AsyncIterable<Uint8Array>,
  send: (keys: (signal: AbortSignal) => AsyncIterable<Uint8Array>) => Promise<void>,
  options: SendKeysOptions,
): Promise<void> {
  const waiting = new PassThrough({ highWaterMark: MAX_WAITING_BYTES });
  // Whoever reads from it gets the error as well.
  waiting.on("error", () => {});
  const sending = send((signal) => addAbortSignal(signal, waiting)).finally(() =>
    waiting.destroy(),
  );
  const typing = async () => {
    const isDetached = await queueUntilDetached(typed, waiting, options);
    waiting.end();
    if (!isDetached) return;
    await Promise.race([sending, sleep(LAST_KEYS_TIMEOUT_MS, undefined, { ref: false })]);
    options.onDetach();
  };
  await Promise.all([sending, typing()]);
}

/** @returns true when the detach key was pressed, false when nothing is typed any more */
async function queueUntilDetached(
  typed: AsyncIterable<Uint8Array>,
  waiting: PassThrough,
  { detachKey, onDropped }: SendKeysOptions,
): Promise<boolean> {
  const queue = (keys: Uint8Array) => {
    // Nobody reads from it any more.
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
      queue(keys.subarray(0, Math.max(at - before.length, 0)));
      return true;
    }
    queue(keys);
    before = seen.subarray(-KEPT_BYTES);
  }
  return false;
}
