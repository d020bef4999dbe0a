import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { STREAMS } from "../contract/job.js";
import { JobDir } from "../core/job-dir.js";
import { hasCode } from "../platform/errno.js";

/** Of what stat(2) counts a file's room in, on every system. */
const BLOCK_BYTES = 512;

/** Returns what a job's logs take on the disk; what a log limit has removed takes nothing. */
export function logBytesOf(dir: JobDir): number {
  const sizes = STREAMS.map(
    (stream) => (statSync(dir.log(stream), { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES,
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Returns what the logs of all jobs of a state directory take, those being deleted too. */
export function logBytesIn(stateDir: string): number {
  const jobs = join(stateDir, "jobs");
  let bytes = 0;
  for (const name of namesIn(jobs)) {
    try {
      bytes += logBytesOf(new JobDir(join(jobs, name)));
    } catch (error) {
      // No directory, or none that may be looked into.
      if (!hasCode(error, "ENOTDIR", "EACCES")) throw error;
    }
  }
  return bytes;
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return [];
    throw error;
  }
}
