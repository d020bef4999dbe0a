import { once } from "node:events";
import { existsSync } from "node:fs";
import { chmod, lstat, rename, rm } from "node:fs/promises";
import type { Server } from "node:net";
import type { Logger } from "pino";
import { hasCode } from "../../platform/errno.js";
import { directoryId } from "../../platform/own-dir.js";
import { SerialQueue } from "../../platform/serial-queue.js";
import {
  makeSocketDir,
  MAX_SOCKET_ADDRESS_BYTES,
  NEW_SOCKET_SUFFIX,
} from "../../platform/socket-path.js";
import { Ticker } from "../../platform/ticker.js";

/**
 * How often to look for the socket's file. It is made again when it is missed twice, lest
 * `rm -r` of the directory finds a new one in its way.
 */
const CHECK_INTERVAL_MS = 2000;

/** A server that listens on a unix socket, and the socket's file. */
export interface ListeningSocket {
  readonly path: string;
  /** Takes no more connections. */
  stopListening(): void;
  removeFile(): Promise<void>;
}

/** A unix socket that is made again when somebody deletes its file. */
export class KeptSocket {
  readonly #stateDir: string;
  /** A directory that has taken the place of the first one is another server's. */
  readonly #stateDirId: string | undefined;
  readonly #listen: () => Promise<ListeningSocket>;
  readonly #logger: Logger;
  readonly #checks = new SerialQueue();
  readonly #stopTicking: () => void;
  #socket: ListeningSocket;
  #wasMissed = false;
  #isFailing = false;
  #isClosed = false;

  private constructor(
    stateDir: string,
    listen: () => Promise<ListeningSocket>,
    socket: ListeningSocket,
    logger: Logger,
  ) {
    this.#stateDir = stateDir;
    this.#stateDirId = directoryId(stateDir);
    this.#listen = listen;
    this.#socket = socket;
    this.#logger = logger;
    const check = () => void this.#checks.run(() => this.#check());
    this.#stopTicking = new Ticker(CHECK_INTERVAL_MS).add(check, { keepsAlive: false });
  }

  /** @param listen makes the socket; called again where its file is gone */
  static async open(
    stateDir: string,
    listen: () => Promise<ListeningSocket>,
    logger: Logger,
  ): Promise<KeptSocket> {
    return new KeptSocket(stateDir, listen, await listen(), logger);
  }

  get path(): string {
    return this.#socket.path;
  }

  /** Removes the socket's file, unless it is another's. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stopTicking();
    await this.#checks.idle();
    await this.#socket.removeFile();
  }

  async #check(): Promise<void> {
    const isMissed = !existsSync(this.path) && directoryId(this.#stateDir) === this.#stateDirId;
    const wasMissed = this.#wasMissed;
    this.#wasMissed = isMissed;
    if (!isMissed || !wasMissed || this.#isClosed) return;
    try {
      const deleted = this.#socket;
      this.#socket = await this.#listen();
      deleted.stopListening();
      this.#isFailing = false;
      this.#logger.warn({ path: this.path }, "the socket was deleted; it is made again");
    } catch (error) {
      if (!this.#isFailing) this.#logger.error({ err: error }, "the socket cannot be made again");
      this.#isFailing = true;
    }
  }
}

/**
 * Listens on a unix socket that only this user can connect to. It replaces a socket that
 * a server before has left there; the caller makes sure that no other is serving it.
 * Closing the server does not remove the socket's file.
 */
export async function listenOnSocket(server: Server, path: string): Promise<ListeningSocket> {
  // The socket gets its name when it has its permissions.
  const temporary = path + NEW_SOCKET_SUFFIX;
  if (Buffer.byteLength(temporary) > MAX_SOCKET_ADDRESS_BYTES) {
    const longest = MAX_SOCKET_ADDRESS_BYTES - Buffer.byteLength(NEW_SOCKET_SUFFIX);
    throw new Error(`cannot listen on ${path}: a socket's path has at most ${longest} bytes`);
  }
  try {
    makeSocketDir(path);
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
  return {
    path,
    stopListening: () => void server.close(),
    async removeFile() {
      const current = await lstat(path).catch(() => undefined);
      if (current?.ino === ino) await rm(path, { force: true });
    },
  };
}

async function rejectOtherThanSocket(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    if (hasCode(error, "ENOENT")) return undefined;
    throw error;
  });
  if (stats && !stats.isSocket()) throw new Error("there is something else than a socket");
}
