import { cgroupMembers, isPopulated } from "./cgroup.js";
import type { ProcessInfo } from "../process/process-table.js";
import { lookupAlive, type ProcessRef, processTable, sameProcess } from "../process/processes.js";
import { sendSignal } from "../process/signals.js";
import type { Identity } from "../runner/runner-records.js";

/**
 * How long a session counts as still the job's after a look at which it was. In
 * less a pid cannot come round: the kernel gives every other one first.
 */
const CONTINUITY_MS = 500;

/** More rounds than this only a fork bomb needs; the next attempt goes on. */
const MAX_ROUNDS = 50;

/** A session that a job's processes are in. Its number is the pid of its leader. */
interface JobSession {
  readonly leader: ProcessRef;
  /** Processes that are known to have been in it, all of the job. */
  known: readonly ProcessRef[];
  /** A moment at which it was the job's, to hold start times against. */
  provenMark: string | undefined;
  provenAtMs: number | undefined;
}

/**
 * The processes of a job: those in the runner's session, in the command's own
 * where it made one, and in the job's cgroup.
 *
 * A session's number can become another's once nobody is in it, so it counts as
 * the job's only while that is proven. It is, as long as somebody is in it who
 * is known from before, or who was there before a moment at which it was proven:
 * while a process is in a session, its number is not given away.
 */
export class Session {
  readonly #identity: Identity;
  readonly #sessions: JobSession[];
  /** Processes of another user, which this one may not signal. */
  readonly #refused = new Set<number>();

  /**
   * @param mark a moment, as processTable().mark() gave it, at which the session
   * was the job's, where one is known from before.
   */
  constructor(identity: Identity, mark?: string) {
    const { runner, command } = identity;
    this.#identity = identity;
    this.#sessions = [newSession(runner, [runner, command], mark)];
    this.#findOwnSession();
  }

  /** Whether nobody is left that could be ended. */
  isEmpty(): boolean {
    if (this.#someKnownLives()) return false;
    return this.members().length === 0 && !isPopulated(this.#identity.cgroup);
  }

  /** Everybody but the runner, by a look at all processes that begins now. */
  members(): ProcessInfo[] {
    const { bootId, runner } = this.#identity;
    if (bootId !== processTable().bootId()) return [];
    this.#findOwnSession();
    const mark = processTable().mark();
    const all = processTable().all();
    const members = this.#sessions.flatMap((session) => membersOf(session, all, mark));
    return members.filter(
      (info) => !info.zombie && !sameProcess(info, runner) && !this.#refused.has(info.pid),
    );
  }

  /** To what is in the job's cgroup but no longer in its group. */
  signalEscaped(signal: NodeJS.Signals): void {
    const { cgroup, runner } = this.#identity;
    for (const pid of cgroupMembers(cgroup)) {
      if (processTable().lookup(pid)?.groupId !== runner.pid) sendSignal(pid, signal);
    }
  }

  /**
   * Stops everybody, then kills them: a process that is stopped forks no more, so
   * once a look finds nobody new there is no child that nobody knows of.
   */
  kill(): void {
    const stopped = new Map<number, ProcessInfo>();
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
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

  /** Costs a look or two, where members() looks at every process there is. */
  #someKnownLives(): boolean {
    const { bootId, runner } = this.#identity;
    for (const session of this.#sessions) {
      const { known, leader } = session;
      const isMember = (ref: ProcessRef) =>
        lookupAlive(bootId, ref)?.sessionId === leader.pid && !this.#refused.has(ref.pid);
      if (!known.some((ref) => ref.pid !== runner.pid && isMember(ref))) continue;
      session.provenAtMs = performance.now();
      return true;
    }
    return false;
  }

  /** A command that called setsid itself leads a session of its own. */
  #findOwnSession(): void {
    const { runner, command } = this.#identity;
    if (this.#sessions.length > 1 || command.pid === runner.pid) return;
    const info = processTable().lookup(command.pid);
    if (!info || !sameProcess(info, command) || info.sessionId !== command.pid) return;
    this.#sessions.push(newSession(command, [command], undefined));
  }
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

function newSession(
  leader: ProcessRef,
  known: readonly ProcessRef[],
  provenMark: string | undefined,
): JobSession {
  return { leader, known, provenMark, provenAtMs: undefined };
}

function membersOf(
  session: JobSession,
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
  { leader, known, provenMark, provenAtMs }: JobSession,
  members: readonly ProcessInfo[],
): boolean {
  // Another process leads a session of that number: it has come round.
  if (members.some((info) => info.pid === leader.pid && !sameProcess(info, leader))) return false;
  if (members.some((info) => known.some((ref) => sameProcess(info, ref)))) return true;
  if (provenAtMs !== undefined && performance.now() - provenAtMs <= CONTINUITY_MS) return true;
  if (provenMark === undefined) return false;
  return members.some(({ startTime }) => processTable().startedBy(startTime, provenMark));
}
