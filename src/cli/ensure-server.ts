import { closeSync, existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { foreignOwner, homeDir, makePrivateDirs } from "../platform/own-dir.js";
import { appendToOwnFile } from "../platform/own-file.js";
import { socketPathIn } from "../platform/socket-path.js";
import { awaitAnswer, silenceReason } from "./await-answer.js";
import type { ConnectOptions } from "./cli.js";
import { CliError, EXIT } from "./exit-codes.js";
import { printable } from "./format/printable.js";
import { type NeutralProcess, spawnNeutral } from "./spawn-neutral.js";
import { isMissing, SocketWatch } from "./socket-watch.js";
import { findStartNotice, nicenessNotice } from "./start-notice.js";

const START_TIMEOUT_MS = 10_000;
const LOG_TAIL_LINES = 5;

/** @throws CliError for a state directory that belongs to another user */
export function requireOwnStateDir(stateDir: string): void {
  const foreign = foreignOwner(stateDir);
  if (foreign !== undefined) throw new CliError(foreign);
}

/** There is no state directory, and this command is none that starts something in it. */
export class NoStateDirError extends CliError {
  constructor(stateDir: string) {
    super(`nothing has been started yet: there is no state directory ${stateDir}`);
  }
}

/**
 * Starts a server of the state directory in the background, unless one answers on its
 * socket already. Of many that do so at once all end up with the same server.
 * @param meanwhile called while it waits for a server, when other work costs no time
 * @returns what the server that was started has to say to whoever started it
 * @throws NoStateDirError; CliError with the end of the server's log when it does not
 * come up, and for a server that does not answer
 */
export async function ensureServer(
  stateDir: string,
  { makesStateDir = false, startsServer = true }: ConnectOptions = {},
  meanwhile = () => {},
): Promise<string | undefined> {
  requireOwnStateDir(stateDir);
  const socketPath = socketPathIn(stateDir);
  const serverPid = async () => {
    if (isMissing(stateDir)) return undefined;
    const { managerPid } = await import("../manager-pid.js");
    return managerPid(stateDir);
  };
  const hadSocket = !isMissing(socketPath);
  let started: BackgroundServer | undefined;
  const isReady = () => {
    // Whoever finds a new socket finds a server that is ready, unless it has ended since.
    if (!hadSocket && !started?.hasEnded()) return !isMissing(socketPath);
    meanwhile();
    return awaitAnswer(socketPath, serverPid);
  };
  if (await isReady()) return undefined;
  if (!makesStateDir && !existsSync(stateDir)) throw new NoStateDirError(stateDir);
  const sinceMs = performance.now();
  let watch: SocketWatch | undefined;
  try {
    for (;;) {
      const pid = await serverPid();
      const waitedMs = performance.now() - sinceMs;
      const silence = pid === undefined ? undefined : silenceReason(pid, waitedMs);
      if (silence !== undefined) throw new CliError(silence);
      if (waitedMs > START_TIMEOUT_MS) {
        const why = `no answer on ${socketPath} in ${START_TIMEOUT_MS} ms`;
        throw await startError(stateDir, started, why);
      }
      // A server that comes up, this command's or another's, or one that is about to end.
      const isRunning = pid !== undefined || started?.hasEnded() === false;
      if (!isRunning) {
        if (!startsServer) throw noServer(stateDir);
        const exitCode = started?.child.exitCode;
        if (started && exitCode !== EXIT.alreadyServed) {
          throw await startError(stateDir, started, "it ended at once");
        }
        started = startInBackground(stateDir);
      }
      watch ??= new SocketWatch(socketPath);
      meanwhile();
      await watch.change(started?.hasEnded() === false ? started.ended : undefined);
      if (await isReady()) return started && (await noticesOf(started, stateDir));
    }
  } finally {
    watch?.close();
  }
}

async function noticesOf(started: BackgroundServer, stateDir: string): Promise<string | undefined> {
  const notices = [
    findStartNotice(await logTail(stateDir, started.logOffset)),
    // Unless it is another command's that answers.
    started.niceness === 0 || started.hasEnded() ? undefined : nicenessNotice(started.niceness),
  ].filter((notice) => notice !== undefined);
  return notices.length === 0 ? undefined : notices.join("; ");
}

function noServer(stateDir: string): CliError {
  return new CliError(`no server runs for ${stateDir}`, { exitCode: EXIT.noServer });
}

interface BackgroundServer extends NeutralProcess {
  /** The log's size before it was started. */
  readonly logOffset: number;
  /** Why it could not even be started. */
  error?: Error;
  hasEnded(): boolean;
  /** Resolves when it has ended, or could not be started. */
  readonly ended: Promise<unknown>;
}

function startInBackground(stateDir: string): BackgroundServer {
  const logPath = logPathOf(stateDir);
  let log: number;
  try {
    makePrivateDirs(stateDir);
    log = appendToOwnFile(logPath);
  } catch (cause) {
    throw new CliError(`cannot start a server: ${(cause as Error).message}`, { cause });
  }
  try {
    const logOffset = statSync(logPath).size;
    // This command line's own program.
    const [, main = ""] = process.argv;
    const words = [process.execPath, main, "serve", "--state-dir", stateDir] as const;
    // Not the caller's directory, which could then not be unmounted while the server lives.
    const cwd = workDirOf(homeDir());
    const { child, niceness } = spawnNeutral(words, { cwd, output: log });
    const server: BackgroundServer = {
      child,
      niceness,
      logOffset,
      hasEnded: () =>
        server.error !== undefined || child.exitCode !== null || child.signalCode !== null,
      ended: new Promise<void>((resolve) => {
        child.once("exit", () => resolve());
        child.once("error", (error) => {
          server.error = error;
          resolve();
        });
      }),
    };
    child.unref();
    return server;
  } finally {
    closeSync(log);
  }
}

function workDirOf(home: string | undefined): string {
  return home !== undefined && existsSync(home) ? home : "/";
}

async function startError(
  stateDir: string,
  server: BackgroundServer | undefined,
  why: string,
): Promise<CliError> {
  const cause = server?.error;
  const tail = server && !cause ? printable(await logTail(stateDir, server.logOffset)) : "";
  const details = tail === "" ? "" : `; ${logPathOf(stateDir)} ends with: ${tail}`;
  const { pid } = server?.child ?? {};
  if (pid !== undefined && server?.hasEnded() === false) {
    return new CliError(`the server (pid ${pid}) gives ${why}${details}`);
  }
  return new CliError(`cannot start a server for ${stateDir}: ${cause?.message ?? why}${details}`, {
    cause,
  });
}

async function logTail(stateDir: string, offset: number): Promise<string> {
  const log = await readFile(logPathOf(stateDir)).catch(() => Buffer.alloc(0));
  const lines = log.subarray(offset).toString().trim().split("\n");
  return lines.slice(-LOG_TAIL_LINES).join("\n");
}

function logPathOf(stateDir: string): string {
  return join(stateDir, "server.log");
}
