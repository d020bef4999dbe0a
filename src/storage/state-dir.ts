import { chmodSync, lstatSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fromSystemError, ProcmanError } from "../contract/errors.js";
import { foreignOwner, makePrivateDirs } from "../platform/own-dir.js";

/** The mode bit of directories that all users share, such as /tmp. */
const STICKY_BIT = 0o1000;

/** The mode bits of everybody but the owner. */
const OTHERS = 0o077;
/** `jobs`, a job's directory, its files. */
const MAX_DEPTH = 3;

/**
 * Makes the state directory where it is missing, and corrects its mode. Where
 * others had access to it, the modes of all below it are corrected too.
 * @param path absolute
 * @throws ProcmanError STORAGE_UNAVAILABLE for one that belongs to somebody else or that
 * all users share, and one that cannot be made
 */
export function makeStateDir(path: string): void {
  // Before it is made, too: root would make it in another user's home.
  const foreign = foreignOwner(path);
  if (foreign !== undefined) throw new ProcmanError("STORAGE_UNAVAILABLE", foreign);
  try {
    makePrivateDirs(path);
    const { mode } = statSync(path);
    if ((mode & STICKY_BIT) === 0) {
      chmodSync(path, 0o700);
      // Below a private directory nobody gets at anything, so that looking is enough at the top.
      return makePrivate(path, (mode & OTHERS) === 0 ? 1 : MAX_DEPTH);
    }
  } catch (error) {
    throw fromSystemError(error, `make the state directory ${path}`);
  }
  throw new ProcmanError("STORAGE_UNAVAILABLE", `${path} is shared by all users: name another`);
}

/** Takes from others what access they have to what is in a directory and is this user's own. */
function makePrivate(dir: string, depth: number): void {
  for (const name of readdirSync(dir)) {
    const path = join(dir, name);
    const stats = lstatSync(path, { throwIfNoEntry: false });
    // The mode of a link is of no meaning, and changing it would change its target's.
    if (!stats || stats.isSymbolicLink() || stats.uid !== process.geteuid?.()) continue;
    if ((stats.mode & OTHERS) !== 0) chmodSync(path, stats.mode & 0o700);
    if (stats.isDirectory() && depth > 1) makePrivate(path, depth - 1);
  }
}
