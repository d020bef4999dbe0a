import { writeFileSync } from "node:fs";
import type { JobDir } from "../../core/job-dir.js";
import { replaceRecordFile } from "../../platform/durable-file.js";
import { hasCode } from "../../platform/errno.js";
import { readSmallFile } from "../../platform/small-file.js";
import type { Durability, KeepName } from "./durability.js";
import type { Journal } from "./journal.js";
import type { SyncedFiles } from "./synced-files.js";

/** Writes files without a sync, and tells a journal what they say. */
export class JournaledFiles implements Durability {
  readonly #journal: Journal;
  /** While there is no journal. */
  readonly #synced: SyncedFiles;

  constructor(journal: Journal, synced: SyncedFiles) {
    this.#journal = journal;
    this.#synced = synced;
  }

  async writeNew(id: string, draft: JobDir, text: string): Promise<KeepName> {
    if (!this.#journal.isReady) return this.#synced.writeNew(id, draft, text);
    writeFileSync(draft.record, text, { mode: 0o600 });
    await this.#journal.append({ kind: "record", id, text });
    // A job that the journal tells of gets its name again.
    return async () => {};
  }

  async replace(dir: JobDir, text: string): Promise<void> {
    if (!this.#journal.isReady) return this.#synced.replace(dir, text);
    replaceRecordFile(dir.record, text);
    await this.#journal.append({ kind: "record", id: dir.jobId, text });
  }

  async keepProcess(dir: JobDir, text: string): Promise<void> {
    if (!this.#journal.isReady) {
      // The name may have been left to a journal that has failed since.
      await Promise.all([this.#synced.keepProcess(dir), this.#synced.keepNames()]);
      return;
    }
    const id = dir.jobId;
    try {
      const process = readSmallFile(dir.process).text;
      await this.#journal.append(
        { kind: "record", id, text },
        { kind: "process", id, text: process },
      );
    } catch (error) {
      // The command may have deleted its files.
      if (!hasCode(error, "ENOENT")) throw error;
    }
  }

  async keepRemoval(dir: JobDir, ino: number): Promise<void> {
    if (!this.#journal.isReady) return this.#synced.keepRemoval();
    await this.#journal.append({ kind: "removed", id: dir.jobId, ino });
  }

  close(): Promise<void> {
    return this.#journal.close();
  }
}
