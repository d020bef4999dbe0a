import { isTerminal, type Job, type Usage } from "../../contract/job.js";

/** After so long without a measurement that differs, a job uses no CPU: then none is sent. */
const IDLE_AFTER_MS = 3000;

interface Rate {
  readonly usage: Usage;
  /** Undefined before there are two measurements. */
  readonly percent: number | undefined;
  readonly notedMs: number;
}

/** How much CPU jobs use now, by what was measured of each of them last and before. */
export class CpuRates {
  readonly #rates = new Map<string, Rate>();

  /** Takes a job's latest measurement. */
  note(job: Job): void {
    const { id, usage } = job;
    if (!usage || isTerminal(job)) {
      this.#rates.delete(id);
      return;
    }
    const before = this.#rates.get(id);
    const elapsedMs = usage.measuredTime.getTime() - (before?.usage.measuredTime.getTime() ?? 0);
    // The same measurement may be told of twice.
    if (before && elapsedMs <= 0) return;
    const usedMs = (usage.cpuTimeMs ?? 0) - (before?.usage.cpuTimeMs ?? 0);
    const percent = before && Math.max(0, (100 * usedMs) / elapsedMs);
    this.#rates.set(id, { usage, percent, notedMs: performance.now() });
  }

  forget(id: string): void {
    this.#rates.delete(id);
  }

  /** Returns how much of one processor it uses, in per cent; undefined where that is not known. */
  percentOf({ id }: Pick<Job, "id">): number | undefined {
    const rate = this.#rates.get(id);
    if (rate?.usage.cpuTimeMs === undefined) return undefined;
    return performance.now() - rate.notedMs > IDLE_AFTER_MS ? 0 : rate.percent;
  }
}
