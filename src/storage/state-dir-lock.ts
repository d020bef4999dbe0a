import { link, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ProcmanError } from "../contract/errors.js";
import { hasCode } from "../platform/errno.js";
import { writeFileAtomic, writeFileDurable } from "../platform/durable-file.js";

/** Identifies processes across pid reuse and reboots. The engine implements it. */
export interface ProcessIdentifier {
  /** Returns a text that no other process, now or later, has as its name. */
  self(): string;
  /** Whether the process with that name is alive. */
  isAlive(identity: string): boolean;
}

export interface StateDirLock {
  release(): Promise<void>;
}

const LOCK_FILE = /^lock\.(\d+)$/;
const RELEASED = "released";

/**
 * Locks the state directory for this process.
 *
 * Node has no flock, and replacing a stale lock file is a race, so a lock file is
 * never replaced. The lock is the file `lock.<n>` with the highest n, and its holder
 * is the process that it names. Whoever finds that process dead creates n+1 with
 * link(2), which succeeds for one process only. The highest one is never deleted, so
 * the process that has created it holds the lock.
 * @throws ProcmanError STORAGE_UNAVAILABLE with the holder's pid in the message
 */
export async function lockStateDir(
  stateDir: string,
  identifier: ProcessIdentifier,
): Promise<StateDirLock> {
  const draft = join(stateDir, `.lock-${process.pid}-${process.hrtime.bigint()}`);
  await writeFileDurable(draft, formatLock(identifier.self()));
  try {
    for (;;) {
      const newest = await newestLock(stateDir);
      const owner = newest && (await readOwner(newest.path, identifier));
      if (owner !== undefined) {
        throw new ProcmanError(
          "STORAGE_UNAVAILABLE",
          `${stateDir} is already served by process ${owner}`,
        );
      }
      const number = (newest?.number ?? 0) + 1;
      const path = join(stateDir, `lock.${number}`);
      if (!(await linkNew(draft, path))) continue;
      if ((await newestLock(stateDir))?.number !== number) {
        // Since the check above, others have used this number and moved on to a higher one.
        await rm(path, { force: true });
        continue;
      }
      await removeOlder(stateDir, number);
      return { release: () => release(path, formatLock(identifier.self())) };
    }
  } finally {
    await rm(draft, { force: true });
  }
}

/** Returns the pid of the live process that holds the lock, if there is one. */
export async function lockOwner(
  stateDir: string,
  identifier: ProcessIdentifier,
): Promise<number | undefined> {
  const newest = await newestLock(stateDir);
  return newest && (await readOwner(newest.path, identifier));
}

/** Marks the lock as released, unless the directory was replaced and the lock is another's. */
async function release(path: string, own: string): Promise<void> {
  const current = await readFile(path, "utf8").catch(() => undefined);
  if (current === own) await writeFileAtomic(path, `${RELEASED}\n`);
}

function formatLock(identity: string): string {
  return `${process.pid}\n${identity}\n`;
}

async function readOwner(path: string, identifier: ProcessIdentifier): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    // The next holder has removed it since the directory was read.
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  });
  const [pid, identity] = text.split("\n");
  if (pid === undefined || !identity || !identifier.isAlive(identity)) return undefined;
  return Number(pid);
}

async function newestLock(stateDir: string): Promise<{ number: number; path: string } | undefined> {
  const numbers = await lockNumbers(stateDir);
  if (numbers.length === 0) return undefined;
  const number = Math.max(...numbers);
  return { number, path: join(stateDir, `lock.${number}`) };
}

async function lockNumbers(stateDir: string): Promise<number[]> {
  const names = await readdir(stateDir).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return [];
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
