import type { ProcessUsage, Usage } from "../contract/job.js";
import { defined } from "../platform/defined.js";

/** How long a measurement counts as what is used now: less than a tick of those who ask each second. */
const MAX_AGE_MS = 900;

/** Where the usage of one job is measured. */
export interface UsageSource {
  readonly processes: () => Promise<ProcessUsage>;
  readonly lastOutputTime: () => Date | undefined;
}

/** What a running job uses, measured when somebody asks, and not again for each who does. */
export class JobUsage {
  readonly #source: UsageSource;
  #last: Usage | undefined;
  #measuredMs = Number.NEGATIVE_INFINITY;
  #measuring: Promise<Usage | undefined> | undefined;

  constructor(source: UsageSource) {
    this.#source = source;
  }

  /** It is the same object until it is measured again. Where it cannot be measured, the last one. */
  async read(): Promise<Usage | undefined> {
    if (performance.now() - this.#measuredMs < MAX_AGE_MS) return this.#last;
    this.#measuring ??= this.#measure().finally(() => (this.#measuring = undefined));
    return this.#measuring;
  }

  async #measure(): Promise<Usage | undefined> {
    try {
      const usage = usageOf(await this.#source.processes(), this.#source.lastOutputTime());
      this.#last = usage;
    } catch {
      // A job, and every list that it is in, is told of without it.
    }
    this.#measuredMs = performance.now();
    return this.#last;
  }
}

/** Returns a measurement that was made now. */
export function usageOf(processes: ProcessUsage, lastOutputTime: Date | undefined): Usage {
  return { ...processes, ...defined({ lastOutputTime }), measuredTime: new Date() };
}

/** Whether anything but the time of the measurement differs. */
export function hasUsageChanged(before: Usage | undefined, now: Usage | undefined): boolean {
  return factsOf(before) !== factsOf(now);
}

function factsOf(usage: Usage | undefined): string | undefined {
  if (!usage) return undefined;
  const { measuredTime: _, ...facts } = usage;
  return JSON.stringify(facts);
}
