import { Command, Option } from "commander";
import { defined } from "../../platform/defined.js";
import type { TlsFiles } from "../../server/listeners/tls-files.js";
import { CliError, EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";
import {
  type ListenOption,
  parseDurationMs,
  parseListen,
  parsePositiveDurationMs,
  parseSizeBytes,
} from "./options.js";

interface ServeOptions {
  readonly listen?: readonly ListenOption[];
  readonly cleanupAge?: number;
  readonly pollInterval?: number;
  readonly logLimit?: number;
  readonly logLevel: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsClientCa?: string;
  readonly allowHost?: readonly string[];
  readonly allowOrigin?: readonly string[];
}

const LOG_LEVELS = ["fatal", "error", "warn", "info", "debug", "trace", "silent"];

const HELP = `
Serves in the foreground until SIGINT or SIGTERM; jobs go on without it. The other
commands start a server in the background where none runs: serve is for service
managers, and for options of one's own. Over TCP a client has to send the token
from the file <state-dir>/token; the unix socket is for this user alone.

Beyond this machine it listens with TLS only.

Exits with 3 when another server has the state directory.

Examples:
  procman serve
  procman serve --listen 127.0.0.1:8000 --state-dir /var/lib/procman --log-level info
  procman serve --listen 0.0.0.0:7420 --tls-cert cert.pem --tls-key key.pem --allow-host jobs.example.com`;

export function serveCommand(context: CommandContext): Command {
  return new Command("serve")
    .description("run the server in the foreground")
    .addOption(
      new Option(
        "--listen <host:port>",
        'address to listen on, besides the unix socket (repeatable; "none" for none; default: ' +
          "port 7420 of 127.0.0.1 and ::1, or none where another process has that port)",
      )
        .argParser(parseListen)
        .env("PROCMAN_LISTEN"),
    )
    .option(
      "--cleanup-age <duration>",
      "what cleanup takes for old (default: 24h)",
      parseDurationMs,
    )
    .option(
      "--poll-interval <duration>",
      "how often to look where the system does not tell (default: 1s)",
      parsePositiveDurationMs,
    )
    .option(
      "--log-limit <size>",
      "keep so much of the end of each log, of jobs that are started from now on without a limit " +
        "of their own (default: all of it)",
      parseSizeBytes,
    )
    .option(
      "--tls-cert <file>",
      "certificate (PEM) for every TCP address; renewed ones are noticed",
    )
    .option("--tls-key <file>", "its key (PEM)")
    .option(
      "--tls-client-ca <file>",
      "let in clients with a certificate signed by this one, and nobody else; they need no token",
    )
    .option("--allow-host <name...>", "further names that clients may call this server by")
    .option("--allow-origin <origin...>", "web pages that may call it: https://example.com")
    .addOption(
      new Option("--log-level <level>", "what to log, on stderr")
        .choices(LOG_LEVELS)
        .default("warn"),
    )
    .addHelpText("after", HELP)
    .action(async (options: ServeOptions) => {
      // Only here: the other commands start faster without a server's libraries.
      const { runServer } = await import("../run-server.js");
      const { stateDir, cli } = context;
      const serverOptions = defined({
        listen: options.listen,
        cleanupAgeMs: options.cleanupAge,
        pollIntervalMs: options.pollInterval,
        logLimitBytes: options.logLimit,
        tls: tlsFiles(options),
        allowedHosts: options.allowHost,
        allowedOrigins: options.allowOrigin,
      });
      await runServer({ stateDir, logLevel: options.logLevel, ...serverOptions }, cli);
    });
}

function tlsFiles(options: ServeOptions): TlsFiles | undefined {
  const { tlsCert, tlsKey, tlsClientCa } = options;
  if ((tlsCert ?? tlsKey ?? tlsClientCa) === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new CliError("--tls-cert and --tls-key belong together", { exitCode: EXIT.usage });
  }
  return { certPath: tlsCert, keyPath: tlsKey, ...defined({ clientCaPath: tlsClientCa }) };
}
