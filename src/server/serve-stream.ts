import { Code, ConnectError } from "@connectrpc/connect";
import { encodeError } from "../wire/error-map.js";

/** One for all: making an error takes long. */
const CLIENT_LEFT = new ConnectError("the client canceled the call", Code.Canceled);

export interface ServedStream<Event, Message, Heartbeat> {
  /** Opens the source, which may fail at once. */
  readonly open: () => AsyncIterable<Event>;
  readonly encode: (event: Event) => Message;
  /** Sent whenever the client has waited for `heartbeatIntervalMs` and nothing came. */
  readonly heartbeat: Heartbeat;
  readonly heartbeatIntervalMs: number;
  /** The call's: aborted when the client has left, its deadline has passed, or the server closes. */
  readonly signal: AbortSignal;
  /** Called once, when the stream is over, with what it failed with. */
  readonly onEnd: (error?: ConnectError) => void;
}

/**
 * Serves a source of events as a call's messages. It is one generator, not one for
 * each of its tasks: each would cost every chunk of output some turns of the event loop.
 *
 * The source is released (its `return` is called) when the client has read all, or
 * leaves, and when the signal is aborted: also while no message is asked for. A
 * connection that broke while it was full never asks again, and nobody would resume
 * a generator that waits there.
 *
 * @throws ConnectError; where the signal is aborted, what its reason says.
 */
export async function* serveStream<Event, Message, Heartbeat>(
  stream: ServedStream<Event, Message, Heartbeat>,
): AsyncGenerator<Message | Heartbeat, void, undefined> {
  const { signal, heartbeatIntervalMs } = stream;
  const end = once(stream.onEnd);
  let reader: SourceReader<Event> | undefined;
  const onAbort = () => {
    end(encodeError(signal.reason, signal));
    reader?.release().catch(() => {});
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    reader = new SourceReader(stream.open(), heartbeatIntervalMs);
    for (;;) {
      const item = await reader.next();
      signal.throwIfAborted();
      if (item === SILENCE) yield stream.heartbeat;
      else if (item.done) break;
      else yield stream.encode(item.value);
      signal.throwIfAborted();
    }
    end();
  } catch (error) {
    const failure = encodeError(error, signal);
    end(failure);
    throw failure;
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Where it has not ended before, its consumer has left it.
    end(CLIENT_LEFT);
    const released = reader?.release();
    // A source that does not heed the signal must not hold up who does.
    if (signal.aborted) released?.catch(() => {});
    else await released;
  }
}

const SILENCE = Symbol("silence");

/** What became of a request for the source's next item. */
type Arrival<T> = { readonly result: IteratorResult<T> } | { readonly error: unknown };

/** Reads a source, an item at a time as they are asked for, and notes silence. */
class SourceReader<T> {
  readonly #iterator: AsyncIterator<T>;
  /** One timer for all items. It does nothing while no item is waited for. */
  readonly #silence: NodeJS.Timeout;
  #isAsked = false;
  #arrival: Arrival<T> | undefined;
  #wake = () => {};

  constructor(source: AsyncIterable<T>, silenceMs: number) {
    this.#iterator = source[Symbol.asyncIterator]();
    this.#silence = setTimeout(() => this.#wake(), silenceMs);
  }

  /** Resolves with the next item, or with SILENCE where none has come in time or will. */
  async next(): Promise<IteratorResult<T> | typeof SILENCE> {
    if (!this.#isAsked) this.#ask();
    if (!this.#arrival) await this.#arrivalOrSilence();
    const arrival = this.#arrival;
    if (!arrival) return SILENCE;
    this.#arrival = undefined;
    this.#isAsked = false;
    if ("error" in arrival) throw arrival.error;
    return arrival.result;
  }

  /** Lets go of the source; `next` must not be called any more, and one under way resolves. */
  async release(): Promise<void> {
    clearTimeout(this.#silence);
    this.#wake();
    await this.#iterator.return?.();
  }

  #ask(): void {
    this.#isAsked = true;
    this.#iterator.next().then(
      (result) => this.#arrive({ result }),
      (error: unknown) => this.#arrive({ error }),
    );
  }

  #arrive(arrival: Arrival<T>): void {
    this.#arrival = arrival;
    this.#wake();
  }

  #arrivalOrSilence(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
      this.#silence.refresh();
    });
  }
}

function once<Args extends unknown[]>(act: (...args: Args) => void): (...args: Args) => void {
  let isDone = false;
  return (...args) => {
    if (!isDone) act(...args);
    isDone = true;
  };
}
