import { ProcmanError } from "../contract/errors.js";
import { decodeError, unreachable } from "../wire/error-map.js";
import { type ReceiveOptions, receive } from "./receive.js";
import { createLinkedAbortController } from "../platform/abort-signals.js";
import { startTimer } from "../platform/timers.js";
import { Reconnection, type ReconnectOptions } from "./reconnection.js";

export interface CallRunnerOptions {
  readonly reconnect: ReconnectOptions | false;
  /** Where the server is, for messages. */
  readonly server: string;
  /** How long the server may be silent where it is to answer soon or to send heartbeats. */
  readonly silenceMs: number;
}

/** How one connection's stream is read. */
export type Connect<Event> = (connection: Connection) => AsyncIterable<Event>;

export interface Connection {
  readonly signal: AbortSignal;
  /** The messages of one server stream, over this connection. */
  receive<Message>(
    open: (signal: AbortSignal) => AsyncIterable<Message>,
  ): AsyncGenerator<Message, void, undefined>;
}

/** Makes calls, again where the connection was lost and that does no harm. */
export class CallRunner {
  readonly #options: CallRunnerOptions;
  /** One of each call under way: a single one would have a listener for each of them. */
  readonly #calls = new Set<AbortController>();
  #closed = false;

  constructor(options: CallRunnerOptions) {
    this.#options = options;
  }

  get reconnects(): boolean {
    return this.#options.reconnect !== false;
  }

  get server(): string {
    return this.#options.server;
  }

  /** Ends every call under way, and every later one. */
  close(): void {
    this.#closed = true;
    for (const controller of this.#calls) controller.abort(clientClosed());
  }

  /** A call that is made once, and may take its time. */
  async once<T>(
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const controller = this.#begin(signal);
    try {
      return await this.#attempt(controller.signal, call);
    } finally {
      this.#end(controller);
    }
  }

  /** A call that can be repeated, and is answered soon. */
  async repeatable<T>(
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { reconnect, server, silenceMs } = this.#options;
    const reconnection = new Reconnection(reconnect);
    const controller = this.#begin(signal);
    try {
      for (;;) {
        const attempt = createLinkedAbortController(controller.signal);
        const cancelTimer = startTimer(silenceMs, () => {
          attempt.abort(unreachable(server, `no answer in ${silenceMs} ms`));
        });
        try {
          return await this.#attempt(attempt.signal, call);
        } catch (error) {
          await reconnection.afterFailure(error as ProcmanError, controller.signal);
        } finally {
          cancelTimer();
          attempt.abort();
        }
      }
    } finally {
      this.#end(controller);
    }
  }

  /**
   * The events of one connection after another, until one ends by itself.
   * Everything is let go of when the consumer leaves.
   */
  async *resumed<Event>(
    signal: AbortSignal | undefined,
    connect: Connect<Event>,
  ): AsyncGenerator<Event, void, undefined> {
    const reconnection = new Reconnection(this.#options.reconnect);
    const controller = this.#begin(signal);
    try {
      for (;;) {
        try {
          yield* connect(this.#connection(controller.signal, reconnection));
          return;
        } catch (error) {
          await reconnection.afterFailure(
            decodeError(error, this.#options.server),
            controller.signal,
          );
        }
      }
    } finally {
      this.#end(controller);
    }
  }

  #begin(signal: AbortSignal | undefined): AbortController {
    const controller = createLinkedAbortController(signal);
    if (this.#closed) controller.abort(clientClosed());
    else this.#calls.add(controller);
    return controller;
  }

  #end(controller: AbortController): void {
    controller.abort();
    this.#calls.delete(controller);
  }

  async #attempt<T>(signal: AbortSignal, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    try {
      return await call(signal);
    } catch (error) {
      signal.throwIfAborted();
      throw decodeError(error, this.#options.server);
    }
  }

  #connection(signal: AbortSignal, reconnection: Reconnection): Connection {
    const options: ReceiveOptions = { ...this.#options, signal };
    return {
      signal,
      receive: async function* (open) {
        let first = true;
        for await (const message of receive(open, options)) {
          if (first) reconnection.reached();
          else reconnection.steady();
          first = false;
          yield message;
        }
      },
    };
  }
}

function clientClosed(): ProcmanError {
  return new ProcmanError("SHUTTING_DOWN", "the client is closed");
}
