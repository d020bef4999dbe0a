import type { Identity } from "../runner/runner-records.js";
import type { FindListeners } from "./listeners.js";
import { listenersOnDarwin } from "./listeners-darwin.js";
import { listenersOnLinux } from "./listeners-linux.js";
import { processTable } from "./platform.js";
import type { ProcessInfo } from "./process-table.js";
import { jobProcesses } from "../containment/session.js";

/** The port (0: the lowest one) that a process of the job listens on, where one does. */
export async function listeningPort(identity: Identity, port: number): Promise<number | undefined> {
  const find: FindListeners = process.platform === "linux" ? listenersOnLinux : listenersOnDarwin;
  let members: readonly ProcessInfo[] = [];
  const processes = () => {
    members = jobProcesses(identity);
    return members.map(({ pid }) => pid);
  };
  let lowest: number | undefined;
  for await (const listener of find(port, processes)) {
    if (lowest !== undefined && lowest <= listener.port) continue;
    // Its number may have been given to another process while it was looked at.
    const member = members.find(({ pid }) => pid === listener.pid);
    if (processTable().lookup(listener.pid)?.startTime !== member?.startTime) continue;
    lowest = listener.port;
    if (port !== 0) break;
  }
  return lowest;
}
