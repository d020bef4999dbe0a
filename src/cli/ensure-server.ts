import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { hasCode } from "../platform/errno.js";
import { CliError, EXIT } from "./exit-codes.js";
import { printable } from "./format/printable.js";

const START_TIMEOUT_MS = 10_000;
const POLL_INTERVAL_MS = 20;
const LOG_TAIL_LINES = 5;
const MAIN = fileURLToPath(new URL("./main.js", import.meta.url));

export function socketPathOf(stateDir: string): string {
  return join(stateDir, "procman.sock");
}

/**
 * Makes sure that a server answers on the state directory's socket: starts one
 * in the background where none does, and leaves it running. Whoever does the
 * same at the same moment ends up with the same server.
 * @throws CliError with the end of the server's log when it does not come up
 */
export async function ensureServer(stateDir: string): Promise<void> {
  const socketPath = socketPathOf(stateDir);
  if (await answers(socketPath)) return;
  const { managerPid } = await import("../manager.js");
  const deadline = performance.now() + START_TIMEOUT_MS;
  let started: BackgroundServer | undefined;
  for (;;) {
    if (await answers(socketPath)) return;
    const pid = await managerPid(stateDir);
    if (performance.now() > deadline) {
      throw await failure(
        stateDir,
        started,
        `no answer on ${socketPath} in ${START_TIMEOUT_MS} ms`,
      );
    }
    // One that comes up, ours or another's, or one that is about to end.
    const wait = pid !== undefined || started?.hasEnded() === false;
    if (!wait) {
      const exitCode = started?.child.exitCode;
      if (started && exitCode !== EXIT.alreadyServed) {
        throw await failure(stateDir, started, "it ended at once");
      }
      started = startInBackground(stateDir);
    }
    await sleep(POLL_INTERVAL_MS);
  }
}

/** @throws CliError for a socket that is there, but not for us */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (cause) => {
      if (!hasCode(cause, "EACCES", "EPERM")) return resolve(false);
      reject(new CliError(`cannot connect to ${socketPath}: permission denied`, { cause }));
    });
  });
}

interface BackgroundServer {
  readonly child: ChildProcess;
  /** The log's size before. */
  readonly logOffset: number;
  /** Why it could not even be started. */
  error?: Error;
  hasEnded(): boolean;
}

/** In a session of its own, so that neither Ctrl-C nor the end of the terminal reaches it. */
function startInBackground(stateDir: string): BackgroundServer {
  const logPath = logPathOf(stateDir);
  let log: number;
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    log = openSync(logPath, "a", 0o600);
  } catch (cause) {
    throw new CliError(`cannot start a server: ${(cause as Error).message}`, { cause });
  }
  try {
    const logOffset = statSync(logPath).size;
    const child = spawn(process.execPath, [MAIN, "serve", "--state-dir", stateDir], {
      detached: true,
      stdio: ["ignore", log, log],
      // Not the caller's, which would then be in use for as long as the server lives.
      cwd: existsSync(homedir()) ? homedir() : "/",
    });
    const server: BackgroundServer = {
      child,
      logOffset,
      hasEnded: () =>
        server.error !== undefined || child.exitCode !== null || child.signalCode !== null,
    };
    child.once("error", (error) => {
      server.error = error;
    });
    child.unref();
    return server;
  } finally {
    closeSync(log);
  }
}

async function failure(
  stateDir: string,
  server: BackgroundServer | undefined,
  why: string,
): Promise<CliError> {
  const cause = server?.error;
  const tail = server && !cause ? await logTail(stateDir, server.logOffset) : "";
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
  return printable(lines.slice(-LOG_TAIL_LINES).join("\n"));
}

function logPathOf(stateDir: string): string {
  return join(stateDir, "server.log");
}
