import { Turns } from "../../../platform/turns.js";
import type { MeasuredProcess } from "./process-table.js";
import { processTable } from "./processes.js";

/** How long a survey counts as current: less than a tick of those who ask each second. */
const MAX_AGE_MS = 900;

type Sessions = ReadonlyMap<number, readonly MeasuredProcess[]>;

/** Measures all processes of the machine at once, for all jobs that have no cgroup of their own. */
export class ProcessSurvey {
  #last: Promise<Sessions> | undefined;
  #takenMs = Number.NEGATIVE_INFINITY;

  /** Returns all processes by their sessions. */
  async sessions(): Promise<Sessions> {
    if (!this.#last || performance.now() - this.#takenMs >= MAX_AGE_MS) {
      this.#takenMs = performance.now();
      this.#last = takeSurvey();
      // The next call tries again.
      this.#last.catch(() => (this.#last = undefined));
    }
    return this.#last;
  }
}

async function takeSurvey(): Promise<Sessions> {
  const sessions = new Map<number, MeasuredProcess[]>();
  const turns = new Turns();
  for (const process of processTable().measured()) {
    // There may be very many, and each is read from the kernel.
    await turns.next();
    const members = sessions.get(process.sessionId);
    if (members) members.push(process);
    else sessions.set(process.sessionId, [process]);
  }
  return sessions;
}
