import type { Procman } from "../contract/procman.js";
import { sleep } from "../platform/timers.js";
import type { McpHost } from "./mcp-host.js";

/** How long a call is repeated while procman cannot be reached. */
const GIVE_UP_AFTER_MS = 30_000;
const RETRY_INTERVAL_MS = 100;

/** Calls procman. Where its server is gone, another one is started. */
export class ProcmanConnection {
  readonly #host: McpHost;
  #client: Promise<Procman> | undefined;

  constructor(host: McpHost) {
    this.#host = host;
  }

  /** Makes a call that may be repeated. @throws the signal's reason */
  async retrySafe<T>(act: (client: Procman) => Promise<T>, signal?: AbortSignal): Promise<T> {
    let lostSinceMs: number | undefined;
    for (;;) {
      signal?.throwIfAborted();
      const client = await this.#connected();
      const calledMs = performance.now();
      try {
        return await act(client);
      } catch (error) {
        signal?.throwIfAborted();
        if (!this.#host.isConnectionLost(error)) throw error;
        const nowMs = performance.now();
        // One that was under way for long had a server.
        if (nowMs - calledMs > GIVE_UP_AFTER_MS) lostSinceMs = undefined;
        lostSinceMs ??= nowMs;
        if (nowMs - lostSinceMs > GIVE_UP_AFTER_MS) throw error;
        await this.#release(client);
        await sleep(RETRY_INTERVAL_MS, signal);
      }
    }
  }

  /** Makes a call once. Whether it was carried out is not known where the connection is lost in it. */
  async once<T>(act: (client: Procman) => Promise<T>): Promise<T> {
    return act(await this.#connected());
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined);
    await client?.close();
  }

  #connected(): Promise<Procman> {
    if (this.#client) return this.#client;
    const client = this.#host.connect();
    this.#client = client;
    // The next call tries again.
    client.catch(() => {
      if (this.#client === client) this.#client = undefined;
    });
    return client;
  }

  /** Gives up a client whose server is gone. Calls under way over it are repeated over the next one. */
  async #release(client: Procman): Promise<void> {
    const current = await this.#client?.catch(() => undefined);
    if (current !== client) return;
    this.#client = undefined;
    await client.close();
  }
}
