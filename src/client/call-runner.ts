import { ProcmanError } from "../contract/errors.js";
import { CallScope } from "./call-scope.js";
import { decodeError, unreachable } from "../wire/decode-error.js";
import { type ReceiveOptions, receive } from "./receive.js";
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
  /** Of the calls under way. One signal for all would have a listener for each of them. */
  readonly #scopes = new Set<CallScope>();
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
    for (const scope of this.#scopes) scope.abort(clientClosed());
  }

  /** A call that is made once, and may take its time. */
  async once<T>(
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const scope = this.#scope(signal);
    try {
      return await this.#attempt(scope.signal, call);
    } finally {
      this.#release(scope);
    }
  }

  /** A call that can be repeated, and is answered soon. */
  async repeatable<T>(
    signal: AbortSignal | undefined,
    call: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const { reconnect, server, silenceMs } = this.#options;
    const reconnection = new Reconnection(reconnect);
    const scope = this.#scope(signal);
    try {
      for (;;) {
        const attempt = new CallScope(scope.signal);
        const silence = setTimeout(() => {
          attempt.abort(unreachable(server, `no answer in ${silenceMs} ms`));
        }, silenceMs);
        try {
          return await this.#attempt(attempt.signal, call);
        } catch (error) {
          await reconnection.afterFailure(error as ProcmanError, scope.signal);
        } finally {
          clearTimeout(silence);
          attempt.release();
        }
      }
    } finally {
      this.#release(scope);
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
    const scope = this.#scope(signal);
    try {
      for (;;) {
        try {
          yield* connect(this.#connection(scope.signal, reconnection));
          return;
        } catch (error) {
          await reconnection.afterFailure(decodeError(error, this.#options.server), scope.signal);
        }
      }
    } finally {
      this.#release(scope);
    }
  }

  #scope(signal: AbortSignal | undefined): CallScope {
    const scope = new CallScope(signal);
    if (this.#closed) scope.abort(clientClosed());
    else this.#scopes.add(scope);
    return scope;
  }

  #release(scope: CallScope): void {
    scope.release();
    this.#scopes.delete(scope);
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
