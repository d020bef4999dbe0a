import { dirname } from "node:path";
import type { JobDir } from "../../core/job-dir.js";
import {
  SharedSync,
  syncPath,
  writeFileAtomic,
  writeFileDurable,
} from "../../platform/durable-file.js";
import { hasCode } from "../../platform/errno.js";
import type { Durability, KeepName } from "./durability.js";

/** Syncs each file, and each directory that names it. */
export class SyncedFiles implements Durability {
  /** The jobs' names, which all jobs wait for. */
  readonly #names: SharedSync;

  constructor(jobsDir: string) {
    this.#names = new SharedSync(jobsDir);
  }

  async writeNew({ path, record }: JobDir, text: string): Promise<KeepName> {
    // Both at once: a journal that is written for one is mostly written for the other. The
    // directory's sync is that of its empty files too.
    await Promise.all([writeFileDurable(record, text), syncPath(path)]);
    return () => this.keepNames();
  }

  /** Resolves when the names that jobs have now are on disk. */
  keepNames(): Promise<void> {
    return this.#names.sync();
  }

  replace({ record }: JobDir, text: string): Promise<void> {
    return writeFileAtomic(record, text);
  }

  keepProcess({ process }: JobDir): Promise<void> {
    return syncFile(process);
  }

  /** Resolves when a record that was written without a sync is on disk. */
  keepRecord({ record }: JobDir): Promise<void> {
    return syncFile(record);
  }

  keepRemoval(): Promise<void> {
    return this.keepNames();
  }

  async close(): Promise<void> {}
}

/** Syncs a file of a job that runs, and its name. */
async function syncFile(path: string): Promise<void> {
  await Promise.all([syncPath(path), syncPath(dirname(path))]).catch((error: unknown) => {
    // The command may have deleted its files, or made something of them that has no content.
    if (!hasCode(error, "ENOENT", "EINVAL")) throw error;
  });
}
