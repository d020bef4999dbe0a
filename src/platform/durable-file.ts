import { closeSync, fsync, openSync, renameSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { release } from "node:os";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { crashPoint } from "./crash-point.js";
import { loadLibc } from "./libc.js";
import { READ_ONLY, REPLACE } from "./small-file.js";

/*
 * Only a power cut needs a sync: what a process has written outlives the process. The
 * small files of a state directory are therefore written in this thread, which takes
 * microseconds, and synced in another one, since a sync waits for the disk.
 */

const sync = promisify(fsync);

/**
 * Replaces a file's content so that a reader finds the old or the new content, also
 * after a crash at any moment: temporary file, fsync, rename, fsync of the directory.
 *
 * Calls for one path must not overlap. They share the temporary file's name, so that
 * a crash leaves at most one behind and the next write replaces it.
 */
export async function writeFileAtomic(path: string, content: string): Promise<void> {
  const temporary = `${path}.tmp`;
  await writeFileDurable(temporary, content);
  crashPoint("atomic-file:written");
  renameSync(temporary, path);
  crashPoint("atomic-file:renamed");
  await syncPath(dirname(path));
}

/**
 * Replaces a file's content whole or not at all, for a reader and for a crash of this
 * process. Not synced: for what does not count after a power cut. Calls for one path
 * share the temporary file's name, by default with writeFileAtomic's.
 */
export function replaceFile(
  path: string,
  content: string | Uint8Array,
  temporary = `${path}.tmp`,
): void {
  stage(temporary, path, content, () => {}).putInPlace();
}

/** What is to become a file's content, beside it. One of the two is to be called. */
export interface StagedFile {
  putInPlace(): void;
  discard(): void;
}

/** Does the first half of that for a job's record, with writeFileAtomic's crash points. */
export function stageRecordFile(path: string, content: string): StagedFile {
  return stage(`${path}.tmp`, path, content, crashPoint);
}

function stage(
  temporary: string,
  path: string,
  content: string | Uint8Array,
  passed: (step: string) => void,
): StagedFile {
  const discard = (): void => rmSync(temporary, { force: true });
  const orDiscard = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      // On a full disk it would keep what room was left.
      discard();
      throw error;
    }
  };
  orDiscard(() => {
    const fd = openSync(temporary, REPLACE, 0o600);
    try {
      writeFileSync(fd, content);
    } finally {
      closeSync(fd);
    }
    passed("atomic-file:written");
  });
  const putInPlace = (): void =>
    orDiscard(() => {
      renameSync(temporary, path);
      passed("atomic-file:renamed");
    });
  return { putInPlace, discard };
}

/** Writes a file of that size into a directory, and deletes it. @throws what keeps it from that */
export function checkRoom(dir: string, bytes: number): void {
  const probe = `${dir}/probe`;
  try {
    writeFileSync(probe, Buffer.alloc(bytes), { mode: 0o600 });
  } finally {
    rmSync(probe, { force: true });
  }
}

/** Writes a file that only its owner can access, and resolves when its content is on disk. */
export async function writeFileDurable(path: string, content: string): Promise<void> {
  const fd = openSync(path, REPLACE, 0o600);
  try {
    writeFileSync(fd, content);
    await sync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Resolves when a file's content, or the names in a directory, are on disk. */
export async function syncPath(path: string): Promise<void> {
  const fd = openSync(path, READ_ONLY);
  try {
    await sync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A file system, to sync all that is on it. To be closed. */
export interface FileSystemSync {
  /** Resolves when what was written before this call is on disk. */
  sync(): Promise<void>;
  close(): void;
}

/** Before, syncfs(2) did not tell of all that could not be written. */
const FIRST_TELLING_KERNEL = [5, 17] as const;

/**
 * Those of statfs(2) that are known to write all when they are asked to: ext2 to ext4, XFS,
 * Btrfs, F2FS, Bcachefs, tmpfs and overlayfs. FUSE and network file systems may not pass it on.
 */
const SYNCED_FILE_SYSTEMS = new Set([
  0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0xca451a4e, 0x01021994, 0x794c7630,
]);

/**
 * Opens the file system that a directory is on.
 * @returns undefined where there is no call that syncs all of it and tells of failures
 */
export async function openFileSystem(dir: string): Promise<FileSystemSync | undefined> {
  const { syncfs } = await loadLibc();
  const [major = 0, minor = 0] = release().split(".").map(Number);
  const [sinceMajor, sinceMinor] = FIRST_TELLING_KERNEL;
  const tells = major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
  if (!syncfs || !tells || !SYNCED_FILE_SYSTEMS.has(statfsSync(dir).type)) return undefined;
  // Open all the while: it is told of what has failed since.
  const fd = openSync(dir, "r");
  return {
    async sync() {
      if (await syncfs(fd)) return;
      throw Object.assign(new Error(`EIO: sync the file system of ${dir}`), { code: "EIO" });
    },
    close: () => closeSync(fd),
  };
}

/** One path that many wait for: those who come while it is synced share the next sync. */
export class SharedSync {
  readonly #syncNow: () => Promise<void>;
  #underWay: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(path: string, syncNow = () => syncPath(path)) {
    this.#syncNow = syncNow;
  }

  /** Resolves when what was written before this call is on disk. */
  sync(): Promise<void> {
    if (!this.#underWay) return this.#begin();
    this.#next ??= this.#underWay
      .catch(() => {})
      .then(() => {
        this.#next = undefined;
        return this.#begin();
      });
    return this.#next;
  }

  #begin(): Promise<void> {
    const sync = this.#syncNow().finally(() => {
      if (this.#underWay === sync) this.#underWay = undefined;
    });
    this.#underWay = sync;
    return sync;
  }
}
