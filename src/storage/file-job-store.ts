import { access, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crashPoint } from "../platform/crash-point.js";
import { fromSystemError, jobNotFound } from "../contract/errors.js";
import { logLimitOf } from "../core/log-limit.js";
import type { JobRecord, JobStore, UnreadableRecord } from "../core/ports.js";
import { syncDirectory, writeFileAtomic, writeFileDurable } from "./atomic-file.js";
import { FIRST_OFFSETS_FILE, newFirstOffsetsFile } from "./first-offset-files.js";
import { formatRecord, type ParsedRecord, parseRecord } from "./job-record.js";

/** Directories of jobs that are not yet, or no longer, there; swept at load. */
const NEW_PREFIX = ".new-";
const REMOVED_PREFIX = ".removed-";

/** How many records are read at a time: enough to hide latency, few descriptors. */
const LOAD_CONCURRENCY = 32;

/** Jobs' records as `<jobs>/<id>/state.json`. */
export class FileJobStore implements JobStore {
  readonly #jobsDir: string;
  /** Of records that have them: what a newer version wrote and this one keeps. */
  readonly #kept = new Map<string, Pick<ParsedRecord, "version" | "unknownFields">>();

  private constructor(jobsDir: string) {
    this.#jobsDir = jobsDir;
  }

  static async open(stateDir: string): Promise<FileJobStore> {
    const jobsDir = join(stateDir, "jobs");
    await mkdir(jobsDir, { recursive: true, mode: 0o700 });
    return new FileJobStore(jobsDir);
  }

  dirOf(id: string): string {
    return join(this.#jobsDir, id);
  }

  async load(): Promise<{ records: JobRecord[]; unreadable: UnreadableRecord[] }> {
    const ids: string[] = [];
    for (const entry of await readdir(this.#jobsDir, { withFileTypes: true })) {
      if (entry.name.startsWith(NEW_PREFIX) || entry.name.startsWith(REMOVED_PREFIX)) {
        await this.#sweep(entry.name);
      } else if (entry.isDirectory()) {
        ids.push(entry.name);
      }
    }
    const records: JobRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    const next = ids.values();
    const readAll = async () => {
      for (const id of next) {
        try {
          records.push(await this.#read(id));
        } catch (cause) {
          unreadable.push({ id, error: new Error(`read the record of job ${id}`, { cause }) });
        }
      }
    };
    await Promise.all(Array.from({ length: LOAD_CONCURRENCY }, readAll));
    return { records, unreadable };
  }

  async create(record: JobRecord): Promise<void> {
    const { id } = record.spec;
    const draft = join(this.#jobsDir, NEW_PREFIX + id);
    try {
      await mkdir(draft, { mode: 0o700 });
      // Empty, so that syncing the directory is all they need.
      await writeFile(join(draft, "stdout.log"), "", { mode: 0o600 });
      await writeFile(join(draft, "stderr.log"), "", { mode: 0o600 });
      if (logLimitOf(record) !== undefined) {
        await writeFileDurable(join(draft, FIRST_OFFSETS_FILE), newFirstOffsetsFile());
      }
      await writeFileDurable(join(draft, "state.json"), formatRecord(record));
      await syncDirectory(draft);
      crashPoint("create:drafted");
      await rename(draft, this.dirOf(id));
      crashPoint("create:renamed");
      await syncDirectory(this.#jobsDir);
    } catch (error) {
      await rm(draft, { recursive: true, force: true }).catch(() => {});
      await rm(this.dirOf(id), { recursive: true, force: true }).catch(() => {});
      throw fromSystemError(error, `create the directory of job ${id}`, id);
    }
  }

  async write(record: JobRecord): Promise<void> {
    const { id } = record.spec;
    const path = join(this.dirOf(id), "state.json");
    try {
      await writeFileAtomic(path, formatRecord(record, this.#kept.get(id)));
    } catch (error) {
      if (await this.#isDeleted(id)) throw jobNotFound(id);
      throw fromSystemError(error, `write ${path}`, id);
    }
  }

  async remove(id: string): Promise<void> {
    try {
      await rename(this.dirOf(id), join(this.#jobsDir, REMOVED_PREFIX + id)).catch(
        (error: NodeJS.ErrnoException) => {
          if (error.code !== "ENOENT") throw error;
        },
      );
      crashPoint("remove:renamed");
      // Fails where not only the job's own directory is gone.
      await syncDirectory(this.#jobsDir);
    } catch (error) {
      throw fromSystemError(error, `remove the directory of job ${id}`, id);
    }
    this.#kept.delete(id);
    // From here on the job is gone; what cannot be deleted now is swept at the next load.
    await this.#sweep(REMOVED_PREFIX + id);
  }

  /** Its directory alone: not also the one that it was in. */
  async #isDeleted(id: string): Promise<boolean> {
    const exists = (path: string) =>
      access(path).then(
        () => true,
        (error: NodeJS.ErrnoException) => error.code !== "ENOENT",
      );
    return !(await exists(this.dirOf(id))) && (await exists(this.#jobsDir));
  }

  async #read(id: string): Promise<JobRecord> {
    const parsed = parseRecord(await readFile(join(this.dirOf(id), "state.json"), "utf8"));
    if (parsed.record.spec.id !== id) throw new Error(`its id is ${parsed.record.spec.id}`);
    if (parsed.version > 1 || Object.keys(parsed.unknownFields).length > 0) {
      this.#kept.set(id, parsed);
    }
    return parsed.record;
  }

  async #sweep(name: string): Promise<void> {
    await rm(join(this.#jobsDir, name), { recursive: true, force: true, maxRetries: 3 }).catch(
      () => {},
    );
  }
}
