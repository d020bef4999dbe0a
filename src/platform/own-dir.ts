import {
  type BigIntStats,
  closeSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  type Stats,
  statSync,
} from "node:fs";
import { userInfo } from "node:os";
import { dirname, isAbsolute } from "node:path";
import { hasCode } from "./errno.js";

const ROOT = 0;
const WRITABLE_BY_ALL = 0o002;
/** In directories with this mode bit, such as /tmp, nobody can rename or delete others' files. */
const STICKY_BIT = 0o1000;

/**
 * Returns why a directory is not this user's own, for an error's message, or undefined
 * where it is, or does not exist. What is executed or believed must be in one's own.
 *
 * A link to the directory must be the user's own, or root's. For root, the directories
 * above are checked too, since whoever owns one of them can replace what is below. For
 * other users they are not: home directories in those of a group's head are usual.
 * @param path absolute
 */
export function foreignOwner(path: string): string | undefined {
  // macOS and Linux have it; without users there are no others.
  const uid = process.geteuid?.();
  if (uid === undefined) return undefined;
  const link = statsOf(path);
  if (link && !isOneOf(link, uid, ROOT)) return belongs(path, link, uid);
  const real = link && realPathOf(path);
  const dir = real === undefined ? undefined : statsOf(real);
  if (dir && dir.uid !== uid) return belongs(path, dir, uid);
  return uid === ROOT ? replaceable([path, ...(real === undefined ? [] : [real])]) : undefined;
}

/**
 * Returns this user's home: that of HOME or, where it is unset or empty, of the system's
 * list of users. Undefined where there is none, or it is no absolute path.
 */
export function homeDir(): string | undefined {
  try {
    const home = process.env["HOME"] || userInfo().homedir;
    return isAbsolute(home) ? home : undefined;
  } catch {
    // A uid that is on no list, in a container.
    return undefined;
  }
}

/**
 * Makes a directory with access for its owner only, and those above it, where they are
 * missing, and syncs their names. Node's own recursive mkdir never ends where nothing can be
 * made, as in /proc.
 */
export function makePrivateDirs(path: string): void {
  try {
    makePrivateDir(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT") || dirname(path) === path) throw error;
    makePrivateDirs(dirname(path));
    makePrivateDir(path);
  }
}

function makePrivateDir(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if (!hasCode(error, "EEXIST") || !statSync(path).isDirectory()) throw error;
    return;
  }
  syncNames(dirname(path));
}

function syncNames(dir: string): void {
  try {
    const fd = openSync(dir, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch {
    // One may be allowed to make something in a directory, and not to read it.
  }
}

/**
 * Returns what tells a directory from a copy of it, and from another one that took its
 * place; undefined where it cannot be reached.
 */
export function directoryId(path: string): string | undefined {
  try {
    return formatDirectoryId(statSync(path, { bigint: true }));
  } catch {
    return undefined;
  }
}

export function formatDirectoryId({ dev, ino }: Pick<BigIntStats, "dev" | "ino">): string {
  return `${dev}:${ino}`;
}

/** Returns why somebody else than root could replace one of the paths. */
function replaceable(paths: readonly string[]): string | undefined {
  for (const parent of new Set(paths.flatMap(parentsOf))) {
    const stats = statsOf(parent);
    if (!stats) continue;
    if (!isOneOf(stats, ROOT)) return belongs(parent, stats, ROOT);
    const isOpen = (stats.mode & WRITABLE_BY_ALL) !== 0 && (stats.mode & STICKY_BIT) === 0;
    if (isOpen && stats.isDirectory()) {
      return `${parent} can be written by every user, and this is root: use another directory`;
    }
  }
  return undefined;
}

function belongs(path: string, { uid: owner }: Stats, uid: number): string {
  const self = uid === ROOT ? "this is root" : `this is uid ${uid}`;
  return `${path} belongs to another user (uid ${owner}; ${self}): run procman as that user, or use a directory of your own`;
}

function isOneOf({ uid }: Stats, ...uids: readonly number[]): boolean {
  return uids.includes(uid) || (uids.includes(ROOT) && uid === unmappedUid());
}

function parentsOf(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [] : [parent, ...parentsOf(parent)];
}

function statsOf(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    // What cannot be reached cannot be used either; whoever tries learns why.
    if (hasCode(error, "ENOENT", "ENOTDIR", "EACCES", "ELOOP", "ENAMETOOLONG")) return undefined;
    throw error;
  }
}

function realPathOf(path: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch {
    return undefined;
  }
}

let unmapped: number | undefined;

/**
 * Returns the uid that files of the real root have in a user namespace without it (a
 * container of an ordinary user's), or -1 outside of such a one.
 */
function unmappedUid(): number {
  unmapped ??= readUnmappedUid();
  return unmapped;
}

function readUnmappedUid(): number {
  try {
    const [, outside, count] = readFileSync("/proc/self/uid_map", "utf8").trim().split(/\s+/);
    if (outside === "0" && count === "4294967295") return -1;
    return Number(readFileSync("/proc/sys/kernel/overflowuid", "utf8"));
  } catch {
    // macOS has no user namespaces.
    return -1;
  }
}
