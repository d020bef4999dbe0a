import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { Violations } from "../contract/errors.js";
import type { Procman } from "../contract/procman.js";
import { tokenPathIn } from "../platform/default-state-dir.js";
import { defined } from "../platform/defined.js";
import { resourceLimits } from "../platform/resource-limits.js";
import { socketPathIn } from "../platform/socket-path.js";
import { AccessControl } from "./access/access-control.js";
import { allowedHostname, allowedOrigin } from "./access/host-and-origin.js";
import { loadAccessToken, watchAccessToken } from "./access/access-token.js";
import { DEFAULT_TIMEOUTS, MAX_CONNECTIONS, type Timeouts } from "./limits.js";
import { formatAddress, type ListenAddress } from "./listeners/listen-on-tcp.js";
import { Listeners } from "./listeners/listeners.js";
import { Metrics } from "./metrics/metrics.js";
import { PageDoor } from "./page/page-door.js";
import { PageFiles } from "./page/page-files.js";
import { PageSessions } from "./page/page-sessions.js";
import { createProtocols } from "./protocols.js";
import { loadTracing } from "./tracing.js";
import type { TlsFiles } from "./listeners/tls-files.js";

const MAX_PORT = 65_535;
/** How long calls may go on after `close` was called. */
const CLOSE_TIMEOUT_MS = 2000;

export interface ServerOptions {
  readonly procman: Procman;
  /** The directory of the token and, by default, the socket. The caller holds its lock. */
  readonly stateDir: string;
  /** The TCP addresses to listen on; may be empty. */
  readonly listen?: readonly ListenAddress[];
  /**
   * In place of `listen`: a port of 127.0.0.1 and ::1 to listen on, unless another process
   * has it on either of them. Then there is no TCP, and the log says so.
   */
  readonly loopbackPort?: number;
  /** Called where another process has that port, before there is a socket to find. */
  readonly onPortTaken?: (port: number) => void;
  /** Default: procman.sock in the state directory or, where that is too long, a short path. */
  readonly socketPath?: string;
  /** Names by which clients may call this server, besides those of `listen` and the machine's. */
  readonly allowedHosts?: readonly string[];
  /** Origins, besides the server's own, whose pages may call it: "https://example.com". */
  readonly allowedOrigins?: readonly string[];
  /** Certificates for every TCP address. Required for those that other machines can reach. */
  readonly tls?: TlsFiles;
  /** Where the built page is. Default: there is none. */
  readonly pageDir?: string;
  readonly logger: Logger;
  /** How long a stream may be silent before a heartbeat is sent. Default 15 000. */
  readonly heartbeatIntervalMs?: number;
  readonly timeouts?: Partial<Timeouts>;
}

export interface ServedAddress {
  readonly host: string;
  readonly port: number;
  /** "http://127.0.0.1:7420", or "https://…" with TLS. */
  readonly url: string;
}

export interface RunningServer {
  /** The TCP addresses that it listens on, in the order of `listen`. */
  readonly addresses: readonly ServedAddress[];
  /** The port that it was to listen on and another process has. */
  readonly takenPort?: number;
  readonly socketPath: string;
  readonly tokenPath: string;
  /**
   * Takes no more connections, ends streams and calls that wait with UNAVAILABLE, lets
   * other calls finish for 2 s, and breaks off those that are left. Does not close `procman`.
   */
  close(): Promise<void>;
}

/**
 * Serves `procman` over gRPC, Connect and gRPC-Web, all on each address and on
 * a unix socket.
 * @throws Error that names the address, socket or file that cannot be used; ProcmanError
 * INVALID_ARGUMENT with a violation for each option that cannot be meant
 */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const {
    procman,
    stateDir,
    listen = [],
    loopbackPort,
    logger,
    heartbeatIntervalMs,
    tls,
  } = options;
  checkOptions(options);
  const timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts };
  const placeOfSocket = () => options.socketPath ?? socketPathIn(stateDir);
  const tokenPath = tokenPathIn(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await chmod(stateDir, 0o700);
  if (!tls) requireLoopback(listen);
  const token = await loadAccessToken(tokenPath);
  const access = new AccessControl({
    token,
    requiresToken: tls?.clientCaPath === undefined,
    allowedHosts: [...listen.map(({ host }) => host), ...(options.allowedHosts ?? [])],
    allowedOrigins: options.allowedOrigins ?? [],
    logger,
  });
  const metrics = new Metrics(procman);
  const tracing = await loadTracing();
  const files = new PageFiles(options.pageDir);
  const sessions = new PageSessions({ path: join(stateDir, "page-sessions"), token, logger });
  const door = new PageDoor({ access, sessions, procman, stateDir, logger });
  const protocols = createProtocols({
    procman,
    metrics,
    access,
    page: { files, door },
    logger,
    ...defined({ heartbeatIntervalMs, tracing }),
    timeouts,
  });
  const listeners = new Listeners({
    handshakeTimeoutMs: timeouts.handshakeMs,
    maxConnections: maxConnections(loopbackPort === undefined ? listen.length : 2),
    logger,
  });
  metrics.connections = () => listeners.connections;
  const stopWatchingToken = watchAccessToken(
    tokenPath,
    token,
    (token) => {
      access.setToken(token);
      // Whoever had the old one may have made links and sessions.
      door.setToken(token).catch((error: unknown) => {
        logger.error({ err: error }, "cannot end the sessions of the page for good");
      });
    },
    logger,
  );

  const close = async () => {
    stopWatchingToken();
    metrics.close();
    protocols.startClosing();
    await listeners.close();
    await listeners.untilEmpty(CLOSE_TIMEOUT_MS, () => protocols.closeIdle());
    listeners.destroyConnections();
    protocols.destroy();
    await sessions.close();
    logger.info("the server is closed");
  };
  try {
    const opened: ListenAddress[] = [];
    for (const address of listen) {
      const { port } = await listeners.openTcp(address, protocols.network, tls);
      opened.push({ ...address, port });
    }
    let takenPort: number | undefined;
    if (loopbackPort !== undefined) {
      const loopback = await listeners.openLoopback(loopbackPort, protocols.network, tls);
      if (loopback) opened.push(...loopback);
      else takenPort = loopbackPort;
    }
    const addresses = opened.map(({ host, port }): ServedAddress => {
      const url = `${tls ? "https" : "http"}://${formatAddress({ host, port })}`;
      logger.info(`listening on ${url}`);
      return { host, port, url };
    });
    if (takenPort !== undefined) {
      logger.warn(`port ${takenPort} is in use by another process; listening on no TCP port`);
      options.onPortTaken?.(takenPort);
    }
    // The socket comes last: whoever finds it finds a server that is ready.
    const socketPath = await listeners.openSocket(placeOfSocket, stateDir, protocols.local);
    logger.info(`listening on ${socketPath}`);
    let closed: Promise<void> | undefined;
    return {
      addresses,
      socketPath,
      tokenPath,
      close: () => (closed ??= close()),
      ...defined({ takenPort }),
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** @throws ProcmanError INVALID_ARGUMENT */
function checkOptions(options: ServerOptions): void {
  const { listen = [], allowedHosts = [], allowedOrigins = [], heartbeatIntervalMs } = options;
  const violations = new Violations();
  const check = (field: string, parse: () => unknown) => {
    try {
      parse();
    } catch (error) {
      violations.add(field, (error as Error).message);
    }
  };
  for (const [index, { port }] of listen.entries()) {
    if (Number.isInteger(port) && port >= 0 && port <= MAX_PORT) continue;
    violations.add(`listen[${index}].port`, `must be a whole number from 0 to ${MAX_PORT}`);
  }
  for (const [index, host] of allowedHosts.entries()) {
    check(`allowedHosts[${index}]`, () => allowedHostname(host));
  }
  for (const [index, origin] of allowedOrigins.entries()) {
    check(`allowedOrigins[${index}]`, () => allowedOrigin(origin));
  }
  if (heartbeatIntervalMs !== undefined && !(heartbeatIntervalMs > 0)) {
    violations.add("heartbeatIntervalMs", "must be positive");
  }
  violations.throwIfAny();
}

/** Returns each address's limit. Half of the descriptors are left for jobs and the unix socket. */
function maxConnections(addresses: number): number {
  // Node's own report of it takes 8 ms.
  const descriptors = resourceLimits().nofile?.soft ?? Number.POSITIVE_INFINITY;
  return Math.floor(Math.min(MAX_CONNECTIONS, descriptors / 2) / Math.max(addresses, 1));
}

/** @throws Error for an address that other machines can reach: without TLS the token could be read. */
function requireLoopback(listen: readonly ListenAddress[]): void {
  for (const { host, port } of listen) {
    if (isLoopback(host)) continue;
    throw new Error(
      `refusing to listen on ${formatAddress({ host, port })} without TLS: others could read the token and run commands; give a certificate and its key`,
    );
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}
