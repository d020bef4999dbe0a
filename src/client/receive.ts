import { CallScope } from "./call-scope.js";
import { decodeError, unreachable } from "../wire/decode-error.js";

export interface ReceiveOptions {
  readonly server: string;
  /** How long the server may be silent while it is waited for. It sends heartbeats. */
  readonly silenceMs: number;
  readonly signal: AbortSignal;
}

/**
 * The messages of one call of a server stream, read as they are asked for. The
 * call is aborted when the consumer leaves.
 * @throws ProcmanError, UNREACHABLE also for silence; the signal's reason
 */
export async function* receive<Message>(
  open: (signal: AbortSignal) => AsyncIterable<Message>,
  { server, silenceMs, signal }: ReceiveOptions,
): AsyncGenerator<Message, void, undefined> {
  const scope = new CallScope(signal);
  let askedAt: number | undefined;
  // One timer for the stream: one for each message would cost more than the message.
  const watchdog = setInterval(() => {
    if (askedAt === undefined || performance.now() - askedAt < silenceMs) return;
    scope.abort(unreachable(server, `it was silent for more than ${silenceMs} ms`));
  }, silenceMs / 4);
  try {
    scope.signal.throwIfAborted();
    const messages = open(scope.signal)[Symbol.asyncIterator]();
    for (;;) {
      askedAt = performance.now();
      const { done, value } = await messages.next();
      askedAt = undefined;
      if (done) return;
      yield value;
      scope.signal.throwIfAborted();
    }
  } catch (error) {
    scope.signal.throwIfAborted();
    throw decodeError(error, server);
  } finally {
    clearInterval(watchdog);
    // Connect's streams end the call for nothing else.
    scope.abort();
  }
}
