import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobDir } from "../../../core/job-dir.js";
import { crashPoint } from "../../../platform/crash-point.js";
import { isAlive, processTable } from "../process/processes.js";
import { sendSignal, signalGroup, signalTerminal } from "../process/signals.js";
import type { Identity } from "../runner/runner-records.js";
import { killCgroup } from "./cgroup.js";
import { Session } from "./session.js";

const INITIAL_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 100;

interface StopUnderWay {
  /** When politeness ends, by a clock that never jumps. */
  forceAtMs: number;
  done: Promise<void>;
}

/** The ending of a job's processes: by one loop, however many ask for it. */
export class SessionStop {
  readonly #dir: JobDir;
  #underWay: StopUnderWay | undefined;

  constructor(dir: JobDir) {
    this.#dir = dir;
  }

  /** Resolves when no process of the job is left that could be ended. The shortest grace counts. */
  stop(identity: Identity, gracePeriodMs: number, signal: AbortSignal): Promise<void> {
    const forceAtMs = performance.now() + gracePeriodMs;
    if (this.#underWay) {
      this.#underWay.forceAtMs = Math.min(this.#underWay.forceAtMs, forceAtMs);
      return this.#underWay.done;
    }
    const stop: StopUnderWay = { forceAtMs, done: Promise.resolve() };
    const isPolite = gracePeriodMs > 0;
    stop.done = stopSession(this.#dir, identity, isPolite, stop, signal).finally(() => {
      this.#underWay = undefined;
    });
    this.#underWay = stop;
    return stop.done;
  }

  get isUnderWay(): boolean {
    return this.#underWay !== undefined;
  }

  /** Whether a stop has begun and not come to its end, in this process or one before. */
  get isUnfinished(): boolean {
    return existsSync(this.#dir.stopping);
  }
}

/**
 * Ends every process of the job's session but the runner: SIGTERM to the group,
 * and after the grace period SIGKILL to each until none is left.
 */
async function stopSession(
  dir: JobDir,
  identity: Identity,
  isPolite: boolean,
  stop: Pick<StopUnderWay, "forceAtMs">,
  signal: AbortSignal,
): Promise<void> {
  const earlier = beginStop(dir, identity);
  if (earlier) stop.forceAtMs -= processTable().ageMs(earlier);
  const session = new Session(identity, earlier);
  // Who is there before the first signal: any of them may be the only one left after it.
  session.members();
  crashPoint("stop:before-signal");
  if (isPolite) {
    signalGroup(identity, "SIGTERM");
    session.signalEscaped("SIGTERM");
    // A stopped process takes the SIGTERM when it is continued.
    signalGroup(identity, "SIGCONT");
    crashPoint("stop:signalled");
    await pollUntil(
      () => session.isEmpty(),
      () => stop.forceAtMs,
      signal,
    );
  }
  const killed = () => {
    if (session.isEmpty()) return true;
    killCgroup(identity.cgroup);
    session.kill();
    return false;
  };
  await pollUntil(killed, () => Number.POSITIVE_INFINITY, signal);
  // A runner that somebody stopped could not record the exit.
  signalTerminal(identity, "SIGCONT");
  if (isAlive(identity.bootId, identity.runner)) sendSignal(identity.runner.pid, "SIGCONT");
  rmSync(dir.stopping, { force: true });
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

/*
 * The file `stopping`: that a stop has begun, and when, so that the next server
 * can carry it on also where the command and the runner have ended meanwhile and
 * left others behind. Who was in the session by then is the job's.
 */

/** Notes the moment, or returns the one at which an earlier server has begun. */
function beginStop(dir: JobDir, { bootId }: Identity): string | undefined {
  const path = dir.stopping;
  try {
    const [boot, mark] = readFileSync(path, "utf8").split("\n");
    return boot === bootId ? mark : undefined;
  } catch {
    // None has begun.
  }
  try {
    writeFileSync(path, `${bootId}\n${processTable().mark()}\n`, { mode: 0o600 });
  } catch {
    // A full disk must not keep a job from being ended; only a crash now would be noticed.
  }
  return undefined;
}
