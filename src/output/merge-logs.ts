import type { OutputChunk } from "../core/api.js";
import type { Interrupt } from "./interrupt.js";
import type { LogCursor } from "./log-cursor.js";

/**
 * The cursors' chunks as they come: every cursor that has something gives one
 * chunk a turn, so none starves, and nothing is read before it is asked for.
 * Ends after the last byte that was there when `ended` was aborted, even if
 * something goes on writing; without `ended`, after the last byte there was at
 * the beginning.
 */
export async function* mergeLogs(
  cursors: readonly LogCursor[],
  interrupt: Interrupt,
  ended?: AbortSignal,
): AsyncGenerator<OutputChunk, void, undefined> {
  await interrupt.wait(Promise.all(cursors.map((cursor) => cursor.open())));
  for (let settled = false; ; ) {
    if (!settled && (ended === undefined || ended.aborted)) {
      // Begins after the end was seen, so it finds all that was written before.
      await interrupt.wait(Promise.all(cursors.map((cursor) => cursor.settle())));
      settled = true;
    }
    let idle = true;
    for (const cursor of cursors) {
      const chunk = await interrupt.wait(cursor.next());
      if (chunk === undefined) continue;
      idle = false;
      yield chunk;
      interrupt.throwIfStopped();
    }
    if (!idle) continue;
    if (settled || ended === undefined) return;
    await untilMore(cursors, interrupt, ended);
  }
}

async function untilMore(
  cursors: readonly LogCursor[],
  interrupt: Interrupt,
  ended: AbortSignal,
): Promise<void> {
  let wake = (): void => {};
  const more = new Promise<void>((resolve) => {
    wake = resolve;
  });
  ended.addEventListener("abort", wake);
  if (ended.aborted) wake();
  for (const cursor of cursors) cursor.onMore(wake);
  try {
    await interrupt.wait(more);
  } finally {
    ended.removeEventListener("abort", wake);
    for (const cursor of cursors) cursor.onMore(undefined);
  }
}
