import { setTimeout as sleep } from "node:timers/promises";
import { cgroupMembers, isPopulated, killCgroup } from "./cgroup.js";
import type { Identity, ProcessName } from "./job-files.js";
import { processTable } from "./platform.js";
import type { ProcessInfo } from "./process-table.js";

/** Signals that the runner catches: they may go to the group as a whole. */
const CAUGHT_BY_RUNNER = new Set<NodeJS.Signals>([
  "SIGHUP",
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
  "SIGCONT",
]);

const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 100;

/** Whether this very process is alive: same boot, same pid, same start. */
export function isAlive(bootId: string, name: ProcessName): boolean {
  return lookupAlive(bootId, name) !== undefined;
}

/**
 * Sends a signal to the process group that the command runs in, sparing the
 * runner where it would not survive.
 * @returns whether the job has a process to signal.
 */
export function signalGroup(identity: Identity, signal: NodeJS.Signals): boolean {
  const command = lookupAlive(identity.bootId, identity.command);
  const runner = lookupAlive(identity.bootId, identity.runner);
  // A living member keeps the group's number from being given to another.
  const group = command?.groupId ?? (runner && identity.runner.pid);
  if (group === undefined) return false;
  if (CAUGHT_BY_RUNNER.has(signal)) {
    sendSignal(-group, signal);
  } else {
    for (const member of processTable().all()) {
      if (member.groupId === group && member.pid !== identity.runner.pid) {
        sendSignal(member.pid, signal);
      }
    }
  }
  return true;
}

/**
 * Ends every process of the job's session but the runner: SIGTERM to the group,
 * and after the grace period SIGKILL to each until none is left.
 */
export async function stopSession(
  identity: Identity,
  gracePeriodMs: number,
  signal: AbortSignal,
): Promise<void> {
  const session = new Session(identity);
  if (gracePeriodMs > 0 && signalGroup(identity, "SIGTERM")) {
    session.signalEscaped("SIGTERM");
    // A stopped process takes the SIGTERM when it is continued.
    signalGroup(identity, "SIGCONT");
    await pollUntil(() => session.isEmpty(), gracePeriodMs, signal);
  }
  await pollUntil(
    () => {
      if (session.isEmpty()) return true;
      session.killCgroup();
      const members = session.members();
      // Stopped first, so that none forks a child that this look has missed.
      for (const { pid } of members) sendSignal(pid, "SIGSTOP");
      for (const { pid } of members) sendSignal(pid, "SIGKILL");
      return false;
    },
    Number.POSITIVE_INFINITY,
    signal,
  );
  // A runner that somebody stopped could not record the exit.
  if (isAlive(identity.bootId, identity.runner)) sendSignal(identity.runner.pid, "SIGCONT");
}

/** The living processes of the job's session and cgroup, but for the runner. */
export function jobProcesses(identity: Identity): ProcessInfo[] {
  const inSession = new Session(identity).members();
  const known = new Set(inSession.map(({ pid }) => pid));
  known.add(identity.runner.pid);
  const escaped = cgroupMembers(identity.cgroup)
    .filter((pid) => !known.has(pid))
    .flatMap((pid) => processTable().lookup(pid) ?? []);
  return [...inSession, ...escaped];
}

/**
 * The processes of a job's session, looked at again and again. The session's
 * number stays the job's as long as a process is in it that is known to be the
 * job's; once none is left, the number could be anybody's and counts no more.
 */
class Session {
  readonly #identity: Identity;
  #known: readonly ProcessName[];

  constructor(identity: Identity) {
    this.#identity = identity;
    this.#known = [identity.runner, identity.command];
  }

  isEmpty(): boolean {
    return this.members().length === 0 && !isPopulated(this.#identity.cgroup);
  }

  /** To what is in the job's cgroup but no longer in its group. */
  signalEscaped(signal: NodeJS.Signals): void {
    const { cgroup, runner } = this.#identity;
    for (const pid of cgroupMembers(cgroup)) {
      if (processTable().lookup(pid)?.groupId !== runner.pid) sendSignal(pid, signal);
    }
  }

  killCgroup(): void {
    killCgroup(this.#identity.cgroup);
  }

  members(): ProcessInfo[] {
    const { bootId, runner, command } = this.#identity;
    if (!this.#known.some((name) => isAlive(bootId, name))) return [];
    const all = processTable().all();
    // A command that called setsid itself has a session of its own.
    const own = all.find((info) => sameProcess(info, command))?.sessionId;
    const inSession = all.filter(
      (info) => info.sessionId === runner.pid || (own !== undefined && info.sessionId === own),
    );
    this.#known = [runner, command, ...inSession];
    return inSession.filter((info) => !info.zombie && !sameProcess(info, runner));
  }
}

function lookupAlive(bootId: string, name: ProcessName): ProcessInfo | undefined {
  if (bootId !== processTable().bootId()) return undefined;
  const info = processTable().lookup(name.pid);
  return info && sameProcess(info, name) && !info.zombie ? info : undefined;
}

function sameProcess(info: ProcessInfo, name: ProcessName): boolean {
  return info.pid === name.pid && info.startTime === name.startTime;
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    // Gone between the look and the signal, or changed its user (setuid).
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ESRCH" && code !== "EPERM") throw error;
  }
}

async function pollUntil(
  done: () => boolean,
  ceilingMs: number,
  signal: AbortSignal,
): Promise<void> {
  const startedAt = process.hrtime.bigint();
  for (let pauseMs = FIRST_PAUSE_MS; !done(); pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)) {
    const leftMs = ceilingMs - Number(process.hrtime.bigint() - startedAt) / 1e6;
    if (leftMs <= 0) return;
    await sleep(Math.min(pauseMs, leftMs), undefined, { signal });
  }
}
