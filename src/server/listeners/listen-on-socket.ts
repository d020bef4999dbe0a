import { once } from "node:events";
import { chmod, lstat, rename, rm } from "node:fs/promises";
import type { Server } from "node:net";
import { hasCode } from "../../platform/errno.js";

/** The length that sockaddr_un holds on every system: 104 bytes on macOS, 108 on Linux, with a NUL. */
const MAX_PATH_BYTES = 103;

/**
 * Listens on a unix socket that only this user can connect to. It replaces a socket that
 * a server before has left there; the caller makes sure that no other is serving it.
 *
 * @returns how to remove the socket's file. Closing the server does not.
 */
export async function listenOnSocket(server: Server, path: string): Promise<() => Promise<void>> {
  // The socket gets its name when it has its permissions.
  const temporary = `${path}.new`;
  if (Buffer.byteLength(temporary) > MAX_PATH_BYTES) {
    const longest = MAX_PATH_BYTES - Buffer.byteLength(".new");
    throw new Error(`cannot listen on ${path}: a socket's path has at most ${longest} bytes`);
  }
  try {
    await rejectOtherThanSocket(path);
    await rm(temporary, { force: true });
    server.listen(temporary);
    await once(server, "listening");
    await chmod(temporary, 0o600);
    await rename(temporary, path);
  } catch (cause) {
    server.close();
    throw new Error(`cannot listen on ${path}: ${(cause as Error).message}`, { cause });
  }
  const { ino } = await lstat(path);
  return async () => {
    const current = await lstat(path).catch(() => undefined);
    if (current?.ino === ino) await rm(path, { force: true });
  };
}

async function rejectOtherThanSocket(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  });
  if (stats && !stats.isSocket()) throw new Error("there is something else than a socket");
}
