import { join } from "node:path";
import type { Log } from "../../contract/log.js";
import { type FileSystemSync, openFileSystem, syncPath } from "../../platform/durable-file.js";
import { withReserve } from "../disk-reserve.js";
import type { Durability } from "./durability.js";
import { Journal } from "./journal.js";
import type { JournalEntry } from "./journal-segment.js";
import { JournaledFiles } from "./journaled-files.js";
import { type JobDirs, recoverJobs, rewriteRecords } from "./recover-jobs.js";
import { SyncedFiles } from "./synced-files.js";

export interface DurabilityOptions {
  /** The boot of this machine. */
  readonly bootId: string;
  readonly log: Log;
  /** For a copy of the files, whose inodes are others. Default: the file system's. */
  readonly inodeOf?: JobDirs["inodeOf"];
}

export interface OpenedDurability {
  readonly durability: Durability;
  /** Whether the machine was started anew, and the files have all that was answered before. */
  readonly isWholeAfterBoot: boolean;
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
): Promise<OpenedDurability> {
  const jobsDir = join(stateDir, "jobs");
  const synced = new SyncedFiles(jobsDir);
  const recoveredIds: string[] = [];
  let isWhole = true;
  const recover = async (entries: readonly JournalEntry[]) => {
    const room = (write: () => void) => withReserve(stateDir, async () => write());
    const { ids, failedIds } = await recoverJobs(entries, { ...dirs, inodeOf, withReserve: room });
    recoveredIds.push(...ids);
    if (failedIds.length === 0) return;
    isWhole = false;
    log.error({ jobIds: failedIds }, "jobs could not be brought to what was told of them");
  };
  const whole = await openFileSystem(jobsDir);
  const files: FileSystemSync = whole ?? {
    // Only what was recovered, and nothing more: no entry is ever added.
    sync: () => syncJobs(recoveredIds, jobsDir, dirs.dirOf),
    close: () => {},
  };
  const rewrite = (entries: readonly JournalEntry[]) => rewriteRecords(entries, dirs);
  const dir = join(stateDir, "journal");
  try {
    const journal = await Journal.open({ dir, bootId, files, recover, rewrite });
    const isWholeAfterBoot = isWhole && journal.isOfEarlierBoot;
    if (whole) return { durability: new JournaledFiles(journal, synced), isWholeAfterBoot };
    await journal.close();
  } catch (err) {
    files.close();
    log.error({ err, path: dir }, "the journal cannot be used; what it tells of jobs may be lost");
  }
  return { durability: synced, isWholeAfterBoot: false };
}

async function syncJobs(
  ids: readonly string[],
  jobsDir: string,
  dirOf: JobDirs["dirOf"],
): Promise<void> {
  for (const id of ids) {
    const { path, record, process } = dirOf(id);
    // Not every job has each of them, and one may have been removed.
    for (const each of [record, process, path]) await syncPath(each).catch(() => {});
  }
  await syncPath(jobsDir);
}
