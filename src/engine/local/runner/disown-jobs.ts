import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { JobDir } from "../../../core/job-dir.js";
import { writeFileAtomic } from "../../../platform/durable-file.js";
import { readSmallFile } from "../../../platform/small-file.js";
import { cgroupMembers } from "../containment/cgroup.js";
import type { ProcessInfo } from "../process/process-table.js";
import { processTable, sameProcess } from "../process/processes.js";
import { formatCopied, type Identity, readProcessRecord } from "./runner-records.js";

/**
 * Gives up the processes of jobs whose directories were copied, for good: they are the
 * original's. The job of a process that has one of the directory's own files open is left
 * as it is. May be repeated.
 */
export async function disownJobs(dirs: readonly JobDir[]): Promise<void> {
  const all = processTable().all();
  for (const dir of dirs) {
    const identity = livingIdentity(dir);
    const pids = identity ? processesOf(identity, all) : [];
    if (pids.length === 0 || processTable().hasOpenFile(pids, filesIn(dir))) continue;
    await writeFileAtomic(dir.process, formatCopied(readSmallFile(dir.process).text));
  }
}

/** Returns who the job's processes are, if they may be alive. */
function livingIdentity(dir: JobDir): Identity | undefined {
  try {
    const record = readProcessRecord(dir);
    const isOfThisBoot = record.kind === "complete" && record.bootId === processTable().bootId();
    return isOfThisBoot ? record : undefined;
  } catch {
    // What cannot be read names nobody.
    return undefined;
  }
}

/** Returns all that may be the job's, also where runner and command have ended. */
function processesOf(
  { runner, exitRecorder, command, cgroup }: Identity,
  all: readonly ProcessInfo[],
): number[] {
  const inSessions = [runner, exitRecorder, command].flatMap((leader) => {
    const members = all.filter(({ sessionId }) => sessionId === leader.pid);
    // Another process leads the session: its id was reused.
    const isReused = members.some((info) => info.pid === leader.pid && !sameProcess(info, leader));
    return isReused ? [] : members.map(({ pid }) => pid);
  });
  return [...new Set([...inSessions, ...cgroupMembers(cgroup)])];
}

/** The directory among them: a runner has it open. */
function filesIn({ path }: JobDir): string[] {
  return [path, ...readdirSync(path).map((name) => join(path, name))];
}
