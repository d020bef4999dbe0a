import type { Logger } from "pino";
import { Manager, type ManagerOptions, managerPid } from "../manager.js";
import { type RunningServer, startServer } from "../server/start-server.js";
import type { TlsFiles } from "../server/listeners/tls-files.js";
import type { Cli } from "./cli.js";
import { CliError } from "./cli-error.js";
import { createLogger } from "./create-logger.js";
import { EXIT } from "./exit-codes.js";
import type { ListenOption } from "./listen-option.js";

const DEFAULT_LISTEN = [{ host: "127.0.0.1", port: 7420, fallbackToFreePort: true }];

export interface ServeOptions extends Omit<ManagerOptions, "log"> {
  /** Default: 127.0.0.1:7420, or a free port where that one is in use. */
  readonly listen?: readonly ListenOption[];
  readonly logLevel: string;
  readonly tls?: TlsFiles;
  readonly allowedHosts?: readonly string[];
  readonly allowedOrigins?: readonly string[];
}

/** Serves until it is told to end; jobs go on without it. */
export async function serve(options: ServeOptions, cli: Cli): Promise<void> {
  const {
    listen = DEFAULT_LISTEN,
    logLevel,
    tls,
    allowedHosts = [],
    allowedOrigins = [],
  } = options;
  const { stateDir, cleanupAgeMs, pollIntervalMs, logLimitBytes } = options;
  const logger = createLogger(logLevel);
  surviveFaults(logger);
  const ending = endRequested();

  const manager = await openManager({
    stateDir,
    log: logger,
    ...(cleanupAgeMs === undefined ? {} : { cleanupAgeMs }),
    ...(pollIntervalMs === undefined ? {} : { pollIntervalMs }),
    ...(logLimitBytes === undefined ? {} : { logLimitBytes }),
  });
  try {
    const server = await startServer({
      procman: manager,
      stateDir,
      listen,
      allowedHosts,
      allowedOrigins,
      logger,
      ...(tls ? { tls } : {}),
    });
    try {
      sayWhere(server, cli);
      await ending;
    } finally {
      await server.close();
    }
  } finally {
    await manager.close();
  }
}

/** A stray error must not end a supervisor, unless nothing is known of its state any more. */
function surviveFaults(logger: Logger): void {
  process.on("unhandledRejection", (reason) => {
    logger.error({ err: reason }, "a promise was rejected and nobody looked");
  });
  process.on("uncaughtException", (error) => {
    logger.fatal({ err: error }, "an error that nobody caught; the server ends, jobs go on");
    process.exit(EXIT.fault);
  });
}

/** Resolves at the first signal to end; the second one ends the process at once. */
function endRequested(): Promise<void> {
  return new Promise((resolve) => {
    let requested = false;
    const onSignal = () => {
      if (requested) process.exit(EXIT.error);
      requested = true;
      resolve();
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  });
}

async function openManager(options: ManagerOptions): Promise<Manager> {
  try {
    return await Manager.open(options);
  } catch (cause) {
    const owner = await managerPid(options.stateDir).catch(() => undefined);
    const exitCode = owner === undefined ? EXIT.error : EXIT.alreadyServed;
    throw new CliError((cause as Error).message, { cause, exitCode });
  }
}

/** Nobody has to listen: whoever started the server may have left. */
function sayWhere({ addresses, socketPath, tokenPath }: RunningServer, { stdout }: Cli): void {
  const lines = addresses.map(
    ({ url }) => `procman listens on ${url} and ${socketPath} (token: ${tokenPath})`,
  );
  if (lines.length === 0) lines.push(`procman listens on ${socketPath}`);
  for (const line of lines) stdout.line(line).catch(() => {});
}
