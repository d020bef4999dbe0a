import { readdir, readFile, readlink } from "node:fs/promises";
import { hasCode } from "../../../platform/errno.js";
import type { Listener } from "./process-table.js";

/** The state LISTEN in /proc/net/tcp; see proc_pid_net(5) and the kernel's proc_net_tcp.rst. */
const LISTEN = "0A";

/**
 * Linux: finds listening sockets in /proc/net, and their inodes among the processes'
 * descriptors. /proc/net shows only this process's network namespace, and an inode
 * belongs to one namespace. So a port that the job listens on in another namespace,
 * where nobody here could reach it, does not count.
 */
export async function* listenersOnLinux(
  port: number,
  pids: () => readonly number[],
): AsyncGenerator<Listener> {
  const sockets = await listeningSockets(port);
  if (sockets.size === 0) return;
  for (const pid of pids()) {
    for await (const inode of socketsOf(pid)) {
      const found = sockets.get(inode);
      if (found !== undefined) yield { pid, port: found };
    }
  }
}

/** Returns the ports of the listening sockets, by inode. */
async function listeningSockets(port: number): Promise<Map<string, number>> {
  const sockets = new Map<string, number>();
  for (const table of ["tcp", "tcp6"]) {
    for (const row of (await readTable(table)).split("\n")) {
      // Fields: slot, local address:port, remote, state, queues, timer, retransmits, uid, timeout, inode.
      const [, local, , state, , , , , , inode] = row.trim().split(/ +/);
      if (state !== LISTEN || local === undefined || inode === undefined) continue;
      const localPort = Number.parseInt(local.slice(local.lastIndexOf(":") + 1), 16);
      if (port === 0 || port === localPort) sockets.set(inode, localPort);
    }
  }
  return sockets;
}

async function readTable(name: string): Promise<string> {
  try {
    return await readFile(`/proc/self/net/${name}`, "latin1");
  } catch (error) {
    // A kernel without IPv6 has no tcp6.
    if (hasCode(error, "ENOENT")) return "";
    throw error;
  }
}

/** Yields the inodes of the sockets that a process has open. */
async function* socketsOf(pid: number): AsyncGenerator<string> {
  const dir = `/proc/${pid}/fd`;
  for (const descriptor of await readdir(dir).catch(ifOutOfReach([]))) {
    const target = await readlink(`${dir}/${descriptor}`).catch(ifOutOfReach(""));
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
    if (inode !== undefined) yield inode;
  }
}

/** Handles what has ended, was closed, or belongs to a process of another user (setuid). */
function ifOutOfReach<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (hasCode(error, "ENOENT", "ESRCH", "EACCES", "EPERM")) return instead;
    throw error;
  };
}
