import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { WindowSize } from "../../../contract/job.js";

const run = promisify(execFile);

/** Where stty and ps are. */
const PATH = "/bin:/usr/bin";

/**
 * Where the job's runner has its terminal open; the command takes its standard
 * streams from there.
 */
export const TERMINAL_FD = 8;

/**
 * Changes the size of the terminal that a process, known to be alive, has: the
 * kernel sends SIGWINCH to its foreground processes.
 * @returns whether it has one.
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
    // It has ended, with that process or before: stty's own exit code.
    if (typeof (error as { code?: unknown }).code === "number") return false;
    throw error;
  }
}

async function terminalOf(pid: number): Promise<string | undefined> {
  // Not by its name, which is given to another terminal once it is free.
  if (process.platform === "linux") return `/proc/${pid}/fd/${TERMINAL_FD}`;
  const { stdout } = await run("ps", ["-o", "tty=", "-p", String(pid)], { env: { PATH } });
  const name = stdout.trim();
  return name.startsWith("tty") ? `/dev/${name}` : undefined;
}
