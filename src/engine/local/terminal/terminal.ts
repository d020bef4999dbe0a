import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { WindowSize } from "../../../contract/job.js";

const run = promisify(execFile);

/** The directories that have stty and ps. */
const PATH = "/bin:/usr/bin";

/**
 * The descriptor at which the runner has the terminal open. The command gets its
 * standard streams from it.
 */
export const TERMINAL_FD = 8;

/**
 * Changes the size of a process's terminal. The kernel then sends SIGWINCH to its
 * foreground processes.
 * @param pid a process that is known to be alive
 * @returns whether it has a terminal
 */
export async function resizeTerminal(pid: number, { rows, columns }: WindowSize): Promise<boolean> {
  const terminal = await terminalOf(pid);
  if (terminal === undefined) return false;
  const file = process.platform === "linux" ? "-F" : "-f";
  const size = ["rows", String(rows), "columns", String(columns)];
  try {
    await run("stty", [file, terminal, ...size], { env: { PATH } });
    return true;
  } catch (error) {
    // An exit code of stty's: the terminal has ended, with that process or before it.
    if (typeof (error as { code?: unknown }).code === "number") return false;
    throw error;
  }
}

async function terminalOf(pid: number): Promise<string | undefined> {
  // Not by its name: the kernel reuses that for another terminal.
  if (process.platform === "linux") return `/proc/${pid}/fd/${TERMINAL_FD}`;
  const { stdout } = await run("ps", ["-o", "tty=", "-p", String(pid)], { env: { PATH } });
  const name = stdout.trim();
  return name.startsWith("tty") ? `/dev/${name}` : undefined;
}
