import { signal } from "@preact/signals-core";
import { ProcmanError } from "../../contract/errors.js";
import { isTerminal, type Job } from "../../contract/job.js";
import type { Procman } from "../../contract/procman.js";
import { type UsageSample, UsageHistory } from "./usage.js";
import { defined } from "../../platform/defined.js";
import { sleep } from "../../platform/timers.js";

const POLL_INTERVAL_MS = 1000;

/** One job that is looked at. */
export class JobState {
  readonly id: string;
  readonly #procman: Procman;
  readonly job = signal<Job | undefined>(undefined);
  readonly error = signal<ProcmanError | undefined>(undefined);
  /** What it has used since this page looks. */
  readonly usage = signal<readonly UsageSample[]>([]);
  readonly #history = new UsageHistory();
  /** Whether somebody has removed it. */
  readonly isGone = signal(false);

  constructor(procman: Procman, id: string, known: Job | undefined) {
    this.#procman = procman;
    this.id = id;
    this.job.value = known;
  }

  /**
   * Looks at the job again and again, until nothing of it changes any more. A stream of its own
   * would take one of the few connections that browsers make to a server.
   */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const job = await this.#procman.get(this.id, { signal });
        this.hear(job);
        this.error.value = undefined;
        if (isSettled(job)) return;
      } catch (error) {
        if (signal.aborted) return;
        const failure = error as ProcmanError;
        if (failure instanceof ProcmanError && failure.reason === "JOB_NOT_FOUND") {
          this.isGone.value = true;
        } else {
          this.error.value = failure;
        }
        return;
      }
      await sleep(POLL_INTERVAL_MS, signal);
    }
  }

  /** Takes in what was told of the job; an older answer may come later. */
  hear(job: Job): void {
    const known = this.job.value;
    if (known && isTerminal(known) && !isTerminal(job)) return;
    if (this.#history.add(job)) this.usage.value = [...this.#history.samples];
    // An answer of Attach does not tell what it uses. That counts until it is told again.
    const usage = isTerminal(job) ? job.usage : (job.usage ?? known?.usage);
    this.job.value = { ...job, ...defined({ usage }) };
  }
}

/** Whether nothing more is known later: it has ended, left nothing behind, and its `onEnd` is over. */
function isSettled(job: Job): boolean {
  if (!isTerminal(job) || job.remainingProcesses !== undefined) return false;
  return job.onEnd === undefined || job.onEndResult !== undefined || job.status === "orphaned";
}
