import { join } from "node:path";
import type { Log } from "../../contract/log.js";
import { openFileSystem } from "../../platform/durable-file.js";
import { withReserve } from "../disk-reserve.js";
import type { Durability } from "./durability.js";
import { Journal } from "./journal.js";
import { JournaledFiles } from "./journaled-files.js";
import { type JobDirs, recoverJobs } from "./recover-jobs.js";
import { SyncedFiles } from "./synced-files.js";

export interface DurabilityOptions {
  /** The boot of this machine. */
  readonly bootId: string;
  readonly log: Log;
  /** For a copy of the files, whose inodes are others. Default: the file system's. */
  readonly inodeOf?: JobDirs["inodeOf"];
}

/**
 * Opens what keeps the jobs' files of a state directory durable: a journal, or where the
 * platform cannot sync a whole file system, each file's own sync. First brings them to what
 * was acknowledged before the machine lost power.
 */
export async function openDurability(
  stateDir: string,
  dirs: Omit<JobDirs, "withReserve">,
  { bootId, log, inodeOf = dirs.inodeOf }: DurabilityOptions,
): Promise<Durability> {
  const jobsDir = join(stateDir, "jobs");
  const synced = new SyncedFiles(jobsDir);
  const files = await openFileSystem(jobsDir);
  if (!files) return synced;
  const dir = join(stateDir, "journal");
  const room = (write: () => void) => withReserve(stateDir, async () => write());
  try {
    const journal = await Journal.open({ dir, bootId, files }, async (entries) => {
      const jobIds = await recoverJobs(entries, { ...dirs, inodeOf, withReserve: room });
      if (jobIds.length === 0) return true;
      log.error({ jobIds }, "jobs could not be brought to what was told of them");
      return false;
    });
    return new JournaledFiles(journal, synced);
  } catch (err) {
    files.close();
    log.error({ err, path: dir }, "the journal cannot be read; what it tells of jobs may be lost");
    return synced;
  }
}
