import { nanoid } from "nanoid";
import type { Procman } from "../../contract/procman.js";
import { ProcmanError } from "../../contract/errors.js";
import { MAX_INPUT_PIECE_BYTES } from "../../contract/job.js";
import { createLinkedAbortController } from "../../platform/abort-signals.js";
import { batched } from "./batched.js";

export interface PumpOptions {
  /**
   * Who sends. What is read again by the same one is not sent twice. Default: a
   * name that nobody else has.
   */
  readonly sender?: string | undefined;
  /** Close the job's input at the end. */
  readonly close: boolean;
  readonly signal: AbortSignal;
}

/**
 * Sends a job what is read, in order and once, through restarts of the server.
 * It resolves when all was taken, or when the signal is aborted.
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
        // So many others have sent since the last piece that this one was forgotten.
        sender = nanoid();
        offset = 0;
      }
    }
  };
  try {
    const pieces = read(reading.signal);
    for await (const piece of batched(pieces, MAX_INPUT_PIECE_BYTES)) {
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

/** Whether that only means that the job wants no more. */
export function wantsNoMore(error: unknown): boolean {
  return (
    error instanceof ProcmanError &&
    (error.reason === "JOB_NOT_RUNNING" || error.reason === "INPUT_NOT_OPEN")
  );
}

/**
 * Follows a job while its input is sent; what goes wrong with either ends both. A
 * job that takes no more input is followed on.
 */
export async function whilePumping<T>(
  pump: (signal: AbortSignal) => Promise<void>,
  follow: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const both = createLinkedAbortController(signal);
  const pumping = pump(both.signal).catch((error: unknown) => {
    if (!wantsNoMore(error)) both.abort(error);
  });
  try {
    return await follow(both.signal);
  } finally {
    both.abort();
    await pumping;
  }
}
