import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { crashPoint } from "../../../platform/crash-point.js";
import { killCgroup } from "./cgroup.js";
import type { Identity } from "../runner/job-files.js";
import { processTable } from "../process/platform.js";
import { Session } from "./session.js";
import { isAlive, sendSignal, signalGroup, signalTerminal } from "../process/signals.js";

const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

interface Stop {
  /** When politeness ends, by a clock that never jumps. */
  forceAtMs: number;
  done: Promise<void>;
}

/** The jobs whose processes are being ended now, each by one loop however many ask for it. */
export class SessionStops {
  /** By the job's directory. */
  readonly #underWay = new Map<string, Stop>();

  /** Resolves when no process of the job is left that could be ended. The shortest grace counts. */
  stop(dir: string, identity: Identity, gracePeriodMs: number, signal: AbortSignal): Promise<void> {
    const forceAtMs = performance.now() + gracePeriodMs;
    const known = this.#underWay.get(dir);
    if (known) {
      known.forceAtMs = Math.min(known.forceAtMs, forceAtMs);
      return known.done;
    }
    const stop: Stop = { forceAtMs, done: Promise.resolve() };
    const isPolite = gracePeriodMs > 0;
    stop.done = stopSession(dir, identity, isPolite, stop, signal).finally(() => {
      this.#underWay.delete(dir);
    });
    this.#underWay.set(dir, stop);
    return stop.done;
  }

  isUnderWay(dir: string): boolean {
    return this.#underWay.has(dir);
  }
}

/** Whether a stop has begun and not come to its end, in this process or one before. */
export function isStopUnfinished(dir: string): boolean {
  return existsSync(markPath(dir));
}

/**
 * Ends every process of the job's session but the runner: SIGTERM to the group,
 * and after the grace period SIGKILL to each until none is left.
 */
async function stopSession(
  dir: string,
  identity: Identity,
  isPolite: boolean,
  stop: Pick<Stop, "forceAtMs">,
  signal: AbortSignal,
): Promise<void> {
  const earlier = begin(dir, identity);
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
  rmSync(markPath(dir), { force: true });
}

async function pollUntil(
  done: () => boolean,
  untilMs: () => number,
  signal: AbortSignal,
): Promise<void> {
  for (let pauseMs = FIRST_PAUSE_MS; !done(); pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    const leftMs = untilMs() - performance.now();
    if (leftMs <= 0) return;
    await sleep(Math.min(pauseMs, leftMs), undefined, { signal });
  }
}

/*
 * The file `stopping`: that a stop has begun, and when, so that the next server
 * can carry it on also where the command and the runner have ended meanwhile and
 * left others behind. Who was in the session by then is the job's.
 */

function markPath(dir: string): string {
  return join(dir, "stopping");
}

/** Notes the moment, or returns the one at which an earlier server has begun. */
function begin(dir: string, { bootId }: Identity): string | undefined {
  const path = markPath(dir);
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
