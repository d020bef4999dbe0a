import { link, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ProcmanError } from "../contract/errors.js";
import { hasCode } from "../platform/errno.js";
import { writeFileAtomic, writeFileDurable } from "./atomic-file.js";

/**
 * Proof that a process is the one that wrote it: its identity survives pid
 * reuse and reboots. Given by the platform, so that storage needs to know
 * nothing of processes.
 */
export interface ProcessIdentifier {
  /** Text that names this process for ever. */
  self(): string;
  /** Whether the process that such a text names is alive. */
  isAlive(identity: string): boolean;
}

export interface StateDirLock {
  release(): Promise<void>;
}

const LOCK_FILE = /^lock\.(\d+)$/;
const RELEASED = "released";

/**
 * Takes the state directory for this process.
 *
 * Node has no flock, and replacing a stale lock file is a race, so none is ever
 * replaced: the lock is the file `lock.<n>` with the highest n, its holder is
 * the process that it names, and whoever finds that process dead makes n+1 with
 * link(2), which succeeds for one only. The highest one is never deleted, so
 * whoever has made the highest one has the directory.
 *
 * @throws ProcmanError STORAGE_UNAVAILABLE naming the holder's pid.
 */
export async function lockStateDir(
  stateDir: string,
  identifier: ProcessIdentifier,
): Promise<StateDirLock> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
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
        // Others have taken it, and moved on, since our look at it: that number had been used.
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

/** The pid of the live process that serves the state directory, if there is one. */
export async function lockOwner(
  stateDir: string,
  identifier: ProcessIdentifier,
): Promise<number | undefined> {
  const newest = await newestLock(stateDir);
  return newest && (await readOwner(newest.path, identifier));
}

/** Unless it is another's by now: the directory was deleted, and made anew. */
async function release(path: string, own: string): Promise<void> {
  const current = await readFile(path, "utf8").catch(() => undefined);
  if (current === own) await writeFileAtomic(path, `${RELEASED}\n`);
}

function formatLock(identity: string): string {
  return `${process.pid}\n${identity}\n`;
}

async function readOwner(path: string, identifier: ProcessIdentifier): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    // The next holder has removed it between our look at the directory and now.
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
