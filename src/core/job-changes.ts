import { anyAborted } from "./waiting.js";

/** The jobs that changed since a subscriber last asked, each once: bounded however slow it is. */
export interface ChangeSubscription {
  /** Resolves with the ids that changed, at least one. Rejects with the signal's reason. */
  next(signal: AbortSignal): Promise<ReadonlySet<string>>;
  close(): void;
}

/** Tells subscribers which jobs changed. */
export class JobChanges {
  readonly #subscribers = new Set<(id: string) => void>();

  publish(id: string): void {
    for (const notify of this.#subscribers) notify(id);
  }

  subscribe(): ChangeSubscription {
    let pending = new Set<string>();
    let arrived = new AbortController();
    const notify = (id: string) => {
      pending.add(id);
      arrived.abort();
    };
    this.#subscribers.add(notify);
    return {
      next: async (signal) => {
        await anyAborted(arrived.signal, signal);
        signal.throwIfAborted();
        const taken = pending;
        pending = new Set();
        arrived = new AbortController();
        return taken;
      },
      close: () => this.#subscribers.delete(notify),
    };
  }
}
