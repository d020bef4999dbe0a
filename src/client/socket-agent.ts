import { execFile } from "node:child_process";
import { once } from "node:events";
import { Agent, type AgentOptions } from "node:http";
import { createRequire } from "node:module";
import { connect, Socket } from "node:net";
import { dirname, join } from "node:path";
import { hasCode } from "../platform/errno.js";
import { foreignOwner } from "../platform/own-dir.js";

export interface SocketAgentOptions extends AgentOptions {
  /** Where a server is to be started when none listens on the socket. */
  readonly startIn?: string | undefined;
}

/**
 * Connects to sockets of this user's own only: what is sent over one, arguments and
 * environments among it, is for no other user. It may start the server first.
 */
export class SocketAgent extends Agent {
  readonly #startIn: string | undefined;
  /** One start for all connections that wait for it. */
  #starting: Promise<void> | undefined;

  constructor({ startIn, ...options }: SocketAgentOptions) {
    super(options);
    this.#startIn = startIn;
  }

  override createConnection(
    ...[options, callback]: Parameters<Agent["createConnection"]>
  ): ReturnType<Agent["createConnection"]> {
    const { socketPath = "" } = options;
    const foreign = foreignOwner(socketPath);
    if (foreign !== undefined) {
      callback?.(Object.assign(new Error(foreign), { code: "EACCES" }), new Socket());
      return undefined;
    }
    if (this.#startIn === undefined) return super.createConnection(options, callback);
    void this.#connectOrStart(socketPath, this.#startIn, callback);
    return undefined;
  }

  async #connectOrStart(
    socketPath: string,
    stateDir: string,
    callback: Parameters<Agent["createConnection"]>[1],
  ): Promise<void> {
    let socket: Socket;
    try {
      socket =
        (await connectIfListening(socketPath)) ??
        (await this.#start(stateDir).then(() => connectTo(socketPath)));
    } catch (error) {
      callback?.(error as Error, new Socket());
      return;
    }
    callback?.(null, socket);
  }

  #start(stateDir: string): Promise<void> {
    this.#starting ??= startServer(stateDir).finally(() => (this.#starting = undefined));
    return this.#starting;
  }
}

async function connectIfListening(path: string): Promise<Socket | undefined> {
  try {
    return await connectTo(path);
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR", "ECONNREFUSED")) return undefined;
    throw error;
  }
}

async function connectTo(path: string): Promise<Socket> {
  const socket = connect(path);
  await once(socket, "connect");
  return socket;
}

/** Has the command line of this package start a server in the background, unless one runs by now. */
function startServer(stateDir: string): Promise<void> {
  const root = dirname(createRequire(import.meta.url).resolve("procman/package.json"));
  const words = [join(root, "dist/bin/procman.cjs"), "--state-dir", stateDir, "server", "start"];
  return new Promise((resolve, reject) => {
    execFile(process.execPath, words, (error, _stdout, stderr) => {
      if (!error) return resolve();
      const why = stderr.trim().replace(/^procman: /, "") || error.message;
      reject(Object.assign(new Error(why, { cause: error }), { code: "ERR_SERVER_START" }));
    });
  });
}
