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
import { codeOf } from "../../platform/errno.js";
import { KeptSocket, listenOnSocket } from "./listen-on-socket.js";
import { type ListenAddress, listenOnTcp } from "./listen-on-tcp.js";
import { sniffProtocol } from "./sniff-protocol.js";
import { readTlsFiles, type TlsFiles, watchTlsFiles } from "./tls-files.js";
import { WindowCounter } from "../access/window-counter.js";

const CLOSE_POLL_INTERVAL_MS = 20;

/** All by which a client can call its own machine: "localhost" may mean either of them. */
const LOOPBACK_HOSTS = ["127.0.0.1", "::1"];

/** Takes the connections of one kind of listener, by the protocol that they speak. */
export interface ConnectionSink {
  readonly grpc: Pick<ConnectionInjector, "injectConnection">;
  readonly http: HttpServer;
}

export interface ListenersOptions {
  /** How long a connection may take to say what it speaks. */
  readonly handshakeTimeoutMs: number;
  /** On each TCP address. A connection more is closed as soon as it is there. */
  readonly maxConnections: number;
  readonly logger: Logger;
}

/** Listens on addresses and a unix socket, and keeps track of the connections there are. */
export class Listeners {
  readonly #handshakeTimeoutMs: number;
  readonly #maxConnections: number;
  readonly #logger: Logger;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket>();
  /** The connections that have not said which protocol they speak. */
  readonly #undecided = new Set<Socket>();
  /** Whether connections are closed at once, as it may turn out that there are to be none. */
  #isTrying = false;
  #socket: KeptSocket | undefined;
  #stopWatching: (() => void)[] = [];
  readonly #drops = new WindowCounter({ windowMs: 60_000 });

  constructor({ handshakeTimeoutMs, maxConnections, logger }: ListenersOptions) {
    this.#handshakeTimeoutMs = handshakeTimeoutMs;
    this.#maxConnections = maxConnections;
    this.#logger = logger;
  }

  /** How many there are, over TCP and the socket. */
  get connections(): number {
    return this.#connections.size;
  }

  async openTcp(
    address: ListenAddress,
    sink: ConnectionSink,
    tls?: TlsFiles,
  ): Promise<AddressInfo> {
    const server = tls ? this.#createTlsServer(sink, tls) : this.#createServer(sink);
    server.maxConnections = this.#maxConnections;
    server.on("drop", () => this.#warnOfDrop());
    return listenOnTcp(server, address);
  }

  /**
   * Listens on one port of every loopback address that the machine has, unless another
   * process has that port of any of them: then on none. Whoever has it is sent the tokens
   * of the clients that were to come here, and must find no port that takes them.
   *
   * @returns the addresses; undefined where the port is in use
   */
  async openLoopback(
    port: number,
    sink: ConnectionSink,
    tls?: TlsFiles,
  ): Promise<ListenAddress[] | undefined> {
    const opened: ListenAddress[] = [];
    this.#isTrying = true;
    try {
      for (const host of LOOPBACK_HOSTS) {
        try {
          await this.openTcp({ host, port }, sink, tls);
          opened.push({ host, port });
        } catch (error) {
          switch (codeOf((error as Error).cause)) {
            case "EADDRINUSE":
              for (const server of this.#servers) server.close();
              return undefined;
            // A machine without IPv6, say.
            case "EADDRNOTAVAIL":
            case "EAFNOSUPPORT":
              continue;
            default:
              throw error;
          }
        }
      }
      return opened;
    } finally {
      this.#isTrying = false;
    }
  }

  /**
   * @param placeOf tells where, each time that the socket is made
   * @param stateDir where another directory takes its place, the socket is not made again
   * @returns the path of the socket
   */
  async openSocket(placeOf: () => string, stateDir: string, sink: ConnectionSink): Promise<string> {
    const listen = () => listenOnSocket(this.#createServer(sink), placeOf());
    this.#socket = await KeptSocket.open(stateDir, listen, this.#logger);
    return this.#socket.path;
  }

  /** Takes no more connections, and closes those that have not said which protocol they speak. */
  async close(): Promise<void> {
    for (const stop of this.#stopWatching) stop();
    for (const server of this.#servers) server.close();
    for (const socket of this.#undecided) socket.destroy();
    await this.#socket?.close();
  }

  /** Calls `step` again and again, until there is no connection or the time is over. */
  async untilEmpty(timeoutMs: number, step: () => void): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      step();
      if (this.#connections.size === 0 || performance.now() >= deadlineMs) return;
      await sleep(CLOSE_POLL_INTERVAL_MS);
    }
  }

  destroyConnections(): void {
    for (const socket of this.#connections) socket.destroy();
  }

  #createServer(sink: ConnectionSink): Server {
    // A client that closes its half has left: none that speaks these protocols does
    // that and stays, and a connection that is half open would stay so for ever.
    const options = { allowHalfOpen: false, noDelay: true, keepAlive: true };
    const server = createServer(options, (socket) => this.#accept(socket, sink));
    this.#servers.push(server);
    return server;
  }

  /** Prefers HTTP/1.1, for browsers, which offer both protocols; gRPC clients offer h2 only. */
  #createTlsServer(sink: ConnectionSink, files: TlsFiles): TlsServer {
    const inUse = readTlsFiles(files);
    const server = createTlsServer({
      ...inUse,
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
      this.#accept(socket, sink);
    });
    server.on("tlsClientError", (error, socket) => {
      this.#logger.debug({ err: error, peer: socket.remoteAddress }, "a TLS handshake failed");
      socket.destroy();
    });
    const use = server.setSecureContext.bind(server);
    this.#stopWatching.push(watchTlsFiles(files, inUse, use, this.#logger));
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
    // Whoever reads or writes finds out that the connection broke.
    socket.on("error", () => {});
    for (const half of ["end", "finish"] as const) socket.once(half, () => this.#endSoon(socket));
  }

  /** Destroys a half closed connection in time, for clients that neither close it nor read. */
  #endSoon(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#handshakeTimeoutMs);
    socket.once("close", () => clearTimeout(timer));
  }

  #accept(socket: Socket, sink: ConnectionSink): void {
    this.#track(socket);
    if (this.#isTrying) return void socket.destroy();
    this.#undecided.add(socket);
    socket.once("close", () => this.#undecided.delete(socket));
    const handlers = {
      http1: () => {
        this.#undecided.delete(socket);
        sink.http.emit("connection", socket);
      },
      http2: () => {
        this.#undecided.delete(socket);
        sink.grpc.injectConnection(socket);
      },
    };
    sniffProtocol(socket, handlers, this.#handshakeTimeoutMs);
  }
}
