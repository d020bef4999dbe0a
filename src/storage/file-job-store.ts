import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { access, mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { fromSystemError, jobNotFound } from "../contract/errors.js";
import { STREAMS } from "../contract/job.js";
import { JobDir } from "../core/job-dir.js";
import type { JobDraft, JobRecord, JobStore, UnreadableRecord } from "../core/ports.js";
import { logLimitOf } from "../core/transitions.js";
import { crashPoint } from "../platform/crash-point.js";
import { hasCode } from "../platform/errno.js";
import { inParallel } from "../platform/in-parallel.js";
import { syncPath, writeFileAtomic, writeFileDurable } from "../platform/durable-file.js";
import { newFirstOffsetsFile } from "./first-offset-files.js";
import { formatRecord, parseRecord } from "./job-record.js";

/** Prefixes of directories whose creation or removal is unfinished; deleted at load. */
const NEW_PREFIX = ".new-";
const REMOVED_PREFIX = ".removed-";

/** How many records are read at a time: enough to hide latency, with few descriptors. */
const LOAD_CONCURRENCY = 32;

/** Stores jobs' records as `jobs/<id>/state.json` in the state directory. */
export class FileJobStore implements JobStore {
  readonly #jobsDir: string;

  private constructor(jobsDir: string) {
    this.#jobsDir = jobsDir;
  }

  static async open(stateDir: string): Promise<FileJobStore> {
    const jobsDir = join(stateDir, "jobs");
    await mkdir(jobsDir, { recursive: true, mode: 0o700 });
    return new FileJobStore(jobsDir);
  }

  async load(): Promise<{ records: JobRecord[]; unreadable: UnreadableRecord[] }> {
    const ids: string[] = [];
    for (const entry of await readdir(this.#jobsDir, { withFileTypes: true })) {
      if (entry.name.startsWith(NEW_PREFIX) || entry.name.startsWith(REMOVED_PREFIX)) {
        await this.#sweep(this.dirOf(entry.name));
      } else if (entry.isDirectory()) {
        ids.push(entry.name);
      }
    }
    const records: JobRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    await inParallel(ids, LOAD_CONCURRENCY, async (id) => {
      try {
        records.push(await this.#read(id));
      } catch (cause) {
        unreadable.push({ id, error: new Error(`read the record of job ${id}`, { cause }) });
      }
    });
    return { records, unreadable };
  }

  draft(record: JobRecord): JobDraft {
    const { id } = record.spec;
    const draft = this.dirOf(NEW_PREFIX + id);
    const failed = (error: unknown): never => {
      throw fromSystemError(error, `create the directory of job ${id}`, id);
    };
    const written = this.#writeDraft(draft, record).catch(failed);
    // The caller may have something else to wait for first.
    written.catch(() => {});
    return {
      written,
      publish: () => {
        try {
          renameSync(draft.path, this.dirOf(id).path);
        } catch (error) {
          failed(error);
        }
        crashPoint("create:renamed");
        return syncPath(this.#jobsDir).catch(failed);
      },
      discard: () => written.catch(() => {}).then(() => this.#sweep(draft)),
    };
  }

  async write(record: JobRecord): Promise<void> {
    const { id } = record.spec;
    const path = this.dirOf(id).record;
    try {
      await writeFileAtomic(path, formatRecord(record));
    } catch (error) {
      if (await this.#isDeleted(id)) throw jobNotFound(id);
      throw fromSystemError(error, `write ${path}`, id);
    }
  }

  async remove(id: string): Promise<void> {
    const removed = this.dirOf(REMOVED_PREFIX + id);
    try {
      await rename(this.dirOf(id).path, removed.path).catch((error: unknown) => {
        if (!hasCode(error, "ENOENT")) throw error;
      });
      crashPoint("remove:renamed");
      // Fails where more than the job's own directory is gone.
      await syncPath(this.#jobsDir);
    } catch (error) {
      throw fromSystemError(error, `remove the directory of job ${id}`, id);
    }
    // The removal is durable. What follows may be interrupted.
    await this.#sweep(removed);
  }

  async #writeDraft(draft: JobDir, record: JobRecord): Promise<void> {
    mkdirSync(draft.path, { mode: 0o700 });
    // Empty files need no sync of their own: that of the directory is enough.
    for (const stream of STREAMS) writeFileSync(draft.log(stream), "", { mode: 0o600 });
    if (logLimitOf(record) !== undefined) {
      await writeFileDurable(draft.firstOffsets, newFirstOffsetsFile());
    }
    await writeFileDurable(draft.record, formatRecord(record));
    await syncPath(draft.path);
    crashPoint("create:drafted");
  }

  /** Whether the job's own directory was deleted, and not the whole state directory. */
  async #isDeleted(id: string): Promise<boolean> {
    const exists = (path: string) =>
      access(path).then(
        () => true,
        (error: unknown) => !hasCode(error, "ENOENT"),
      );
    return !(await exists(this.dirOf(id).path)) && (await exists(this.#jobsDir));
  }

  async #read(id: string): Promise<JobRecord> {
    const record = parseRecord(await readFile(this.dirOf(id).record, "utf8"));
    if (record.spec.id !== id) throw new Error(`its id is ${record.spec.id}`);
    return record;
  }

  /** Deletes a directory. What cannot be deleted now is deleted at the next load. */
  async #sweep({ path }: JobDir): Promise<void> {
    await rm(path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }

  dirOf(name: string): JobDir {
    return new JobDir(join(this.#jobsDir, name));
  }
}
