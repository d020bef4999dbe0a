import { ProcmanError } from "../contract/errors.js";
import { decodeError, unreachable } from "../wire/error-map.js";
import { receive } from "./receive.js";
import { createLinkedAbortController } from "../platform/abort-signals.js";
import { startTimer } from "../platform/timers.js";
import { Reconnection, type ReconnectOptions } from "./reconnection.js";

export interface CallRunnerOptions {
  readonly reconnect: ReconnectOptions | false;
  /** The server's address, for messages. */
  readonly server: string;
  /** How long the server may be silent where it is to answer soon or to send heartbeats. */
  readonly silenceMs: number;
}

/** Reads events over one connection, until it is lost or they end. */
export type Connect<Event> = (connection: Connection) => AsyncIterable<Event>;

export interface Connection {
  readonly signal: AbortSignal;
  /** Reads the messages of one streaming call. */
  receive<Message>(
    open: (signal: AbortSignal) => AsyncIterable<Message>,
  ): AsyncGenerator<Message, void, undefined>;
}

/** Makes calls, and makes them again where the connection was lost and the call is retry-safe. */
export class CallRunner {
  readonly #options: CallRunnerOptions;
  /** Of the calls under way. A single one would have a listener for each of them. */
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

  /** Makes a call once; it may take its time. */
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

  /**
   * Makes a retry-safe call.
   * @param takesMs how long it takes the server at most to answer. Default: it answers soon
   */
  async retrySafe<T>(
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<T>,
    takesMs = 0,
  ): Promise<T> {
    const { reconnect, server } = this.#options;
    const silenceMs = this.#options.silenceMs + takesMs;
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
   * Reads events over one connection after another, until they end. Everything is
   * released when the consumer leaves.
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
    return {
      signal,
      receive: (open) =>
        receive(open, { ...this.#options, signal, onMessage: reconnection.watchStream() }),
    };
  }
}

function clientClosed(): ProcmanError {
  return new ProcmanError("SHUTTING_DOWN", "the client is closed");
}
