import { Code, ConnectError, createRouterTransport, type Interceptor } from "@connectrpc/connect";
import { ProcmanService } from "../../../gen/procman/v1/procman_pb.js";
import { createProcmanClientFromTransport } from "../../../src/client/index.js";
import type { JobFilter, JobsEvent, Procman } from "../../../src/contract/procman.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import pino from "pino";
import { createProcmanService } from "../../../src/server/procman-service.js";
import { JobsPicture } from "../../helpers/jobs-picture.js";

/** One who watches jobs, at a pace of its own, and keeps a picture of them. */
export abstract class JobsWatcher {
  readonly picture: JobsPicture;
  /** What went wrong with it, if anything did. */
  failure: unknown;
  #credits = 0;
  #wake: () => void = () => {};

  constructor(filter: JobFilter) {
    this.picture = new JobsPicture(filter);
  }

  /** Lets it take so many events more. */
  read(events: number): void {
    this.#credits += events;
    this.#wake();
  }

  /** Its connection is lost, with what is under way. */
  abstract lose(): void;
  /** It comes back, where that is not of its own accord. */
  abstract comeBack(): void;
  /** Resolves when it is gone. */
  abstract close(): Promise<void>;

  protected async follow(events: AsyncIterable<JobsEvent>, signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#wake());
    try {
      for await (const event of events) {
        while (this.#credits <= 0 && !signal.aborted) {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
        if (signal.aborted) return;
        this.#credits -= 1;
        this.picture.apply(event);
      }
    } catch (error) {
      const closing = error instanceof ProcmanError && error.reason === "SHUTTING_DOWN";
      if (!signal.aborted && !closing) this.failure ??= error;
    }
  }
}

/** Comes back by itself, with the revision that it saw last. */
export class DirectWatcher extends JobsWatcher {
  readonly #manager: () => Procman;
  #leave = new AbortController();
  #following: Promise<void> | undefined;

  constructor(filter: JobFilter, manager: () => Procman) {
    super(filter);
    this.#manager = manager;
  }

  lose(): void {
    this.picture.exact = false;
    this.#leave.abort();
    this.#following = undefined;
  }

  comeBack(): void {
    if (this.#following) return;
    this.#leave = new AbortController();
    const { signal } = this.#leave;
    const { filter, revision: sinceRevision } = this.picture;
    const events = this.#manager().watchJobs({ ...filter, sinceRevision, signal });
    const following = this.follow(events, signal).then(() => {
      if (this.#following === following) this.#following = undefined;
    });
    this.#following = following;
  }

  async close(): Promise<void> {
    const following = this.#following;
    this.lose();
    await following;
  }
}

/** Watches through the client, which comes back by itself. */
export class ClientWatcher extends JobsWatcher {
  readonly #client: Procman;
  readonly #closing = new AbortController();
  readonly #following: Promise<void>;
  #lost = new AbortController();

  constructor(filter: JobFilter, manager: () => Procman) {
    super(filter);
    const server = {
      watchJobs: (options) => manager().watchJobs(options),
    } as Pick<Procman, "watchJobs"> as Procman;
    const service = createProcmanService(server, { logger: pino({ enabled: false }) });
    const transport = createRouterTransport(({ service: add }) => add(ProcmanService, service), {
      transport: { interceptors: [this.#breakable()] },
    });
    this.#client = createProcmanClientFromTransport(transport, { reconnect: { maxDelayMs: 10 } });
    const { signal } = this.#closing;
    this.#following = this.follow(this.#client.watchJobs({ ...filter, signal }), signal);
  }

  lose(): void {
    this.picture.exact = false;
    this.#lost.abort();
    this.#lost = new AbortController();
  }

  comeBack(): void {}

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#client.close();
    await this.#following;
  }

  #breakable(): Interceptor {
    return (next) => async (request) => {
      const { signal } = this.#lost;
      const response = await next(request);
      if (!response.stream) return response;
      return { ...response, message: untilLost(response.message, signal) };
    };
  }
}

async function* untilLost<T>(messages: AsyncIterable<T>, lost: AbortSignal): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let lose = () => {};
  const loss = new Promise<never>((_resolve, reject) => {
    lose = () => reject(new ConnectError("lost", Code.Unavailable));
  });
  lost.addEventListener("abort", lose);
  try {
    for (;;) {
      if (lost.aborted) lose();
      const { done, value } = await Promise.race([iterator.next(), loss]);
      if (done) return;
      yield value;
    }
  } finally {
    lost.removeEventListener("abort", lose);
  }
}
