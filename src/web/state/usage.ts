import type { Job, Usage } from "../../contract/job.js";

/** More samples are thinned out to every second one. */
const MAX_SAMPLES = 1200;

/** What a job used at one moment. */
export interface UsageSample {
  readonly timeMs: number;
  /** Of one processor: 2 is two of them. Absent where there was nothing before to compare with. */
  readonly cpuShare?: number;
  readonly memoryBytes?: number;
}

/** Returns how much of a processor was used between two measurements; undefined where that is not known. */
export function cpuShare(before: Usage | undefined, after: Usage): number | undefined {
  if (before?.cpuTimeMs === undefined || after.cpuTimeMs === undefined) return undefined;
  const elapsedMs = after.measuredTime.getTime() - before.measuredTime.getTime();
  if (elapsedMs <= 0) return undefined;
  return Math.max(0, after.cpuTimeMs - before.cpuTimeMs) / elapsedMs;
}

/** What one job has used since somebody looks. */
export class UsageHistory {
  readonly samples: UsageSample[] = [];
  #last: Usage | undefined;

  get latest(): UsageSample | undefined {
    return this.samples.at(-1);
  }

  /** Takes in a state of the job. @returns whether there is a new sample */
  add({ usage, status }: Job): boolean {
    if (!usage || status !== "running") return false;
    const timeMs = usage.measuredTime.getTime();
    if (timeMs <= (this.#last?.measuredTime.getTime() ?? 0)) return false;
    const share = cpuShare(this.#last, usage);
    const { memoryBytes } = usage;
    this.#last = usage;
    this.samples.push({
      timeMs,
      ...(share !== undefined && { cpuShare: share }),
      ...(memoryBytes !== undefined && { memoryBytes }),
    });
    if (this.samples.length > MAX_SAMPLES) this.#thin();
    return true;
  }

  #thin(): void {
    const kept = this.samples.filter((_, index) => index % 2 === 1);
    this.samples.splice(0, this.samples.length, ...kept);
  }
}
