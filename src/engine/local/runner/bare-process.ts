import { writeFileSync } from "node:fs";
import type { JobDir } from "../../../core/job-dir.js";
import { hasCode } from "../../../platform/errno.js";
import { processTable } from "../process/processes.js";
import { NEVER, NO_RUNNER } from "./runner-records.js";

/** How far apart the clock that a program has read and the start of its child may be. */
const MAX_START_DIFFERENCE_MS = 2000;

/**
 * Takes over a command that another program has started without a runner. The process must
 * lead a session of its own and have started at that very time: another process that got
 * the pid later did not. From then on it is known by its kernel start time, as every other.
 * @returns whether it is there, and now known
 */
export function takeOverBareProcess(dir: JobDir, pid: number, startedTime: Date): boolean {
  const found = processTable().lookup(pid);
  if (!found || found.zombie || found.sessionId !== pid) return false;
  const begunMs = Date.now() - processTable().ageMs(found.startTime);
  if (Math.abs(begunMs - startedTime.getTime()) > MAX_START_DIFFERENCE_MS) return false;
  const table = processTable();
  // The runner's line names the session, and no process.
  const runner = table.formatIdentity({ pid, startTime: NEVER });
  const lines = [table.bootId(), runner, table.formatIdentity(found), "cgroup ", NO_RUNNER];
  try {
    writeFileSync(dir.process, `${lines.join("\n")}\n`, { mode: 0o600, flag: "wx" });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
  return true;
}
