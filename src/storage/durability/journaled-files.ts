import { writeFileSync } from "node:fs";
import type { JobDir } from "../../core/job-dir.js";
import { stageRecordFile } from "../../platform/durable-file.js";
import { readSmallFile } from "../../platform/small-file.js";
import type { Durability, KeepName } from "./durability.js";
import type { Journal } from "./journal.js";
import type { SyncedFiles } from "./synced-files.js";

/** Writes files without a sync, and tells a journal what they say, or are about to. */
export class JournaledFiles implements Durability {
  readonly #journal: Journal;
  /** While there is no journal. */
  readonly #synced: SyncedFiles;

  constructor(journal: Journal, synced: SyncedFiles) {
    this.#journal = journal;
    this.#synced = synced;
  }

  async writeNew(draft: JobDir, text: string): Promise<KeepName> {
    if (!this.#isJournaled()) return this.#synced.writeNew(draft, text);
    // Nobody is told of the job before `keepProcess`, which tells the journal all of it: that
    // gives it its name again.
    writeFileSync(draft.record, text, { mode: 0o600 });
    return async () => {};
  }

  /**
   * The new name may come to the disk before the content (XFS), and the old content is gone
   * then. So the journal has it first.
   */
  async replace(dir: JobDir, text: string): Promise<void> {
    if (!this.#isJournaled()) return this.#synced.replace(dir, text);
    const staged = stageRecordFile(dir.record, text);
    try {
      do {
        const entered = await this.#journal.append({ kind: "record", id: dir.jobId, text });
        if (entered.isLast()) return staged.putInPlace();
        // A sync of all files is under way, which may miss this one, and the entry counts no
        // longer than that.
        if (!entered.isThere) break;
      } while (this.#isJournaled());
    } catch (error) {
      staged.discard();
      throw error;
    }
    await this.#synced.replace(dir, text);
  }

  async keepProcess(dir: JobDir, text: string): Promise<void> {
    if (!this.#isJournaled()) {
      // The rest may have been left to a journal that has failed since.
      const rest = [this.#synced.keepRecord(dir), this.#synced.keepNames()];
      await Promise.all([this.#synced.keepProcess(dir), ...rest]);
      return;
    }
    const id = dir.jobId;
    const process = textOf(dir.process);
    await this.#journal.append(
      { kind: "record", id, text },
      ...(process === undefined ? [] : [{ kind: "process", id, text: process } as const]),
    );
  }

  async keepRemoval(dir: JobDir, ino: number | undefined): Promise<void> {
    if (!this.#isJournaled()) return this.#synced.keepRemoval();
    // That somebody has deleted it is not told by any entry.
    if (ino === undefined) await this.#synced.keepNames();
    await this.#journal.append({ kind: "removed", id: dir.jobId, ino: ino ?? 0 });
  }

  close(): Promise<void> {
    return this.#journal.close();
  }

  #isJournaled(): boolean {
    this.#journal.makeSoon();
    return this.#journal.canAppend;
  }
}

/** Returns undefined where there is no such file: the command may have made anything of it. */
function textOf(path: string): string | undefined {
  try {
    return readSmallFile(path).text;
  } catch {
    return undefined;
  }
}
