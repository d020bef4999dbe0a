import type { OutputChunk } from "../../contract/procman.js";
import type { Interrupt } from "./interrupt.js";
import type { LogCursor } from "./log-cursor.js";
import { HISTORY } from "../following/seen-marks.js";

/**
 * The cursors' chunks in the order in which they were seen. What was there
 * before has no such order: a cursor with such chunks and the other take turns,
 * so that what is new need not wait for all of it. Nothing is read before it is
 * asked for.
 *
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
  let last: LogCursor | undefined;
  for (let settled = false; ; ) {
    if (!settled && (ended === undefined || ended.aborted)) {
      // Begins after the end was seen, so it finds all that was written before.
      await interrupt.wait(Promise.all(cursors.map((cursor) => cursor.settle())));
      settled = true;
    }
    // Also those that others could go before, so that none starves.
    for (const cursor of cursors) if (cursor.stale) await interrupt.wait(cursor.look());
    const turn = nextTurn(cursors, last);
    if (turn !== undefined) {
      last = turn.cursor;
      const chunk = await interrupt.wait(turn.cursor.next(turn.beforeMs));
      if (chunk === undefined) continue;
      yield chunk;
      interrupt.throwIfStopped();
    } else {
      if (settled || ended === undefined) return;
      await untilMore(cursors, interrupt, ended);
    }
  }
}

interface Turn {
  readonly cursor: LogCursor;
  /** When the next byte of the other was seen. */
  readonly beforeMs: number;
}

function nextTurn(cursors: readonly LogCursor[], last: LogCursor | undefined): Turn | undefined {
  const ready = cursors.flatMap((cursor) => {
    const { order } = cursor;
    return order === undefined ? [] : [{ cursor, order }];
  });
  if (ready.some(({ order }) => order === HISTORY)) {
    const next = ready.find(({ cursor }) => cursor !== last) ?? ready[0];
    return next && { cursor: next.cursor, beforeMs: Number.POSITIVE_INFINITY };
  }
  const [first, second] = ready.sort((a, b) => a.order - b.order);
  return first && { cursor: first.cursor, beforeMs: second?.order ?? Number.POSITIVE_INFINITY };
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
