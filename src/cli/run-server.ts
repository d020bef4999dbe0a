import { fileURLToPath } from "node:url";
import { type DestinationStream, type Logger, pino } from "pino";
import { Manager, type ManagerOptions } from "../manager.js";
import { managerPid } from "../manager-pid.js";
import { defined } from "../platform/defined.js";
import { socketPathIn } from "../platform/socket-path.js";
import type { ListenAddress } from "../server/listeners/listen-on-tcp.js";
import { type RunningServer, type ServerOptions, startServer } from "../server/start-server.js";
import { removeServerInfo, version, writeServerInfo } from "./server-file.js";
import { portTakenNotice } from "./start-notice.js";
import type { Cli } from "./cli.js";
import { CliError, EXIT } from "./exit-codes.js";
import { failureText } from "./failure-text.js";

const DEFAULT_PORT = 7420;

/** Where the build puts the page: see scripts/build-page.js. */
const PAGE_DIR = fileURLToPath(new URL("../../web", import.meta.url));

export interface RunServerOptions
  extends Omit<ManagerOptions, "log" | "onLost" | "stateDir">,
    Pick<ServerOptions, "stateDir" | "tls" | "allowedHosts" | "allowedOrigins"> {
  /** Default: port 7420 of 127.0.0.1 and ::1, or no TCP where another process has it. */
  readonly listen?: readonly ListenAddress[];
  readonly logLevel: string;
}

/** Serves until the process is told to end; jobs go on without it. */
export async function runServer(options: RunServerOptions, cli: Cli): Promise<void> {
  const { listen, logLevel, tls, allowedHosts, allowedOrigins, ...rest } = options;
  const { stateDir } = options;
  const logger = createLogger(logLevel);
  logFaults(logger);
  const endRequested = nextEndRequest();
  let lose = (_error: Error) => {};
  const lost = new Promise<never>((_resolve, reject) => (lose = reject));
  lost.catch(() => {});

  const manager = await openManager({ ...rest, log: logger, onLost: (error) => lose(error) });
  try {
    // Of a server that was killed, and had the same pid in another container.
    removeServerInfo(stateDir, process.pid);
    const server = await startServer({
      procman: manager,
      stateDir,
      pageDir: PAGE_DIR,
      logger,
      ...(listen ? { listen } : { loopbackPort: DEFAULT_PORT }),
      onPortTaken: (port) => print([portTakenNotice(port, socketPathIn(stateDir))], cli),
      ...defined({ tls, allowedHosts, allowedOrigins }),
    });
    try {
      publishInfo(options, server, logger);
      printAddresses(server, cli);
      await Promise.race([endRequested, lost]);
    } finally {
      removeServerInfo(stateDir, process.pid);
      await server.close();
    }
  } finally {
    await manager.close();
  }
}

/** Returns a logger that writes at once, so that nothing is lost with the process. */
export function createLogger(level: string, destination: DestinationStream = stderr()): Logger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      // Node puts a command's arguments on the errors of starting it. They may hold secrets.
      redact: { paths: ["err.spawnargs"], remove: true },
    },
    destination,
  );
}

function stderr(): DestinationStream {
  const destination = pino.destination({ dest: 2, sync: true });
  // A log that cannot be written is no reason to leave jobs alone.
  destination.on("error", () => {});
  return destination;
}

/** Logs what nobody caught. Only where the state is unknown afterwards does the server end. */
function logFaults(logger: Logger): void {
  process.on("unhandledRejection", (reason) => {
    logger.error({ err: reason }, "a promise was rejected and nobody looked");
  });
  process.on("uncaughtException", (error) => {
    logger.fatal({ err: error }, "an error that nobody caught; the server ends, jobs go on");
    process.exit(EXIT.fault);
  });
}

/** Resolves at the first signal to end; the second one ends the process at once. */
function nextEndRequest(): Promise<void> {
  return new Promise((resolve) => {
    let isRequested = false;
    const onSignal = () => {
      if (isRequested) process.exit(EXIT.error);
      isRequested = true;
      resolve();
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  });
}

async function openManager(
  options: ManagerOptions & Pick<ServerOptions, "stateDir">,
): Promise<Manager> {
  // Each Start copies it, and Node's own asks the C library for each variable.
  process.env = { ...process.env };
  try {
    return await Manager.open(options);
  } catch (cause) {
    const owner = await managerPid(options.stateDir).catch(() => undefined);
    const exitCode = owner === undefined ? EXIT.error : EXIT.alreadyServed;
    throw new CliError(failureText(cause), { cause, exitCode });
  }
}

/** Has `procman status` tell where this server listens. */
function publishInfo(
  { stateDir, retainAgeMs, retainBytes }: RunServerOptions,
  server: RunningServer,
  logger: Logger,
): void {
  const { addresses, takenPort, socketPath } = server;
  const info = {
    pid: process.pid,
    version: version(),
    startTime: new Date(Date.now() - process.uptime() * 1000).toISOString(),
    socketPath,
    addresses: addresses.map(({ url }) => url),
    ...defined({ takenPort, retainAgeMs, retainBytes }),
  };
  try {
    writeServerInfo(stateDir, info);
  } catch (error) {
    logger.warn({ err: error }, "cannot write server.json; procman status will know little");
  }
}

function printAddresses(
  { addresses, takenPort, socketPath, tokenPath }: RunningServer,
  cli: Cli,
): void {
  const lines = addresses.map(
    ({ url }) => `procman listens on ${url} and ${socketPath} (token: ${tokenPath})`,
  );
  const isToldAlready = takenPort !== undefined;
  if (lines.length === 0 && !isToldAlready) lines.push(`procman listens on ${socketPath}`);
  print(lines, cli);
}

/** Writes without waiting, since whoever started the server may have stopped reading. */
function print(lines: readonly string[], { stdout }: Cli): void {
  stdout.lines(lines).catch(() => {});
}
