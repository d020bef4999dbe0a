import { readdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fromSystemError } from "../contract/errors.js";
import { JobDir } from "../core/job-dir.js";
import { replaceFile } from "../platform/durable-file.js";
import { hasCode } from "../platform/errno.js";
import { directoryId } from "../platform/own-dir.js";
import { readSmallFile } from "../platform/small-file.js";

/** Where a state directory was when it was last served. */
interface Place {
  /** No process outlives the boot, so the place counts within one only. */
  readonly bootId: string;
  /** Its device and inode, which a copy does not have. */
  readonly directory: string;
  /** Its path without links, by which the runners of its jobs know it. */
  readonly path: string;
}

/**
 * Notes where a locked state directory is, in its file `place`. Finds a copy by that: since
 * the same boot it was served elsewhere, and was not just moved or mounted anew. The
 * processes that a copy's records name are the original's.
 * @param disown gives up the processes of those jobs that are not shown to be the copy's
 * own. It comes before the new place is noted, so that a crash in between repeats it.
 * @returns the path of the original, where this is a copy
 * @throws ProcmanError where a copy cannot be made to be one, on a full disk say
 */
export async function settleInPlace(
  stateDir: string,
  bootId: string,
  disown: (jobs: readonly JobDir[]) => Promise<void>,
): Promise<string | undefined> {
  const path = join(stateDir, "place");
  const directory = directoryId(stateDir) ?? "";
  const place: Place = { bootId, directory, path: realpathSync(stateDir) };
  const noted = readPlace(path);
  const isCopy = noted !== undefined && isElsewhere(place, noted);
  try {
    if (isCopy) await disown(jobsIn(stateDir));
    // Needs no sync: after a power cut the place does not count.
    const text = JSON.stringify(place);
    if (text !== JSON.stringify(noted)) replaceFile(path, `${text}\n`);
  } catch (error) {
    // An old place in a copy would make its next jobs look like another's.
    if (isCopy) throw fromSystemError(error, `serve ${stateDir}, a copy of ${noted.path}`);
    // On a full disk. A copy is not told from the original then, and nothing else is lost.
  }
  return isCopy ? noted.path : undefined;
}

/** One that is at its old path was mounted anew or restored: its jobs' runners report there. */
function isElsewhere(now: Place, noted: Place): boolean {
  return (
    now.bootId === noted.bootId && now.directory !== noted.directory && now.path !== noted.path
  );
}

/** Returns undefined where no place was noted: earlier versions did not. */
function readPlace(path: string): Place | undefined {
  try {
    const { bootId, directory, path: at } = JSON.parse(readSmallFile(path).text) as Partial<Place>;
    if (bootId === undefined || directory === undefined || at === undefined) return undefined;
    return { bootId, directory, path: at };
  } catch {
    return undefined;
  }
}

function jobsIn(stateDir: string): JobDir[] {
  const jobs = join(stateDir, "jobs");
  try {
    return readdirSync(jobs).map((name) => new JobDir(join(jobs, name)));
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
