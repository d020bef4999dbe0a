import { existsSync, mkdirSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { STREAMS } from "../../contract/job.js";
import type { JobDir } from "../../core/job-dir.js";
import { replaceFile } from "../../platform/durable-file.js";
import { readSmallFile } from "../../platform/small-file.js";
import { MAX_RECORD_BYTES, parseRecord, revisionOf } from "../job-record.js";
import type { JournalEntry } from "./journal-segment.js";

/** What the last entries of a job say. */
interface LastEntries {
  record?: string;
  process?: string;
  /** The inode of its directory, where it was removed. */
  removedIno?: number;
}

export interface JobDirs {
  dirOf(id: string): JobDir;
  /** The directory of a job that is being made. */
  draftOf(id: string): JobDir;
  /** Where the directory of a job is moved to be deleted. */
  removedOf(id: string): JobDir;
  /** Returns what tells a directory from another one of its name; undefined where there is none. */
  inodeOf(dir: JobDir): number | undefined;
  /** Runs a write, with the room that is kept for such where the disk is full. */
  withReserve(write: () => void): Promise<void>;
}

/** The ids of the jobs that there were entries of. */
export interface Recovered {
  readonly ids: readonly string[];
  /** Those whose files could not be written. */
  readonly failedIds: readonly string[];
}

/** Brings jobs' files to what a journal says, after a power cut may have undone it. */
export async function recoverJobs(
  entries: readonly JournalEntry[],
  dirs: JobDirs,
): Promise<Recovered> {
  const jobs = lastEntries(entries);
  const failedIds: string[] = [];
  for (const [id, last] of jobs) {
    try {
      await dirs.withReserve(() => recoverJob(id, last, dirs));
    } catch {
      failedIds.push(id);
    }
  }
  return { ids: [...jobs.keys()], failedIds };
}

/**
 * Writes the records again that a journal tells of, unless they were written since, by
 * themselves. One of them may be about to be replaced, so the temporary file has a name of
 * its own.
 */
export function rewriteRecords(
  entries: readonly JournalEntry[],
  { dirOf }: Pick<JobDirs, "dirOf">,
): void {
  for (const [id, { record }] of lastEntries(entries)) {
    if (record === undefined) continue;
    const path = dirOf(id).record;
    const found = textOf(path);
    const isDue = found !== undefined && (found === record || !isAsNew(found, record));
    if (isDue) replaceFile(path, record, `${path}.again.tmp`);
  }
}

function lastEntries(entries: readonly JournalEntry[]): Map<string, LastEntries> {
  const jobs = new Map<string, LastEntries>();
  for (const entry of entries) {
    const last = jobs.get(entry.id) ?? {};
    jobs.set(entry.id, last);
    switch (entry.kind) {
      case "record":
        last.record = entry.text;
        break;
      case "process":
        last.process = entry.text;
        break;
      case "removed":
        last.removedIno = entry.ino;
        break;
    }
  }
  return jobs;
}

function recoverJob(id: string, last: LastEntries, dirs: JobDirs): void {
  const [dir, removed] = [dirs.dirOf(id), dirs.removedOf(id)];
  if (last.removedIno !== undefined) {
    // Another directory of that name was put there by somebody since.
    if (dirs.inodeOf(dir) === last.removedIno) renameSync(dir.path, removed.path);
    return;
  }
  if (last.record === undefined) return;
  if (!existsSync(dir.path)) {
    // It was being removed, which is finished now.
    if (existsSync(removed.path)) return;
    const draft = dirs.draftOf(id);
    if (existsSync(draft.path)) renameSync(draft.path, dir.path);
    else mkdirSync(dir.path, { mode: 0o700 });
  }
  for (const stream of STREAMS) {
    if (!existsSync(dir.log(stream))) writeFileSync(dir.log(stream), "", { mode: 0o600 });
  }
  const { process } = last;
  // The runner may have added to it since.
  if (process !== undefined && !textOf(dir.process)?.startsWith(process)) {
    replaceFile(dir.process, process);
    const { state } = parseRecord(last.record);
    // The file's time tells when the command was started.
    if (state.status === "running") utimesSync(dir.process, new Date(), state.startedTime);
  }
  if (!isAsNew(textOf(dir.record), last.record)) replaceFile(dir.record, last.record);
}

/** Whether a record's file was written when the journal was, or later: by another version, say. */
function isAsNew(found: string | undefined, recorded: string): boolean {
  if (found === undefined || found === recorded) return found === recorded;
  try {
    parseRecord(found);
    return revisionOf(found) >= revisionOf(recorded);
  } catch {
    return false;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readSmallFile(path, MAX_RECORD_BYTES).text;
  } catch {
    // Missing, or damaged in a way that the write tells of.
    return undefined;
  }
}
