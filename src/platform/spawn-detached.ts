import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { getSystemErrorName } from "node:util";
import { isMainThread } from "node:worker_threads";
import { IS_OVER } from "./abort-signals.js";
import { hasCode } from "./errno.js";
import { withoutInherited } from "./inherited-descriptors.js";
import { loadLibc, type PosixSpawn } from "./libc.js";

export interface DetachedProcess {
  readonly pid: number;
  /**
   * Aborted when the process has ended and its pid may be given to another: until
   * then the pid is its own.
   */
  readonly ended: AbortSignal;
  /** Whether that is told at once: in a worker thread it may be found only by a poll. */
  readonly isToldAtOnce: boolean;
}

export interface SpawnOptions {
  readonly cwd: string;
  /** All of its environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Starts a program as the leader of a session of its own, with /dev/null as its
 * standard streams and no other descriptor. It is not bound to this process and outlives it.
 *
 * Where there is posix_spawn with what is needed here (glibc 2.29), it is used: it
 * takes a fraction of a millisecond, whatever the size of this process, where
 * child_process forks.
 * @param words the program's absolute path, and its arguments
 * @throws Error with the code of the system call that failed: E2BIG, EAGAIN, ENOENT
 * (also for the directory), ...
 */
export async function spawnDetached(
  words: readonly [string, ...string[]],
  options: SpawnOptions,
): Promise<DetachedProcess> {
  const { posixSpawn } = await loadLibc();
  return posixSpawn ? spawnPosix(posixSpawn, words, options) : spawnForked(words, options);
}

/** A detached process that reads what it is to do from a pipe. */
export interface InstructedProcess extends DetachedProcess {
  /**
   * Writes to its standard input, and ends that. To be called once; a text of at most
   * MAX_INSTRUCTION_BYTES is taken whole, or not at all where this process is killed.
   */
  instruct(text: string): void;
  /** Ends its standard input, unless that was done. */
  dismiss(): void;
}

/** What any pipe takes without waiting for a reader: it has 64 KiB, and a part of a page may be lost. */
export const MAX_INSTRUCTION_BYTES = 60 * 1024;

/**
 * Starts a program as `spawnDetached` does, with a pipe as its standard input, which
 * ends where this process does.
 * @returns undefined where that needs what this platform does not have
 * @throws as `spawnDetached`
 */
export async function spawnInstructed(
  words: readonly [string, ...string[]],
  options: SpawnOptions,
): Promise<InstructedProcess | undefined> {
  const { posixSpawn } = await loadLibc();
  const pipe = posixSpawn?.pipe();
  if (!posixSpawn || !pipe) return undefined;
  const end = (): void => {
    if (isOpen) closeSync(pipe.writeFd);
    isOpen = false;
  };
  let isOpen = true;
  try {
    const process = await spawnPosix(posixSpawn, words, options, pipe.readFd);
    return {
      ...process,
      instruct(text) {
        try {
          writeSync(pipe.writeFd, text);
        } catch (error) {
          // It has ended, as its signal tells.
          if (!hasCode(error, "EPIPE")) throw error;
        } finally {
          end();
        }
      },
      dismiss: end,
    };
  } catch (error) {
    end();
    throw error;
  } finally {
    closeSync(pipe.readFd);
  }
}

async function spawnPosix(
  posixSpawn: PosixSpawn,
  words: readonly [string, ...string[]],
  { cwd, env }: SpawnOptions,
  stdin?: number,
): Promise<DetachedProcess> {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const ended = new AbortController();
  const { errno, pid } = await posixSpawn.spawn(words, cwd, variables, stdin);
  if (errno !== 0) throw systemError(errno, `posix_spawn ${words[0]}`);
  reaper(posixSpawn).add(pid, () => ended.abort(IS_OVER));
  return { pid, ended: ended.signal, isToldAtOnce: isMainThread };
}

async function spawnForked(
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env }: SpawnOptions,
): Promise<DetachedProcess> {
  const child = withoutInherited(["ignore", "ignore", "ignore"], (stdio) =>
    spawn(program, args, { cwd, env, detached: true, stdio }),
  );
  const ended = new AbortController();
  child.once("exit", () => ended.abort(IS_OVER));
  child.unref();
  if (child.pid === undefined) {
    const [error] = (await once(child, "error").catch((error: unknown) => [error])) as [unknown];
    throw error;
  }
  child.on("error", () => {});
  return { pid: child.pid, ended: ended.signal, isToldAtOnce: true };
}

/** How many children are asked for one by one at each signal; more, and signals are gathered. */
const MAX_SCANNED_AT_ONCE = 50;
const GATHERING_MS = 50;

/** How often children are asked for in a worker thread, where no signal is heard. */
const WORKER_POLL_INTERVAL_MS = 100;

/**
 * Waits for the children that posix_spawn has made, which libuv does not know. It
 * asks for each of them by its pid, so that no child of libuv's is taken from it.
 */
class Reaper {
  readonly #posixSpawn: PosixSpawn;
  readonly #onEnded = new Map<number, () => void>();
  #scan: NodeJS.Timeout | undefined;
  #poll: NodeJS.Timeout | undefined;

  constructor(posixSpawn: PosixSpawn) {
    this.#posixSpawn = posixSpawn;
    // libuv keeps its own handler of the signal beside this one.
    if (isMainThread) process.on("SIGCHLD", () => this.#reap());
  }

  add(pid: number, onEnded: () => void): void {
    this.#onEnded.set(pid, onEnded);
    if (!isMainThread) {
      this.#poll ??= setInterval(() => this.#reapAll(), WORKER_POLL_INTERVAL_MS).unref();
    }
    // It may have ended before the signal was listened for, or in the same moment.
    setImmediate(() => this.#reapOne(pid));
  }

  #reap(): void {
    for (;;) {
      // The kernel names one that has ended: to ask for thousands one by one takes long.
      const named = this.#posixSpawn.endedChild();
      if (named === undefined) return;
      if (!this.#onEnded.has(named)) break;
      this.#reapOne(named);
    }
    // It names one of libuv's, which libuv is about to wait for, or, where this is pid 1,
    // one that nobody waits for and that is named from now on: others may be behind it.
    if (this.#onEnded.size <= MAX_SCANNED_AT_ONCE) this.#reapAll();
    else this.#scan ??= setTimeout(() => this.#reapAll(), GATHERING_MS).unref();
  }

  #reapAll(): void {
    clearTimeout(this.#scan);
    this.#scan = undefined;
    for (const pid of this.#onEnded.keys()) this.#reapOne(pid);
  }

  #reapOne(pid: number): void {
    const onEnded = this.#onEnded.get(pid);
    if (!onEnded || !this.#posixSpawn.reap(pid)) return;
    this.#onEnded.delete(pid);
    if (this.#onEnded.size === 0) {
      clearInterval(this.#poll);
      this.#poll = undefined;
    }
    onEnded();
  }
}

let theReaper: Reaper | undefined;

function reaper(posixSpawn: PosixSpawn): Reaper {
  theReaper ??= new Reaper(posixSpawn);
  return theReaper;
}

function systemError(errno: number, attempt: string): Error {
  // libuv, whose names these are, has none for that of a file that is no program.
  const code = errno === constants.errno.ENOEXEC ? "ENOEXEC" : getSystemErrorName(-errno);
  return Object.assign(new Error(`${attempt}: ${code}`), { code, errno });
}
