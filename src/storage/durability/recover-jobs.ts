import { existsSync, mkdirSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { isTerminal, STREAMS } from "../../contract/job.js";
import type { JobDir } from "../../core/job-dir.js";
import { replaceFile } from "../../platform/durable-file.js";
import { readSmallFile } from "../../platform/small-file.js";
import { parseRecord } from "../job-record.js";
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

/**
 * Brings jobs' files to what a journal says, after a power cut may have undone it.
 * @returns the ids of jobs whose files could not be written
 */
export async function recoverJobs(
  entries: readonly JournalEntry[],
  dirs: JobDirs,
): Promise<readonly string[]> {
  const failed: string[] = [];
  for (const [id, last] of lastEntries(entries)) {
    try {
      await dirs.withReserve(() => recoverJob(id, last, dirs));
    } catch {
      failed.push(id);
    }
  }
  return failed;
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
  const dir = dirs.dirOf(id);
  if (last.removedIno !== undefined) {
    // Another directory of that name was put there by somebody since.
    if (dirs.inodeOf(dir) === last.removedIno) renameSync(dir.path, dirs.removedOf(id).path);
    return;
  }
  if (last.record === undefined) return;
  const draft = dirs.draftOf(id);
  if (!existsSync(dir.path)) {
    if (existsSync(draft.path)) renameSync(draft.path, dir.path);
    else mkdirSync(dir.path, { mode: 0o700 });
  }
  for (const stream of STREAMS) {
    if (!existsSync(dir.log(stream))) writeFileSync(dir.log(stream), "", { mode: 0o600 });
  }
  const { process } = last;
  if (process !== undefined && textOf(dir.process) !== process) {
    replaceFile(dir.process, process);
    const { state } = parseRecord(last.record);
    // The file's time tells when the command was started.
    if (state.status === "running") utimesSync(dir.process, new Date(), state.startedTime);
  }
  if (!isAsGood(textOf(dir.record), last.record)) replaceFile(dir.record, last.record);
}

/** Whether a record's file need not be replaced: a terminal state never changes. */
function isAsGood(found: string | undefined, recorded: string): boolean {
  if (found === undefined || found === recorded) return found === recorded;
  try {
    return isTerminal(parseRecord(found).state) && !isTerminal(parseRecord(recorded).state);
  } catch {
    return false;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readSmallFile(path).text;
  } catch {
    // Missing, or damaged in a way that the write tells of.
    return undefined;
  }
}
