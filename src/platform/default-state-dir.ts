import { join, resolve } from "node:path";
import { homeDir } from "./own-dir.js";

/**
 * Returns the state directory of whoever names none: PROCMAN_STATE_DIR, else one in this
 * user's home. Undefined where there is no home.
 */
export function defaultStateDir(): string | undefined {
  const given = process.env["PROCMAN_STATE_DIR"];
  if (given) return resolve(given);
  const home = homeDir();
  return home === undefined ? undefined : join(home, ".cache", "procman");
}

/** Returns the path of the token that clients of a state directory's server send over TCP. */
export function tokenPathIn(stateDir: string): string {
  return join(stateDir, "token");
}
