import { hasCode } from "../../../platform/errno.js";
import { type Identity, isInTerminal } from "../runner/runner-records.js";
import { lookupAlive, processTable } from "./processes.js";

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
  // First, so that it has heard of the stop by the time that its child goes on.
  if (signal === "SIGCONT") signalTerminal(identity, signal);
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
 * Sends a signal to what makes the job's terminal, where it has one: script(1)
 * stops itself when the runner is stopped, and nobody else continues it.
 */
export function signalTerminal(identity: Identity, signal: NodeJS.Signals): void {
  const { bootId, exitRecorder } = identity;
  if (!isInTerminal(identity)) return;
  // Its leader, while alive, keeps the group's number from being given to another.
  if (lookupAlive(bootId, exitRecorder)?.groupId !== exitRecorder.pid) return;
  sendSignal(-exitRecorder.pid, signal);
}

/** @param pid or, below zero, the number of a group. */
export function sendSignal(pid: number, signal: NodeJS.Signals): "sent" | "gone" | "refused" {
  try {
    process.kill(pid, signal);
    return "sent";
  } catch (error) {
    // It ended between the look and the signal.
    if (hasCode(error, "ESRCH")) return "gone";
    // It runs as another user (setuid).
    if (hasCode(error, "EPERM")) return "refused";
    throw error;
  }
}
