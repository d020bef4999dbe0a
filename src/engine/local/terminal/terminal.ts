import { execFile } from "node:child_process";
import { closeSync, constants as fsConstants, openSync } from "node:fs";
import { constants } from "node:os";
import { promisify } from "node:util";
import type { WindowSize } from "../../../contract/job.js";
import { hasCode } from "../../../platform/errno.js";
import { type Libc, loadLibc } from "../../../platform/libc.js";
import { READ_ONLY } from "../../../platform/small-file.js";

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
 * @param libc default: this machine's
 * @returns whether it has a terminal
 */
export async function resizeTerminal(
  pid: number,
  size: WindowSize,
  libc?: Pick<Libc, "setWindowSize">,
): Promise<boolean> {
  const terminal = await terminalOf(pid);
  if (terminal === undefined) return false;
  const { setWindowSize } = libc ?? (await loadLibc());
  if (!setWindowSize) return runStty(terminal, size);
  // Not stty(1) where it can be helped: it sets the rows and then the columns, and a program
  // that is told of the first may draw for a size that nobody has asked for.
  return withTerminal(terminal, (fd) => {
    const errno = setWindowSize(fd, size.rows, size.columns);
    if (errno === 0) return true;
    if (errno === constants.errno.EIO || errno === constants.errno.ENOTTY) return false;
    throw new Error(`resize the terminal ${terminal}: errno ${errno}`);
  });
}

/** Opens a terminal for a moment. @returns false where it has ended */
function withTerminal(path: string, act: (fd: number) => boolean): boolean {
  let fd: number;
  try {
    // Without making it this process's own.
    fd = openSync(path, READ_ONLY | fsConstants.O_NOCTTY);
  } catch (error) {
    // The last two where the process that has it has ended, and was not waited for.
    if (hasCode(error, "ENOENT", "ENXIO", "EIO", "EACCES", "ESRCH")) return false;
    throw error;
  }
  try {
    return act(fd);
  } finally {
    closeSync(fd);
  }
}

async function runStty(terminal: string, { rows, columns }: WindowSize): Promise<boolean> {
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
