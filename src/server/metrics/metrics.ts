import type { Procman } from "../../contract/procman.js";
import type { JobObserver } from "../../core/ports.js";
import type { CallObserver } from "../call-observer.js";
import type { Prometheus } from "./prometheus.js";

/** What is served: perhaps a manager in this process, which tells of its jobs. */
export type ObservedProcman = Pick<Procman, "list"> & {
  observe?(observer: JobObserver): () => void;
};

/** An answer to a scrape. */
export interface Scraped {
  readonly contentType: string;
  readonly text: string;
}

/**
 * Counts what goes on, for Prometheus. Until somebody scrapes, it only counts streams and
 * bytes: who counts more has to be loaded, and takes its time with each call.
 */
export class Metrics {
  readonly #procman: ObservedProcman;
  #prometheus: Prometheus | undefined;
  #loading: Promise<Prometheus> | undefined;
  #stopObserving: (() => void) | undefined;
  /** Tells how many connections there are. */
  connections: () => number = () => 0;
  /** The streams that are open, by their methods. */
  readonly openStreams = new Map<string, number>();
  /** The bytes of jobs' output that were sent. */
  sentOutputBytes = 0;

  constructor(procman: ObservedProcman) {
    this.#procman = procman;
  }

  /** Takes note of a call. */
  readonly observeCall: CallObserver = ({ method }) => {
    const { name } = method;
    const isStream = method.methodKind !== "unary";
    if (isStream) this.#countStream(name, 1);
    const beginMs = performance.now();
    return (error) => {
      if (isStream) this.#countStream(name, -1);
      const seconds = (performance.now() - beginMs) / 1000;
      this.#prometheus?.called({ method: name, isStream, seconds, error });
    };
  };

  /** Returns all metrics. The first time begins to count. */
  async scrape(): Promise<Scraped> {
    this.#loading ??= this.#load();
    const prometheus = await this.#loading;
    return prometheus.scrape();
  }

  close(): void {
    this.#stopObserving?.();
    this.#prometheus?.close();
  }

  async #load(): Promise<Prometheus> {
    const { Prometheus } = await import("./prometheus.js");
    const prometheus = new Prometheus(this, this.#procman);
    this.#stopObserving = this.#procman.observe?.(prometheus);
    this.#prometheus = prometheus;
    return prometheus;
  }

  #countStream(method: string, difference: number): void {
    this.openStreams.set(method, (this.openStreams.get(method) ?? 0) + difference);
  }
}
