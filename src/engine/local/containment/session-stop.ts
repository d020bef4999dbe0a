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

/** What tells the remaining processes of a job from later ones with the same session id. */
export interface RemainingMark {
  /** A time when its session was the job's; absent where its cgroup holds all. */
  readonly mark?: string | undefined;
}

interface StopOptions {
  readonly isGraceful: boolean;
  readonly stop: Pick<StopUnderWay, "killAtMs">;
  readonly signal: AbortSignal;
  readonly remaining: RemainingMark | undefined;
}

/** Ends a job's processes, in one loop for any number of callers. */
export class SessionStop {
  readonly #dir: JobDir;
  #underWay: StopUnderWay | undefined;

  constructor(dir: JobDir) {
    this.#dir = dir;
  }

  /**
   * Resolves when no process of the job is left that can be ended. The shortest grace counts.
   * @param remaining of a job that has ended: what tells its processes from later ones
   */
  stop(
    identity: Identity,
    gracePeriodMs: number,
    signal: AbortSignal,
    remaining?: RemainingMark,
  ): Promise<void> {
    const killAtMs = performance.now() + gracePeriodMs;
    if (this.#underWay) {
      this.#underWay.killAtMs = Math.min(this.#underWay.killAtMs, killAtMs);
      return this.#underWay.done;
    }
    const stop: StopUnderWay = { killAtMs, done: Promise.resolve() };
    const isGraceful = gracePeriodMs > 0;
    const options = { isGraceful, stop, signal, remaining };
    stop.done = stopSession(this.#dir, identity, options).finally(() => {
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
  { isGraceful, stop, signal, remaining }: StopOptions,
): Promise<void> {
  const begunBefore = beginStop(dir, identity, remaining);
  if (begunBefore) stop.killAtMs -= processTable().ageMs(begunBefore.mark);
  const { bootId, cgroup, runner } = identity;
  const session = new Session(identity, remaining?.mark ?? begunBefore?.proof);
  // Records all members before the first signal: any of them may be the only one left after
  // it, and a session counts as the job's only while a known member is in it.
  session.members();
  crashPoint("stop:before-signal");
  if (isGraceful) {
    // A stopped process handles the SIGTERM only when it is continued.
    if (remaining) {
      session.signalAll("SIGTERM");
      session.signalAll("SIGCONT");
    } else {
      signalGroup(identity, "SIGTERM");
      session.signalEscaped("SIGTERM");
      signalGroup(identity, "SIGCONT");
    }
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

/** A stop that an earlier server has begun. Both are marks of the process table. */
interface BegunStop {
  /** When it has begun it. */
  readonly mark: string;
  /** A time when the session was the job's. */
  readonly proof: string;
}

/** A time before which nothing has started. */
const NEVER_PROVEN = "0";

/**
 * Records in the file `stopping` that the stop has begun, and when. With it the next
 * server can resume the stop even where command and runner have ended and only other
 * processes are left: those that were in the session by that time are the job's. When a
 * stop of what remains of an ended job begins, the session may be another's already: then
 * that time is an earlier one, and the time of the beginning comes after it.
 */
function beginStop(
  dir: JobDir,
  { bootId }: Identity,
  remaining: RemainingMark | undefined,
): BegunStop | undefined {
  const path = dir.stopping;
  try {
    const [boot, proof, mark] = readSmallFile(path).text.split("\n");
    return boot === bootId && proof ? { proof, mark: mark || proof } : undefined;
  } catch {
    // No stop has begun.
  }
  const now = processTable().mark();
  const times = remaining ? [remaining.mark ?? NEVER_PROVEN, now] : [now];
  try {
    writeFileSync(path, `${[bootId, ...times].join("\n")}\n`, { mode: 0o600, flag: "wx" });
  } catch {
    // A full disk must not prevent the stop. The file matters only if this process dies.
  }
  return undefined;
}
