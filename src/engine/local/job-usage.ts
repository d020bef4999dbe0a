import type { ProcessUsage } from "../../contract/job.js";
import { defined } from "../../platform/defined.js";
import { cgroupUsage, legacyUsage } from "./containment/cgroup-usage.js";
import { cgroupMembers } from "./containment/cgroup.js";
import type { ProcessSurvey } from "./process/process-survey.js";
import type { MeasuredProcess } from "./process/process-table.js";
import { processTable, sameProcess } from "./process/processes.js";
import { type Identity, isRunnerOrCarrier, runnerAndCarriers } from "./runner/runner-records.js";

/** Measures what the processes of a job use, by its cgroup as far as that tells, else by themselves. */
export async function jobUsage(
  identity: Identity,
  bounds: readonly string[],
  survey: ProcessSurvey,
): Promise<ProcessUsage> {
  if (identity.bootId !== processTable().bootId()) return {};
  const inCgroup = { ...legacyUsage(bounds), ...cgroupUsage(identity.cgroup) };
  if (inCgroup.memoryBytes !== undefined && inCgroup.readBytes !== undefined) {
    return { ...inCgroup, processes: membersOf(identity).length };
  }
  const measured =
    identity.cgroup === ""
      ? inSessions(identity, await survey.sessions())
      : processTable().measured(membersOf(identity));
  const members = [...measured].filter((process) => !isHelper(identity, process));
  return { ...usageOfProcesses(members), ...inCgroup };
}

/** Returns the pids of the processes in the job's cgroup that are of the command's doing. */
function membersOf(identity: Identity): number[] {
  const helpers = runnerAndCarriers(identity).map(({ pid }) => pid);
  return cgroupMembers(identity.cgroup).filter(
    (pid) => pid === identity.command.pid || !helpers.includes(pid),
  );
}

/** Returns what is known of the processes of a job that has ended: what its cgroups tell. */
export function usageAtEnd({ bootId, cgroup }: Identity, bounds: readonly string[]): ProcessUsage {
  if (bootId !== processTable().bootId()) return {};
  const { memoryBytes: _, ...usage } = { ...legacyUsage(bounds), ...cgroupUsage(cgroup) };
  return usage;
}

/** Not of the command's doing. In a job without a runner, that is recorded as the command. */
function isHelper(identity: Identity, process: MeasuredProcess): boolean {
  if (process.zombie) return true;
  return !sameProcess(process, identity.command) && isRunnerOrCarrier(identity, process);
}

/**
 * Returns the processes in the job's session, and in the command's own. The kernel may have
 * given its id to another one, unless the runner or the command is in it.
 */
function inSessions(
  { runner, command }: Identity,
  sessions: ReadonlyMap<number, readonly MeasuredProcess[]>,
): MeasuredProcess[] {
  return [...new Set([runner.pid, command.pid])].flatMap((id) => {
    const members = sessions.get(id) ?? [];
    const isOwn = members.some((info) => sameProcess(info, runner) || sameProcess(info, command));
    return isOwn ? members : [];
  });
}

function usageOfProcesses(members: readonly MeasuredProcess[]): ProcessUsage {
  if (members.length === 0) return { processes: 0 };
  const disk = members.map(({ pid }) => processTable().diskUsage(pid));
  return {
    cpuTimeMs: sum(members.map(({ cpuTimeMs }) => cpuTimeMs)),
    memoryBytes: sum(members.map(({ memoryBytes }) => memoryBytes)),
    processes: members.length,
    ...defined({
      readBytes: sumOfKnown(disk.map((usage) => usage?.readBytes)),
      writtenBytes: sumOfKnown(disk.map((usage) => usage?.writtenBytes)),
    }),
  };
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}

/** @returns undefined where none is known: a process may have ended meanwhile, or be another user's */
function sumOfKnown(amounts: readonly (number | undefined)[]): number | undefined {
  const known = amounts.filter((amount) => amount !== undefined);
  return known.length === 0 ? undefined : sum(known);
}
