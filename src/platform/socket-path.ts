import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, realpathSync } from "node:fs";
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import { hasCode } from "./errno.js";

/** The length that sockaddr_un holds on every system: 104 bytes on macOS, 108 on Linux, with a NUL. */
export const MAX_SOCKET_ADDRESS_BYTES = 103;
/** Under which a socket is made, before it has its permissions and its own name. */
export const NEW_SOCKET_SUFFIX = ".new";

/** Where sockets are whose state directory has too long a path. */
export interface ShortPlaces {
  /** The user's, made by the system and deleted when the user logs out. */
  readonly runtimeDir: string;
  /** procman's own: made by it, in a directory that every user can write. */
  readonly tempDir: string;
}

/**
 * Returns the path of the unix socket of a state directory's server: in the directory or,
 * where that is too long for a socket, in a short directory that only this user can enter.
 * Of the latter it is the one that has the socket. The name tells the state directory, so
 * clients and servers find it by that alone.
 * @throws Error where the short directory is none that only this user can enter
 */
export function socketPathIn(stateDir: string, places: ShortPlaces = shortPlaces()): string {
  const path = join(stateDir, "procman.sock");
  return isShort(path) ? path : shortPathOf(stateDir, places);
}

/**
 * Makes the directory of a short socket path where it is missing.
 * @throws Error where others can enter it
 */
export function makeSocketDir(socketPath: string, { tempDir } = shortPlaces()): void {
  if (dirname(socketPath) !== tempDir) return;
  try {
    mkdirSync(tempDir, { mode: 0o700 });
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
  requirePrivate(tempDir);
}

function shortPathOf(stateDir: string, { runtimeDir, tempDir }: ShortPlaces): string {
  const hash = createHash("sha256")
    .update(realPathOf(resolve(stateDir)))
    .digest("hex");
  const name = `procman-${hash.slice(0, 16)}.sock`;
  const inRuntimeDir = join(runtimeDir, name);
  const inTempDir = join(tempDir, name);
  if (!isAbsolute(runtimeDir) || !isShort(inRuntimeDir) || accessOf(runtimeDir) !== "private") {
    requirePrivate(tempDir);
    return inTempDir;
  }
  // Of a server that was started when there was no runtime directory.
  const isInTempDir = accessOf(tempDir) === "private" && existsSync(inTempDir);
  return isInTempDir && !existsSync(inRuntimeDir) ? inTempDir : inRuntimeDir;
}

function shortPlaces(): ShortPlaces {
  // macOS and Linux have it; without users there are no others.
  const uid = process.geteuid?.() ?? 0;
  return {
    // A cron job has no such variable, though the user's other programs have.
    runtimeDir: process.env["XDG_RUNTIME_DIR"] || `/run/user/${uid}`,
    tempDir: `/tmp/procman-${uid}`,
  };
}

function isShort(path: string): boolean {
  return Buffer.byteLength(path + NEW_SOCKET_SUFFIX) <= MAX_SOCKET_ADDRESS_BYTES;
}

function requirePrivate(dir: string): void {
  if (accessOf(dir) !== "not private") return;
  throw new Error(
    `${dir} is for the sockets of state directories with long paths, and must be a directory of this user's with mode 0700; put it right or use a state directory with a shorter path`,
  );
}

function accessOf(dir: string): "private" | "not private" | "missing" {
  const stats = lstatSync(dir, { throwIfNoEntry: false });
  if (!stats) return "missing";
  const isOwn = stats.uid === (process.geteuid?.() ?? stats.uid);
  return stats.isDirectory() && isOwn && (stats.mode & 0o777) === 0o700 ? "private" : "not private";
}

/** The real path of what exists, and of what will be made in it as it is given. */
function realPathOf(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPathOf(parent), basename(path));
  }
}
