import { createLinkedAbortController } from "../platform/abort-signals.js";
import { decodeError, unreachable } from "../wire/error-map.js";

export interface ReceiveOptions {
  readonly server: string;
  /** How long the server, which sends heartbeats, may be silent while it is waited for. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
  /** Called with each message, before it is given. */
  readonly onMessage: () => void;
}

/**
 * Reads the messages of one streaming call, as they are asked for. The call is aborted
 * when the consumer leaves.
 * @throws ProcmanError, UNREACHABLE also for silence; the signal's reason
 */
export async function* receive<Message>(
  open: (signal: AbortSignal) => AsyncIterable<Message>,
  { server, silenceMs, signal, onMessage }: ReceiveOptions,
): AsyncGenerator<Message, void, undefined> {
  const controller = createLinkedAbortController(signal);
  let askedAt: number | undefined;
  // One timer for the stream: one for each message would cost more than the message.
  const watchdog = setInterval(() => {
    if (askedAt === undefined || performance.now() - askedAt < silenceMs) return;
    controller.abort(unreachable(server, `it was silent for more than ${silenceMs} ms`));
  }, silenceMs / 4);
  try {
    controller.signal.throwIfAborted();
    const messages = open(controller.signal)[Symbol.asyncIterator]();
    for (;;) {
      askedAt = performance.now();
      const { done, value } = await messages.next();
      askedAt = undefined;
      if (done) return;
      onMessage();
      yield value;
      controller.signal.throwIfAborted();
    }
  } catch (error) {
    controller.signal.throwIfAborted();
    throw decodeError(error, server);
  } finally {
    clearInterval(watchdog);
    // Connect ends a streaming call for nothing else.
    controller.abort();
  }
}
