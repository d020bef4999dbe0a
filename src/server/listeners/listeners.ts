import type { Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import {
  createServer as createTlsServer,
  type Server as TlsServer,
  type TLSSocket,
} from "node:tls";
import type { ConnectionInjector } from "@grpc/grpc-js";
import type { Logger } from "pino";
import { listenOnSocket } from "./listen-on-socket.js";
import { type ListenAddress, listenOnTcp } from "./listen-on-tcp.js";
import { sniffProtocol } from "./sniff-protocol.js";
import { readTlsFiles, type TlsFiles, watchTlsFiles } from "./tls-files.js";
import { WindowCounter } from "../access/window-counter.js";

const CLOSE_POLL_MS = 20;

/** What takes a connection, by what it speaks. */
export interface Door {
  readonly grpc: ConnectionInjector;
  readonly http: HttpServer;
}

export interface ListenersOptions {
  /** How long a connection may take to say what it speaks. */
  readonly handshakeTimeoutMs: number;
  /** At once, on each TCP address; more are closed at once. */
  readonly maxConnections: number;
  readonly logger: Logger;
}

/** The addresses listened on, and the connections there are. */
export class Listeners {
  readonly #handshakeTimeoutMs: number;
  readonly #maxConnections: number;
  readonly #logger: Logger;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket>();
  /** Those that have not said what they speak. */
  readonly #undecided = new Set<Socket>();
  #removeSocketFile = async () => {};
  #stopWatching: (() => void)[] = [];
  readonly #drops = new WindowCounter({ windowMs: 60_000 });

  constructor({ handshakeTimeoutMs, maxConnections, logger }: ListenersOptions) {
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
    this.#maxConnections = maxConnections;
    this.#logger = logger;
  }

  async openTcp(address: ListenAddress, door: Door, tls?: TlsFiles): Promise<AddressInfo> {
    const server = tls ? this.#createTlsServer(door, tls) : this.#createServer(door);
    server.maxConnections = this.#maxConnections;
    server.on("drop", () => this.#warnOfDrop());
    return listenOnTcp(server, address);
  }

  async openSocket(path: string, door: Door): Promise<void> {
    this.#removeSocketFile = await listenOnSocket(this.#createServer(door), path);
  }

  /** Takes no more connections, and lets go of those on which nothing was asked. */
  async close(): Promise<void> {
    for (const stop of this.#stopWatching) stop();
    for (const server of this.#servers) server.close();
    for (const socket of this.#undecided) socket.destroy();
    await this.#removeSocketFile();
  }

  /** Waits for the connections to end, doing `step` again and again. */
  async untilEmpty(ceilingMs: number, step: () => void): Promise<void> {
    const deadlineMs = performance.now() + ceilingMs;
    for (;;) {
      step();
      if (this.#connections.size === 0 || performance.now() >= deadlineMs) return;
      await sleep(CLOSE_POLL_MS);
    }
  }

  destroyConnections(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  #createServer(door: Door): Server {
    // A peer that closes its half is gone: nobody who speaks these protocols
    // does that and stays, and a connection left half open would stay for ever.
    const options = { allowHalfOpen: false, noDelay: true, keepAlive: true };
    const server = createServer(options, (socket) => this.#welcome(socket, door));
    this.#servers.push(server);
    return server;
  }

  /** Browsers offer both protocols and get HTTP/1.1, gRPC clients offer h2 only. */
  #createTlsServer(door: Door, files: TlsFiles): TlsServer {
    const server = createTlsServer({
      ...readTlsFiles(files),
      ALPNProtocols: ["http/1.1", "h2"],
      requestCert: files.clientCaPath !== undefined,
      rejectUnauthorized: true,
      handshakeTimeout: this.#handshakeTimeoutMs,
      allowHalfOpen: false,
      noDelay: true,
      keepAlive: true,
    });
    this.#servers.push(server);
    server.on("connection", (socket: Socket) => this.#track(socket));
    server.on("secureConnection", (socket) => {
      if (files.clientCaPath !== undefined) this.#logClient(socket);
      this.#welcome(socket, door);
    });
    server.on("tlsClientError", (error, socket) => {
      this.#logger.debug({ err: error, peer: socket.remoteAddress }, "a TLS handshake failed");
      socket.destroy();
    });
    const use = server.setSecureContext.bind(server);
    this.#stopWatching.push(watchTlsFiles(files, use, this.#logger));
    return server;
  }

  #logClient(socket: TLSSocket): void {
    const { subject, subjectaltname, fingerprint256 } = socket.getPeerCertificate();
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    const client = subject?.CN ?? subjectaltname;
    this.#logger.info({ peer, client, fingerprint256 }, "a client has connected");
  }

  #warnOfDrop(): void {
    if (this.#drops.count("") > 1) return;
    this.#logger.warn(
      { maxConnections: this.#maxConnections },
      "too many connections over TCP; closing new ones",
    );
  }

  #track(socket: Socket): void {
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    // Whoever reads and writes finds out on their own that it broke.
    socket.on("error", () => {});
    for (const half of ["end", "finish"] as const) socket.once(half, () => this.#endSoon(socket));
  }

  /** One side is closed. A peer that does not close the other, or does not read, keeps it open else. */
  #endSoon(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#handshakeTimeoutMs);
    socket.once("close", () => clearTimeout(timer));
  }

  #welcome(socket: Socket, door: Door): void {
    this.#track(socket);
    this.#undecided.add(socket);
    socket.once("close", () => this.#undecided.delete(socket));
    const handlers = {
      http1: () => {
        this.#undecided.delete(socket);
        door.http.emit("connection", socket);
      },
      http2: () => {
        this.#undecided.delete(socket);
        door.grpc.injectConnection(socket);
      },
    };
    sniffProtocol(socket, handlers, this.#handshakeTimeoutMs);
  }
}
