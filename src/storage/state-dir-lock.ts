import { closeSync, constants, existsSync, fstatSync, openSync, truncateSync } from "node:fs";
import { link, readdir, rm } from "node:fs/promises";
import { constants as osConstants } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fromSystemError, ProcmanError } from "../contract/errors.js";
import { hasCode } from "../platform/errno.js";
import { loadLibc } from "../platform/libc.js";
import { directoryId, formatDirectoryId } from "../platform/own-dir.js";
import { writeFileDurable } from "../platform/durable-file.js";
import { readSmallFile } from "../platform/small-file.js";
import { withReserve } from "./disk-reserve.js";

/** Identifies processes across pid reuse and reboots. The engine implements it. */
export interface ProcessIdentifier {
  /** Returns a text that no other process, now or later, has as its name. */
  self(): string;
  /** Whether the process with that name is alive. */
  isAlive(identity: string): boolean;
}

const LOCK_FILE = /^lock\.(\d+)$/;
/** How long a holder whose lock file was deleted may take to make it again. */
const RENEWAL_TIMEOUT_MS = 15_000;
const RENEWAL_POLL_INTERVAL_MS = 50;

/**
 * Locks the state directory for this process.
 *
 * Node has no flock, and replacing a stale lock file is a race, so a lock file is
 * never replaced. The lock is the file `lock.<n>` with the highest n, and its holder
 * is the process that it names. Whoever finds that process dead creates n+1 with
 * link(2), which succeeds for one process only. The highest one is never deleted, so
 * the process that has created it holds the lock.
 *
 * Where somebody else has deleted it, its holder still has the directory locked by
 * flock(2), on the systems that have that.
 * @throws ProcmanError STORAGE_UNAVAILABLE with the holder's pid in the message, DISK_FULL
 */
export async function lockStateDir(
  stateDir: string,
  identifier: ProcessIdentifier,
): Promise<StateDirLock> {
  const fd = openSync(stateDir, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await awaitRenewal(stateDir, fd);
    const lock = new StateDirLock(stateDir, fd, identifier);
    await lock.renew();
    return lock;
  } catch (error) {
    closeSync(fd);
    throw fromSystemError(error, `lock ${stateDir}`);
  }
}

/**
 * Waits until a holder whose lock file was deleted has made it again, in a directory
 * that has none though it was served before.
 */
async function awaitRenewal(stateDir: string, fd: number): Promise<void> {
  const untilMs = performance.now() + RENEWAL_TIMEOUT_MS;
  while ((await newestLock(stateDir)) === undefined) {
    const wasServed = existsSync(join(stateDir, "jobs"));
    if (!wasServed || (await flockDirectory(fd)) !== "held") return;
    if (performance.now() > untilMs) {
      throw new ProcmanError(
        "STORAGE_UNAVAILABLE",
        `${stateDir} is already served by a process whose lock file was deleted, and who does not answer`,
      );
    }
    await sleep(RENEWAL_POLL_INTERVAL_MS);
  }
}

/** This process's lock of a state directory. */
export class StateDirLock {
  readonly #stateDir: string;
  /** Keeps the directory's inode from being given to another, and has the flock. */
  readonly #fd: number;
  readonly #identifier: ProcessIdentifier;
  readonly #content: string;
  #path = "";

  constructor(stateDir: string, fd: number, identifier: ProcessIdentifier) {
    this.#stateDir = stateDir;
    this.#fd = fd;
    this.#identifier = identifier;
    this.#content = formatLock(identifier.self(), directoryId(stateDir) ?? "");
  }

  /**
   * Says what has become of the directory: "away" is one that was moved, unmounted or
   * replaced, and may come back.
   */
  directory(): "there" | "away" | "deleted" {
    const own = fstatSync(this.#fd, { bigint: true });
    if (directoryId(this.#stateDir) === formatDirectoryId(own)) return "there";
    return own.nlink === 0n ? "deleted" : "away";
  }

  /** Holds the lock also where its file is deleted, from now on. */
  async holdByKernel(): Promise<void> {
    if ((await flockDirectory(this.#fd)) === "held") throw servedBy(this.#stateDir, undefined);
  }

  /**
   * Makes the lock file, again where somebody has deleted it.
   * @returns whether it had to be made
   * @throws ProcmanError STORAGE_UNAVAILABLE where another process has the lock now
   */
  async renew(): Promise<boolean> {
    if (await this.isHeld()) return false;
    const draft = join(this.#stateDir, `.lock-${process.pid}-${process.hrtime.bigint()}`);
    try {
      this.#path = await withReserve(this.#stateDir, async () => {
        await writeFileDurable(draft, this.#content);
        return this.#take(draft);
      });
      return true;
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Has the lock name nobody, unless the directory was replaced and the lock is another's. */
  async release(): Promise<void> {
    // Needs no room on the disk, and no sync: after a power cut this process is not alive.
    if (await this.#isOwn()) truncateSync(this.#path);
    closeSync(this.#fd);
  }

  /** Another process's lock may have the same number, where the file was deleted. */
  async #isOwn(): Promise<boolean> {
    return readLock(this.#path) === this.#content;
  }

  /** Whether the lock's file is there, and this process's. */
  async isHeld(): Promise<boolean> {
    const newest = await newestLock(this.#stateDir);
    return newest?.path === this.#path && (await this.#isOwn());
  }

  async #take(draft: string): Promise<string> {
    for (;;) {
      const newest = await newestLock(this.#stateDir);
      const owner = newest && (await readOwner(this.#stateDir, newest.path, this.#identifier));
      if (owner !== undefined) throw servedBy(this.#stateDir, owner);
      const number = (newest?.number ?? 0) + 1;
      const path = join(this.#stateDir, `lock.${number}`);
      if (!(await linkNew(draft, path))) continue;
      if ((await newestLock(this.#stateDir))?.number !== number) {
        // Since the check above, others have used this number and moved on to a higher one.
        await rm(path, { force: true });
        continue;
      }
      await removeOlder(this.#stateDir, number);
      return path;
    }
  }
}

/** Returns the pid of the live process that holds the lock, if there is one. */
export async function lockOwner(
  stateDir: string,
  identifier: ProcessIdentifier,
): Promise<number | undefined> {
  const newest = await newestLock(stateDir);
  return newest && (await readOwner(stateDir, newest.path, identifier));
}

function servedBy(stateDir: string, pid: number | undefined): ProcmanError {
  const by = pid === undefined ? "another process" : `process ${pid}`;
  return new ProcmanError("STORAGE_UNAVAILABLE", `${stateDir} is already served by ${by}`);
}

/** Locks a directory until its descriptor is closed, where the system can do that. */
async function flockDirectory(fd: number): Promise<"locked" | "held" | "unavailable"> {
  const { flock } = await loadLibc();
  switch (flock?.(fd)) {
    case 0:
      return "locked";
    case osConstants.errno.EWOULDBLOCK:
      return "held";
    default:
      // Network file systems may not lock directories.
      return "unavailable";
  }
}

/** The directory's own identity comes third: a copy of the file, with all of the directory, locks nothing. */
function formatLock(identity: string, directory: string): string {
  return `${process.pid}\n${identity}\n${directory}\n`;
}

async function readOwner(
  stateDir: string,
  path: string,
  identifier: ProcessIdentifier,
): Promise<number | undefined> {
  const [pid, identity, directory] = readLock(path).split("\n");
  if (pid === undefined || !identity || !identifier.isAlive(identity)) return undefined;
  // Earlier versions did not record the directory.
  if (directory && directory !== directoryId(stateDir)) return undefined;
  return Number(pid);
}

/** Returns a lock's content; "" where it has none that could name anybody. */
function readLock(path: string): string {
  try {
    return readSmallFile(path).text;
  } catch (error) {
    // The next holder has removed it since the directory was read, or it was forged.
    if (hasCode(error, "ENOENT", "EFTYPE", "EFBIG")) return "";
    throw error;
  }
}

async function newestLock(stateDir: string): Promise<{ number: number; path: string } | undefined> {
  const numbers = await lockNumbers(stateDir);
  if (numbers.length === 0) return undefined;
  const number = Math.max(...numbers);
  return { number, path: join(stateDir, `lock.${number}`) };
}

async function lockNumbers(stateDir: string): Promise<number[]> {
  const names = await readdir(stateDir).catch((error: unknown) => {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  });
  return names.flatMap((name) => {
    const match = LOCK_FILE.exec(name);
    return match ? [Number(match[1])] : [];
  });
}

async function linkNew(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

async function removeOlder(stateDir: string, number: number): Promise<void> {
  for (const older of await lockNumbers(stateDir)) {
    if (older < number) await rm(join(stateDir, `lock.${older}`), { force: true });
  }
}
