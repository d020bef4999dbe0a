import { existsSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobDir } from "../../../core/job-dir.js";
import { crashPoint } from "../../../platform/crash-point.js";
import { isAlive, processTable } from "../process/processes.js";
import { sendSignal, signalGroup, signalTerminal } from "../process/signals.js";
import type { Identity } from "../runner/runner-records.js";
import { killCgroup, leaveCgroup } from "./cgroup.js";
import { Session, sparedPids } from "./session.js";
import { readSmallFile } from "../../../platform/small-file.js";

const INITIAL_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 100;

interface StopUnderWay {
  /** When SIGKILL follows, in the time of performance.now(). */
  killAtMs: number;
  done: Promise<void>;
}

/** Ends a job's processes, in one loop for any number of callers. */
export class SessionStop {
  readonly #dir: JobDir;
  #underWay: StopUnderWay | undefined;

  constructor(dir: JobDir) {
    this.#dir = dir;
  }

  /** Resolves when no process of the job is left that can be ended. The shortest grace counts. */
  stop(identity: Identity, gracePeriodMs: number, signal: AbortSignal): Promise<void> {
    const killAtMs = performance.now() + gracePeriodMs;
    if (this.#underWay) {
      this.#underWay.killAtMs = Math.min(this.#underWay.killAtMs, killAtMs);
      return this.#underWay.done;
    }
    const stop: StopUnderWay = { killAtMs, done: Promise.resolve() };
    const isGraceful = gracePeriodMs > 0;
    stop.done = stopSession(this.#dir, identity, isGraceful, stop, signal).finally(() => {
      this.#underWay = undefined;
    });
    this.#underWay = stop;
    return stop.done;
  }

  get isUnderWay(): boolean {
    return this.#underWay !== undefined;
  }

  /** Whether a stop was begun, in this process or an earlier one, and never finished. */
  get isUnfinished(): boolean {
    return existsSync(this.#dir.stopping);
  }
}

/**
 * Ends every process of the job's session but the runner and the carriers: SIGTERM to the group,
 * and after the grace period SIGKILL to each until none is left.
 */
async function stopSession(
  dir: JobDir,
  identity: Identity,
  isGraceful: boolean,
  stop: Pick<StopUnderWay, "killAtMs">,
  signal: AbortSignal,
): Promise<void> {
  const begunBefore = beginStop(dir, identity);
  if (begunBefore) stop.killAtMs -= processTable().ageMs(begunBefore);
  const { bootId, cgroup, runner } = identity;
  const session = new Session(identity, begunBefore);
  // Records all members before the first signal: any of them may be the only one left after
  // it, and a session counts as the job's only while a known member is in it.
  session.members();
  crashPoint("stop:before-signal");
  if (isGraceful) {
    signalGroup(identity, "SIGTERM");
    session.signalEscaped("SIGTERM");
    // A stopped process handles the SIGTERM only when it is continued.
    signalGroup(identity, "SIGCONT");
    crashPoint("stop:signalled");
    await pollUntil(
      () => session.isEmpty(),
      () => stop.killAtMs,
      signal,
    );
  }
  const killRemaining = () => {
    if (session.isEmpty()) return true;
    const spared = sparedPids(identity);
    for (const pid of spared) leaveCgroup(cgroup, pid);
    killCgroup(cgroup, spared);
    session.kill();
    return false;
  };
  await pollUntil(killRemaining, () => Number.POSITIVE_INFINITY, signal);
  // A runner that was stopped with SIGSTOP cannot record the exit.
  signalTerminal(identity, "SIGCONT");
  if (isAlive(bootId, runner)) {
    sendSignal(runner.pid, "SIGCONT");
    // What goes through pipes may still have to be written, which on a full disk it waits to.
    if (identity.carriers) sendSignal(runner.pid, "SIGTERM");
  }
  rmSync(dir.stopping, { force: true, recursive: true });
}

async function pollUntil(
  done: () => boolean,
  untilMs: () => number,
  signal: AbortSignal,
): Promise<void> {
  for (
    let backoffMs = INITIAL_BACKOFF_MS;
    !done();
    backoffMs = Math.min(backoffMs * 1.5, MAX_BACKOFF_MS)
  ) {
    const leftMs = untilMs() - performance.now();
    if (leftMs <= 0) return;
    await sleep(Math.min(backoffMs, leftMs), undefined, { signal });
  }
}

/**
 * Records in the file `stopping` that the stop has begun, and when. With it the next
 * server can resume the stop even where command and runner have ended and only other
 * processes are left: those that were in the session by that time are the job's.
 * @returns when an earlier server has begun the stop, as a mark of the process table
 */
function beginStop(dir: JobDir, { bootId }: Identity): string | undefined {
  const path = dir.stopping;
  try {
    const [boot, mark] = readSmallFile(path).text.split("\n");
    return boot === bootId ? mark : undefined;
  } catch {
    // No stop has begun.
  }
  try {
    writeFileSync(path, `${bootId}\n${processTable().mark()}\n`, { mode: 0o600, flag: "wx" });
  } catch {
    // A full disk must not prevent the stop. The file matters only if this process dies.
  }
  return undefined;
}
