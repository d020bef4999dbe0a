import { sleep } from "../platform/timers.js";
import { isProcmanError } from "./errors.js";
import type { Procman } from "./procman.js";

/** How much of a lease passes before it is renewed. */
const RENEWAL_SHARE = 1 / 3;

/**
 * Renews a job's lease again and again, until the signal is aborted or the job has ended.
 * A server that is away is no reason to stop: the next one grants a whole lease.
 * @throws what `renewLease` throws, for other reasons
 */
export async function keepLease(
  procman: Pick<Procman, "renewLease">,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  let pauseMs = 0;
  while (!signal.aborted) {
    try {
      const { leaseMs = 0 } = await procman.renewLease(id, { signal });
      pauseMs = leaseMs * RENEWAL_SHARE;
    } catch (error) {
      if (signal.aborted) return;
      if (!isProcmanError(error)) throw error;
      if (error.reason === "JOB_NOT_RUNNING" || error.reason === "JOB_NOT_FOUND") return;
      if (error.reason !== "UNREACHABLE" && error.reason !== "SHUTTING_DOWN") throw error;
    }
    await sleep(Math.max(pauseMs, MIN_PAUSE_MS), signal);
  }
}

/** Between two calls that fail at once. */
const MIN_PAUSE_MS = 20;
