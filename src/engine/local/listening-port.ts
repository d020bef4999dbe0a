import { jobProcesses } from "./containment/session.js";
import type { Identity } from "./runner/runner-records.js";
import type { ProcessInfo } from "./process/process-table.js";
import { processTable } from "./process/processes.js";

/** Returns the port (0: the lowest one) that a process of the job listens on, if one does. */
export async function listeningPort(identity: Identity, port: number): Promise<number | undefined> {
  let members: readonly ProcessInfo[] = [];
  const pids = () => {
    members = jobProcesses(identity);
    return members.map(({ pid }) => pid);
  };
  let lowest: number | undefined;
  for await (const listener of processTable().listeners(port, pids)) {
    if (lowest !== undefined && lowest <= listener.port) continue;
    // The pid may have been reused since the job's processes were listed.
    const member = members.find(({ pid }) => pid === listener.pid);
    if (processTable().lookup(listener.pid)?.startTime !== member?.startTime) continue;
    lowest = listener.port;
    if (port !== 0) break;
  }
  return lowest;
}
