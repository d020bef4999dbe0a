import { cgroupMembers, cgroupTreeMembers, isPopulated } from "./cgroup.js";
import type { ProcessInfo } from "../process/process-table.js";
import {
  isAlive,
  lookupAlive,
  type ProcessRef,
  processTable,
  sameProcess,
} from "../process/processes.js";
import { sendSignal } from "../process/signals.js";
import { type Identity, isRunnerOrCarrier, runnerAndCarriers } from "../runner/runner-records.js";

/**
 * How long a session counts as the job's after it was proven to be. A pid is not
 * reused sooner: the kernel assigns all others first.
 */
export const PROOF_VALIDITY_MS = 500;

/** Only a fork bomb needs more rounds. The next call of `kill` goes on with it. */
const MAX_STOP_ROUNDS = 50;

/** A session that processes of the job are in. Its id is the pid of its leader. */
interface TrackedSession {
  readonly leader: ProcessRef;
  /** Processes that were seen in it while it was the job's. */
  known: readonly ProcessRef[];
  /** When it was last proven to be the job's, comparable with start times. */
  provenMark: string | undefined;
  /** The same in the time of performance.now(). */
  provenAtMs: number | undefined;
}

/**
 * The processes of a job: those in the runner's session, in the command's own session
 * where that called setsid, and in the job's cgroup.
 *
 * The kernel can reuse a session's id once the session is empty, so a session counts
 * as the job's only while that is proven. The proof is a member that is known from
 * before, or one that started before the session was last proven: as long as a session
 * has a member, its id is not reused.
 */
export class Session {
  readonly #identity: Identity;
  readonly #sessions: TrackedSession[];
  /** Pids of processes that this one may not signal: they run as another user. */
  readonly #refused = new Set<number>();

  /**
   * @param mark a time when the session was the job's, from `processTable().mark()`,
   * where an earlier process has recorded one
   */
  constructor(identity: Identity, mark?: string) {
    const { runner, command } = identity;
    this.#identity = identity;
    this.#sessions = [newSession(runner, [runner, command], mark)];
    this.#trackOwnSession();
  }

  /** Whether no process is left that can be ended. */
  isEmpty(): boolean {
    if (this.#someKnownLives()) return false;
    const { cgroup } = this.#identity;
    return this.members().length === 0 && !isPopulated(cgroup, sparedPids(this.#identity));
  }

  /** Lists the living members of the job's sessions except the runner and carriers, and makes them known. */
  members(): ProcessInfo[] {
    if (this.#identity.bootId !== processTable().bootId()) return [];
    this.#trackOwnSession();
    const mark = processTable().mark();
    const all = processTable().all();
    const members = this.#sessions.flatMap((session) => membersOf(session, all, mark));
    return members.filter(
      (info) =>
        !info.zombie && !isRunnerOrCarrier(this.#identity, info) && !this.#refused.has(info.pid),
    );
  }

  /** Signals the processes in the job's cgroup that have left its process group. */
  signalEscaped(signal: NodeJS.Signals): void {
    const { cgroup, runner } = this.#identity;
    for (const pid of cgroupMembers(cgroup)) {
      if (processTable().lookup(pid)?.groupId !== runner.pid) sendSignal(pid, signal);
    }
  }

  /** Signals every member, and every process in the job's cgroup. */
  signalAll(signal: NodeJS.Signals): void {
    for (const info of jobProcesses(this.#identity, this)) this.#send(info, signal);
  }

  /**
   * Stops all members with SIGSTOP, then kills them. A stopped process cannot fork, so
   * once a round finds no new member, there is no child left that is unknown.
   */
  kill(): void {
    const stopped = new Map<number, ProcessInfo>();
    for (let round = 0; round < MAX_STOP_ROUNDS; round += 1) {
      const found = this.members().filter(({ pid }) => !stopped.has(pid));
      if (found.length === 0) break;
      for (const info of found) {
        stopped.set(info.pid, info);
        this.#send(info, "SIGSTOP");
      }
    }
    for (const info of stopped.values()) this.#send(info, "SIGKILL");
  }

  #send(info: ProcessInfo, signal: NodeJS.Signals): void {
    const now = processTable().lookup(info.pid);
    if (!now || !sameProcess(now, info)) return;
    if (sendSignal(info.pid, signal) === "refused") this.#refused.add(info.pid);
  }

  /** Looks up known members only, so it is much cheaper than `members`. */
  #someKnownLives(): boolean {
    const { bootId } = this.#identity;
    for (const session of this.#sessions) {
      const { known, leader } = session;
      const isMember = (ref: ProcessRef) =>
        lookupAlive(bootId, ref)?.sessionId === leader.pid && !this.#refused.has(ref.pid);
      if (!known.some((ref) => !isRunnerOrCarrier(this.#identity, ref) && isMember(ref))) continue;
      session.provenAtMs = performance.now();
      return true;
    }
    return false;
  }

  /** Tracks the command's own session, once the command has called setsid. */
  #trackOwnSession(): void {
    const { runner, command } = this.#identity;
    if (this.#sessions.length > 1 || command.pid === runner.pid) return;
    const info = processTable().lookup(command.pid);
    if (!info || !sameProcess(info, command) || info.sessionId !== command.pid) return;
    this.#sessions.push(newSession(command, [command], undefined));
  }
}

/** Returns the pids of what a stop spares: the runner and the carriers, as far as they are alive. */
export function sparedPids(identity: Identity): number[] {
  const alive = runnerAndCarriers(identity).filter((ref) => isAlive(identity.bootId, ref));
  return alive.map(({ pid }) => pid);
}

/** Returns the living processes of the job's sessions and cgroup, except the runner and carriers. */
export function jobProcesses(identity: Identity, session = new Session(identity)): ProcessInfo[] {
  const inSession = session.members();
  const known = new Set(inSession.map(({ pid }) => pid));
  const inCgroup = cgroupTreeMembers(identity.cgroup)
    .filter((pid) => !known.has(pid))
    .flatMap((pid) => processTable().lookup(pid) ?? []);
  return [...inSession, ...inCgroup.filter((info) => !isRunnerOrCarrier(identity, info))];
}

function newSession(
  leader: ProcessRef,
  known: readonly ProcessRef[],
  provenMark: string | undefined,
): TrackedSession {
  return { leader, known, provenMark, provenAtMs: undefined };
}

function membersOf(
  session: TrackedSession,
  all: readonly ProcessInfo[],
  mark: string,
): readonly ProcessInfo[] {
  const { leader } = session;
  const members = all.filter((info) => info.sessionId === leader.pid);
  if (!isProven(session, members)) return [];
  if (members.length === 0) return [];
  session.known = [leader, ...members];
  session.provenMark = mark;
  session.provenAtMs = performance.now();
  return members;
}

function isProven(
  { leader, known, provenMark, provenAtMs }: TrackedSession,
  members: readonly ProcessInfo[],
): boolean {
  // Another process leads the session: its id was reused.
  if (members.some((info) => info.pid === leader.pid && !sameProcess(info, leader))) return false;
  if (members.some((info) => known.some((ref) => sameProcess(info, ref)))) return true;
  if (provenAtMs !== undefined && performance.now() - provenAtMs <= PROOF_VALIDITY_MS) return true;
  if (provenMark === undefined) return false;
  return members.some(({ startTime }) => processTable().startedBy(startTime, provenMark));
}
