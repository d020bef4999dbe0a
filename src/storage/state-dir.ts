import { chmodSync, statSync } from "node:fs";
import { fromSystemError, ProcmanError } from "../contract/errors.js";
import { foreignOwner, makePrivateDirs } from "../platform/own-dir.js";

/** The mode bit of directories that all users share, such as /tmp. */
const STICKY_BIT = 0o1000;

/**
 * Makes the state directory where it is missing, and corrects its mode.
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
    if ((statSync(path).mode & STICKY_BIT) === 0) return chmodSync(path, 0o700);
  } catch (error) {
    throw fromSystemError(error, `make the state directory ${path}`);
  }
  throw new ProcmanError("STORAGE_UNAVAILABLE", `${path} is shared by all users: name another`);
}
