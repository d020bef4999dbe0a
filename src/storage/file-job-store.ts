import { lstatSync, mkdirSync, renameSync, statSync, writeFileSync } from "node:fs";
import { readdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { join } from "node:path";
import { fromSystemError, jobNotFound, ProcmanError } from "../contract/errors.js";
import { type Exit, type JobState, STREAMS } from "../contract/job.js";
import { type Log, silentLog } from "../contract/log.js";
import { JobDir } from "../core/job-dir.js";
import { type EndedJob, endedJob, isSettled } from "../core/ended-jobs.js";
import type {
  JobDraft,
  JobRecord,
  JobStore,
  LoadedJobs,
  UnreadableRecord,
  WriteOptions,
} from "../core/ports.js";
import { logLimitOf } from "../core/transitions.js";
import { crashPoint } from "../platform/crash-point.js";
import { codeOf, hasCode } from "../platform/errno.js";
import { syncPath, writeFileDurable } from "../platform/durable-file.js";
import { makePrivateDirs } from "../platform/own-dir.js";
import { SerialQueue } from "../platform/serial-queue.js";
import { Turns } from "../platform/turns.js";
import { withReserve } from "./disk-reserve.js";
import type { Durability, KeepName } from "./durability/durability.js";
import {
  type DurabilityOptions,
  openDurability,
  type OpenedDurability,
} from "./durability/open-durability.js";
import { SyncedFiles } from "./durability/synced-files.js";
import { EndedJobsFile, type FileStamp } from "./ended-jobs-file.js";
import { newFirstOffsetsFile } from "./first-offset-files.js";
import { type BareProcess, goExit, goOrphan, parseGoRecord } from "./go-record.js";
import { formatRecord, MAX_RECORD_BYTES, parseRecord, revisionOf } from "./job-record.js";
import { logBytesOf } from "./log-usage.js";
import { readSmallFile } from "../platform/small-file.js";

/** Prefixes of directories whose creation or removal is unfinished; deleted at load. */
const NEW_PREFIX = ".new-";
const REMOVED_PREFIX = ".removed-";

/**
 * Takes over the process of a job that another program has started without a runner, and
 * records it in the job's directory. Returns false where it is not there any more.
 */
export type TakeOver = (dir: JobDir, pid: number, startedTime: Date) => boolean;

/** Returns how a job of the Go library's has ended, where its own program has recorded that. */
export function readGoExit(dir: JobDir): Exit | undefined {
  try {
    return goExit(JSON.parse(readSmallFile(dir.record, MAX_RECORD_BYTES).text) as object);
  } catch {
    // It is being written, or is no longer the Go library's.
    return undefined;
  }
}

export interface FileJobStoreOptions {
  /** Default: none is taken over. */
  readonly takeOver?: TakeOver;
  /** Default: each file is synced. */
  readonly durability?: DurabilityOptions;
}

/** Stores jobs' records as `jobs/<id>/state.json` in the state directory. */
export class FileJobStore implements JobStore {
  readonly #stateDir: string;
  readonly #jobsDir: string;
  readonly #durability: Durability;
  readonly #endedJobs: EndedJobsFile;
  readonly #deletions = new SerialQueue();
  readonly #takeOver: TakeOver;
  readonly #log: Log;
  readonly #isWholeAfterBoot: boolean;
  /** Which write of its record was the last, of jobs that are not settled. */
  readonly #revisions = new Map<string, number>();

  private constructor(stateDir: string, opened: OpenedDurability, takeOver: TakeOver, log: Log) {
    this.#takeOver = takeOver;
    this.#log = log;
    this.#stateDir = stateDir;
    this.#jobsDir = jobsDirIn(stateDir);
    this.#durability = opened.durability;
    this.#isWholeAfterBoot = opened.isWholeAfterBoot;
    this.#endedJobs = new EndedJobsFile(join(stateDir, "ended-jobs"));
  }

  static async open(
    stateDir: string,
    { takeOver = () => false, durability }: FileJobStoreOptions = {},
  ): Promise<FileJobStore> {
    const jobsDir = jobsDirIn(stateDir);
    makePrivateDirs(jobsDir);
    const opened = durability
      ? await openDurability(stateDir, jobDirsIn(jobsDir), durability)
      : { durability: new SyncedFiles(jobsDir), isWholeAfterBoot: false };
    return new FileJobStore(stateDir, opened, takeOver, durability?.log ?? silentLog);
  }

  async load(): Promise<LoadedJobs> {
    const noted = await this.#endedJobs.load();
    const ended: EndedJob[] = [];
    const records: JobRecord[] = [];
    const unreadable: UnreadableRecord[] = [];
    const turns = new Turns();
    for (const id of await this.#listAndSweep()) {
      await turns.next();
      try {
        const stamp = stampOf(this.dirOf(id).record);
        const note = noted.get(id);
        if (note && isSame(note.stamp, stamp)) {
          ended.push(note.job);
          continue;
        }
        const record = this.#read(id);
        const job = isSettled(record) ? endedJob(record) : undefined;
        if (!job) {
          records.push(record);
          continue;
        }
        ended.push(job);
        this.#endedJobs.add({ job, stamp });
      } catch (cause) {
        if (this.#isWholeAfterBoot && isCutOff(this.dirOf(id))) {
          this.#log.warn({ jobId: id }, "removed a job whose start a power cut has cut off");
          await this.#sweep(this.dirOf(id));
          continue;
        }
        unreadable.push({ id, error: new Error(`read the record of job ${id}`, { cause }) });
      }
    }
    this.#endedJobs.keepOnly(new Set(ended.map(({ id }) => id)));
    return { ended, records, unreadable };
  }

  read(id: string): JobRecord {
    try {
      return this.#read(id);
    } catch (error) {
      if (this.#isDeleted(id)) throw jobNotFound(id);
      const attempt = `read the record of job ${id}`;
      const isMissing = hasCode(error, "ENOENT") && !isAbsent(this.dirOf(id).path);
      if (codeOf(error) !== undefined && !isMissing) throw fromSystemError(error, attempt, id);
      throw new ProcmanError("RECORD_UNREADABLE", attempt, { jobId: id, cause: error });
    }
  }

  remember(job: EndedJob): void {
    this.#revisions.delete(job.id);
    try {
      this.#endedJobs.add({ job, stamp: stampOf(this.dirOf(job.id).record) });
    } catch {
      // The next server reads its record.
    }
  }

  logBytes(id: string): number {
    return logBytesOf(this.dirOf(id));
  }

  /** Resolves when no file is written any more. */
  async close(): Promise<void> {
    await this.#endedJobs.close();
    await this.#durability.close();
  }

  draft(record: JobRecord): JobDraft {
    const { id } = record.spec;
    const draft = this.dirOf(NEW_PREFIX + id);
    this.#revisions.set(id, 0);
    const text = this.#format(record);
    const failed = (error: unknown): never => {
      throw fromSystemError(error, `create the directory of job ${id}`, id);
    };
    let keepName: KeepName = async () => {};
    const written = this.#writeDraft(draft, record, text)
      .then((keep) => {
        keepName = keep;
      })
      .catch(failed);
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
        return keepName().catch(failed);
      },
      discard: () => written.catch(() => {}).then(() => this.#sweep(draft)),
    };
  }

  async write(record: JobRecord, { mayUseReserve = false }: WriteOptions = {}): Promise<void> {
    const { id } = record.spec;
    const dir = this.dirOf(id);
    const write = () => this.#durability.replace(dir, this.#format(record));
    try {
      await (mayUseReserve ? withReserve(this.#stateDir, write) : write());
    } catch (error) {
      if (this.#isDeleted(id)) throw jobNotFound(id);
      throw fromSystemError(error, `write ${dir.record}`, id);
    }
  }

  async keepStart(record: JobRecord): Promise<void> {
    const { id } = record.spec;
    try {
      await this.#durability.keepProcess(this.dirOf(id), this.#format(record));
    } catch (error) {
      throw fromSystemError(error, `start the command of job ${id}`, id);
    }
  }

  async remove(id: string): Promise<void> {
    const dir = this.dirOf(id);
    const removed = this.dirOf(REMOVED_PREFIX + id);
    try {
      const ino = inodeOf(dir);
      // A name more may be a block more of `jobs/`.
      const renamed = () => rename(dir.path, removed.path);
      await withReserve(this.#stateDir, renamed).catch((error: unknown) => {
        if (!hasCode(error, "ENOENT")) throw error;
      });
      crashPoint("remove:renamed");
      // Fails where more than the job's own directory is gone.
      statSync(this.#jobsDir);
      await this.#durability.keepRemoval(dir, ino);
    } catch (error) {
      throw fromSystemError(error, `remove the directory of job ${id}`, id);
    }
    this.#endedJobs.remove(id);
    this.#revisions.delete(id);
    // The removal is durable. What follows may be interrupted. To delete a file takes long
    // on a busy disk, and must not take all the threads that others wait for.
    await this.#deletions.run(() => this.#sweep(removed));
  }

  async #writeDraft(draft: JobDir, record: JobRecord, text: string): Promise<KeepName> {
    mkdirSync(draft.path, { mode: 0o700 });
    // Empty files need no sync of their own: that of the directory is enough.
    for (const stream of STREAMS) writeFileSync(draft.log(stream), "", { mode: 0o600 });
    const isLimited = logLimitOf(record) !== undefined;
    if (isLimited) await writeFileDurable(draft.firstOffsets, newFirstOffsetsFile());
    const keepName = await this.#durability.writeNew(draft, text);
    // So that no power cut leaves that and an empty record.
    if (isLimited) await Promise.all([syncPath(draft.record), syncPath(draft.path)]);
    crashPoint("create:drafted");
    return keepName;
  }

  /** Whether the job's own directory was deleted, and not the whole state directory. */
  #isDeleted(id: string): boolean {
    return isAbsent(this.dirOf(id).path) && !isAbsent(this.#jobsDir);
  }

  /** Returns the ids of all jobs, and deletes what a crash has left of others. */
  async #listAndSweep(): Promise<string[]> {
    const ids: string[] = [];
    for (const entry of await readdir(this.#jobsDir, { withFileTypes: true })) {
      if (entry.name.startsWith(NEW_PREFIX) || entry.name.startsWith(REMOVED_PREFIX)) {
        await this.#sweep(this.dirOf(entry.name));
      } else if (entry.isDirectory()) {
        ids.push(entry.name);
      }
    }
    return ids;
  }

  #read(id: string): JobRecord {
    const record = this.#parse(id, readSmallFile(this.dirOf(id).record, MAX_RECORD_BYTES).text);
    if (record.spec.id !== id) throw new Error(`its id is ${record.spec.id}`);
    return record;
  }

  #format(record: JobRecord): string {
    const { id } = record.spec;
    const revision = (this.#revisions.get(id) ?? this.#readRevision(id)) + 1;
    this.#revisions.set(id, revision);
    return formatRecord(record, revision);
  }

  #readRevision(id: string): number {
    try {
      return revisionOf(readSmallFile(this.dirOf(id).record, MAX_RECORD_BYTES).text);
    } catch {
      // What cannot be read is replaced by whatever a journal has of it.
      return 0;
    }
  }

  #parse(id: string, text: string): JobRecord {
    try {
      return parseRecord(text);
    } catch (error) {
      const go = parseGoRecord(JSON.parse(text) as object);
      if (!go) throw error;
      return { ...go.record, state: go.state ?? this.#stateOf(this.dirOf(id), go.running) };
    }
  }

  /** Returns the state of a job that the Go library has recorded as running. */
  #stateOf(dir: JobDir, running: BareProcess): JobState {
    const { pid, startedTime } = running;
    if (!isAbsent(dir.process) || this.#takeOver(dir, pid, startedTime)) {
      return { status: "running", ...running, containment: "session" };
    }
    const written = [dir.record, ...STREAMS.map((stream) => dir.log(stream))].flatMap(
      (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? [],
    );
    const error = "the process that its record names is gone, and nothing tells how it ended";
    return goOrphan(error, new Date(Math.max(...written)), running);
  }

  /** Deletes a directory. What cannot be deleted now is deleted at the next load. */
  async #sweep(dir: JobDir): Promise<void> {
    if (await deleteFlat(dir)) return;
    await rm(dir.path, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
  }

  dirOf(name: string): JobDir {
    return new JobDir(join(this.#jobsDir, name));
  }
}

function jobsDirIn(stateDir: string): string {
  return join(stateDir, "jobs");
}

function jobDirsIn(jobsDir: string) {
  const dirOf = (name: string) => new JobDir(join(jobsDir, name));
  return {
    dirOf,
    draftOf: (id: string) => dirOf(NEW_PREFIX + id),
    removedOf: (id: string) => dirOf(REMOVED_PREFIX + id),
    inodeOf,
  };
}

function inodeOf({ path }: JobDir): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** @throws Error where there is no such file, or it cannot be looked at */
function stampOf(path: string): FileStamp {
  const { ino, size, ctimeMs } = statSync(path);
  return { ino, size, ctimeMs };
}

function isSame(a: FileStamp, b: FileStamp): boolean {
  return a.ino === b.ino && a.size === b.size && a.ctimeMs === b.ctimeMs;
}

/**
 * Whether a job's record is empty, and no output is there. A power cut may leave that of a
 * Start that was not answered: of one that was, the record is on disk or in the journal.
 */
function isCutOff(dir: JobDir): boolean {
  const size = (path: string) => lstatSync(path, { throwIfNoEntry: false })?.size ?? 0;
  try {
    const record = lstatSync(dir.record);
    if (!record.isFile() || record.size > 0) return false;
    return STREAMS.every((stream) => size(dir.log(stream)) === 0);
  } catch {
    return false;
  }
}

/** @returns whether it is gone */
async function deleteFlat({ path }: JobDir): Promise<boolean> {
  try {
    for (const name of await readdir(path)) await unlink(join(path, name));
    await rmdir(path);
    return true;
  } catch {
    return false;
  }
}

function isAbsent(path: string): boolean {
  try {
    statSync(path);
    return false;
  } catch (error) {
    return hasCode(error, "ENOENT");
  }
}
