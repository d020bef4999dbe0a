import { setImmediate } from "node:timers/promises";
import { nanoid } from "nanoid";
import { ProcmanError } from "../../contract/errors.js";
import { MAX_INPUT_PIECE_BYTES } from "../../contract/job.js";
import type { Procman } from "../../contract/procman.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";

export interface PumpOptions {
  /**
   * Names who sends. What the same sender reads again is not sent twice. Default: a
   * name that nobody else has.
   */
  readonly sender?: string | undefined;
  /** Close the job's input at the end. */
  readonly close: boolean;
  readonly signal: AbortSignal;
}

/**
 * Sends a job what is read, in order and once, through restarts of the server.
 * Resolves when all was taken, or when the signal is aborted.
 * @throws ProcmanError, JOB_NOT_RUNNING and INPUT_NOT_OPEN too
 */
export async function pumpInput(
  client: Procman,
  id: string,
  read: (signal: AbortSignal) => AsyncIterable<Uint8Array>,
  { close, signal, ...options }: PumpOptions,
): Promise<void> {
  const reading = createLinkedAbortController(signal);
  let sender = options.sender ?? nanoid();
  let offset = 0;
  const send = async (piece: { readonly data?: Uint8Array; readonly close?: boolean }) => {
    for (;;) {
      try {
        await client.sendInput(id, { ...piece, sender, offset, signal });
        offset += piece.data?.length ?? 0;
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof ProcmanError)) throw error;
        // A command that does not read now may do so later.
        if (error.reason === "INPUT_BACKLOG") continue;
        if (error.reason !== "OFFSET_OUT_OF_RANGE" || offset === 0) throw error;
        // So many others have sent since the last piece that the server forgot this one.
        sender = nanoid();
        offset = 0;
      }
    }
  };
  try {
    const pieces = read(reading.signal);
    for await (const piece of coalesced(pieces, MAX_INPUT_PIECE_BYTES)) {
      for (let begin = 0; begin < piece.length; begin += MAX_INPUT_PIECE_BYTES) {
        await send({ data: piece.subarray(begin, begin + MAX_INPUT_PIECE_BYTES) });
      }
    }
    if (close && !signal.aborted) await send({ close: true });
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    reading.abort();
  }
}

/** Whether an error says only that the job takes no more input. */
export function isInputClosed(error: unknown): error is ProcmanError {
  return (
    error instanceof ProcmanError &&
    (error.reason === "JOB_NOT_RUNNING" || error.reason === "INPUT_NOT_OPEN")
  );
}

/**
 * Follows a job while its input is sent. An error of either ends both, but a job that
 * takes no more input is followed on.
 */
export async function withPump<T>(
  pump: (signal: AbortSignal) => Promise<void>,
  follow: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const both = createLinkedAbortController(signal);
  const pumping = pump(both.signal).catch((error: unknown) => {
    if (!isInputClosed(error)) both.abort(error);
  });
  try {
    return await follow(both.signal);
  } finally {
    both.abort();
    await pumping;
  }
}

const NOTHING_YET = Symbol("nothing yet");

/** Yields the same bytes in fewer pieces: what came while the last one was used is one. */
export async function* coalesced(
  pieces: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = pieces[Symbol.asyncIterator]();
  const request = () => {
    const next = iterator.next();
    // Whoever awaits it gets the error; nobody does once the consumer has left.
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
        const more = await Promise.race([next, setImmediate(NOTHING_YET)]);
        if (more === NOTHING_YET || more.done) break;
        batch.push(more.value);
        size += more.value.length;
        next = request();
      }
      yield batch.length === 1 ? value : Buffer.concat(batch);
    }
  } finally {
    // Not awaited: return() settles only after the next() that is under way.
    iterator.return?.().catch(() => {});
  }
}
