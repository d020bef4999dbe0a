import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { hasCode } from "../platform/errno.js";
import { Ticker } from "../platform/ticker.js";
import { CliError } from "./exit-codes.js";

/** How long a server may take to accept a connection and to answer on it. */
const ANSWER_TIMEOUT_MS = 10_000;
/** From when on it is looked whether the server's process is stopped. */
const LOOK_INTERVAL_MS = 1000;

const REQUEST = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/**
 * Waits for a sign of life on a server's socket: the kernel accepts connections for a
 * process that is stopped, too.
 * @returns false where nobody listens
 * @throws CliError where this user may not connect, and where nothing is answered: it says
 * why that may be
 */
export async function awaitAnswer(
  socketPath: string,
  serverPid: () => Promise<number | undefined>,
): Promise<boolean> {
  const socket = connect(socketPath);
  let looks = 0;
  try {
    return await new Promise<boolean>((resolve, reject) => {
      socket.once("data", () => resolve(true));
      // It is ending. So is this connection, without an answer.
      socket.once("close", () => resolve(false));
      socket.once("error", (error) => onConnectError(error, socketPath, resolve, reject));
      socket.write(REQUEST);
      const look = async () => {
        const pid = await serverPid();
        looks += 1;
        const reason = silenceReason(pid, looks * LOOK_INTERVAL_MS);
        if (reason !== undefined) reject(new CliError(reason));
      };
      socket.once(
        "close",
        new Ticker(LOOK_INTERVAL_MS).add(() => void look().catch(reject)),
      );
    });
  } finally {
    socket.destroy();
  }
}

/** Says why a server does not answer, once that has gone on for long enough. */
export function silenceReason(pid: number | undefined, silentMs: number): string | undefined {
  if (pid !== undefined && isStopped(pid)) {
    return `the server (pid ${pid}) is stopped and does not answer; "kill -CONT ${pid}" has it go on`;
  }
  if (silentMs < ANSWER_TIMEOUT_MS) return undefined;
  const seconds = ANSWER_TIMEOUT_MS / 1000;
  const who = pid === undefined ? "the server" : `the server (pid ${pid})`;
  return `${who} has not answered for ${seconds} s; it may be overloaded, or waiting for a disk`;
}

function onConnectError(
  error: Error,
  socketPath: string,
  resolve: (answered: boolean) => void,
  reject: (error: Error) => void,
): void {
  if (!hasCode(error, "EACCES", "EPERM")) return resolve(false);
  reject(new CliError(`cannot connect to ${socketPath}: permission denied`, { cause: error }));
}

/** Whether somebody has stopped a process: Ctrl-Z, SIGSTOP, a debugger. */
function isStopped(pid: number): boolean {
  try {
    const state =
      process.platform === "linux"
        ? /^\d+ \(.*\) (\S)/s.exec(readFileSync(`/proc/${pid}/stat`, "latin1"))?.[1]
        : execFileSync("/bin/ps", ["-o", "state=", "-p", String(pid)], { encoding: "utf8" });
    return /^t/i.test(state ?? "");
  } catch {
    // It is gone.
    return false;
  }
}
