import { resolve } from "node:path";
import { processIdentifier } from "./engine/local/process/processes.js";
import { lockOwner } from "./storage/state-dir-lock.js";

/** Returns the pid of the process that manages a state directory, if one does. */
export function managerPid(stateDir: string): Promise<number | undefined> {
  return lockOwner(resolve(stateDir), processIdentifier);
}
