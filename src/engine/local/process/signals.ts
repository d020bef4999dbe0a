import { hasCode } from "../../../platform/errno.js";
import { type Identity, isInTerminal, isRunnerOrCarrier } from "../runner/runner-records.js";
import { lookupAlive, processTable } from "./processes.js";

/** The signals that the runner survives: they can go to the whole group. */
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
 * Sends a signal to the process group that the command runs in, except the runner and
 * the carriers where they would not survive it.
 * @returns whether the job has a process to signal
 */
export function signalGroup(identity: Identity, signal: NodeJS.Signals): boolean {
  const command = lookupAlive(identity.bootId, identity.command);
  const runner = lookupAlive(identity.bootId, identity.runner);
  // While a member is alive, the kernel does not reuse the group's number.
  const group = command?.groupId ?? (runner && identity.runner.pid);
  if (group === undefined) return false;
  // First, so that script(1) has noticed the stop by the time its child continues.
  if (signal === "SIGCONT") signalTerminal(identity, signal);
  if (CAUGHT_BY_RUNNER.has(signal)) {
    sendSignal(-group, signal);
  } else {
    for (const member of processTable().all()) {
      if (member.groupId === group && !isRunnerOrCarrier(identity, member)) {
        sendSignal(member.pid, signal);
      }
    }
  }
  return true;
}

/**
 * Sends a signal to the processes that make the job's terminal, where it has one.
 * Needed to continue them: script(1) stops itself when the runner is stopped.
 */
export function signalTerminal(identity: Identity, signal: NodeJS.Signals): void {
  const { bootId, exitRecorder } = identity;
  if (!isInTerminal(identity)) return;
  // While its leader is alive, the kernel does not reuse the group's number.
  if (lookupAlive(bootId, exitRecorder)?.groupId !== exitRecorder.pid) return;
  sendSignal(-exitRecorder.pid, signal);
}

/**
 * @param pid a process or, negative, a process group
 * @param signal 0 only looks whether it is there
 */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): "sent" | "gone" | "refused" {
  try {
    process.kill(pid, signal);
    return "sent";
  } catch (error) {
    // It ended between the check and the signal.
    if (hasCode(error, "ESRCH")) return "gone";
    // It runs as another user (setuid).
    if (hasCode(error, "EPERM")) return "refused";
    throw error;
  }
}
