import { Command, Option } from "commander";
import { defined } from "../../platform/defined.js";
import type { TlsFiles } from "../../server/listeners/tls-files.js";
import { CliError, EXIT, isCliError } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";
import {
  isServerOption,
  type ListenOption,
  parseDurationMs,
  parseListen,
  parsePositiveDurationMs,
  parseSizeBytes,
  parseWords,
} from "./options.js";

interface ServeOptions {
  readonly listen?: readonly ListenOption[];
  readonly cleanupAge?: number;
  readonly retainAge?: number;
  readonly retainBytes?: number;
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
The server runs until SIGINT or SIGTERM. Jobs go on without it. Other commands
start a server in the background when they need one, so serve is for service
managers, and for choosing the options.

Only you can use the unix socket. A client over TCP must send the token from the
file <state-dir>/token. Addresses that other machines can reach need TLS.

Each option can be given by a variable as well: --log-limit by PROCMAN_LOG_LIMIT. The
option counts more. A server that another command starts has that command's variables.

It exits with 3 where another server has the state directory.

Examples:
  procman serve
  procman serve --listen 127.0.0.1:8000 --state-dir /var/lib/procman --log-level info
  procman serve --listen 0.0.0.0:7420 --tls-cert cert.pem --tls-key key.pem --allow-host jobs.example.com`;

export function serveCommand(context: CommandContext): Command {
  return new ServeCommand("serve")
    .description("run the server in the foreground")
    .option(
      "--listen <host:port>",
      "a TCP address to listen on, besides the unix socket; may be given several times; " +
        '"none": no TCP (default: port 7420 of 127.0.0.1 and ::1, if it is free)',
      parseListen,
    )
    .option(
      "--cleanup-age <duration>",
      "how long ago a job must have ended for cleanup to delete it (default: 24h)",
      parseDurationMs,
    )
    .option(
      "--retain-age <duration>",
      "delete jobs that ended so long ago, without being asked, such as 7d (default: none)",
      parsePositiveDurationMs,
    )
    .option(
      "--retain-bytes <size>",
      "delete the jobs that ended first while the logs of all jobs together are larger than this, " +
        "such as 10GB (default: none)",
      parseSizeBytes,
    )
    .option(
      "--poll-interval <duration>",
      "how often to check files and processes that the system sends no events for (default: 1s)",
      parsePositiveDurationMs,
    )
    .option(
      "--log-limit <size>",
      "keep only the last part of each log, of this size, for new jobs without a --log-limit of " +
        "their own (default: everything is kept)",
      parseSizeBytes,
    )
    .option(
      "--tls-cert <file>",
      "the certificate (PEM) for all TCP addresses; it is read again when it changes",
    )
    .option("--tls-key <file>", "the key (PEM) of the certificate")
    .option(
      "--tls-client-ca <file>",
      "accept only clients with a certificate signed by this one; they need no token",
    )
    .option(
      "--allow-host <name...>",
      "more host names that clients may use for this server",
      parseWords,
    )
    .option(
      "--allow-origin <origin...>",
      "web pages that may call this server, such as https://example.com",
      parseWords,
    )
    .addOption(
      new Option("--log-level <level>", "how much to log, on stderr")
        .choices(LOG_LEVELS)
        .default("warn"),
    )
    .addHelpText("after", HELP)
    .action(async (options: ServeOptions, command: Command) => {
      // Only here: the other commands start faster without a server's libraries.
      const { runServer } = await import("../run-server.js");
      const { ownStateDir: stateDir, cli } = context;
      const serverOptions = () => ({
        stateDir,
        logLevel: options.logLevel,
        ...defined({
          listen: options.listen,
          cleanupAgeMs: options.cleanupAge,
          retainAgeMs: options.retainAge,
          retainBytes: options.retainBytes,
          pollIntervalMs: options.pollInterval,
          logLimitBytes: options.logLimit,
          tls: tlsFiles(options),
          allowedHosts: options.allowHost,
          allowedOrigins: options.allowOrigin,
        }),
      });
      try {
        await runServer(serverOptions(), cli);
      } catch (error) {
        throw namingVariables(error, command);
      }
    });
}

/** A command each of whose own options can be given by a variable. */
class ServeCommand extends Command {
  override addOption(option: Option): this {
    return super.addOption(
      isServerOption(option.attributeName()) ? option : option.env(variableOf(option)),
    );
  }
}

/** Returns the variable that stands for an option: "PROCMAN_LOG_LIMIT" for --log-limit. */
function variableOf({ long }: Option): string {
  return `PROCMAN_${(long ?? "").slice(2).toUpperCase().replaceAll("-", "_")}`;
}

/** Returns the error with a variable's name for each option that was given by one. */
function namingVariables(error: unknown, command: Command): unknown {
  if (!isCliError(error)) return error;
  const given = command.options.filter(
    (option) => command.getOptionValueSource(option.attributeName()) === "env",
  );
  const message = given.reduce(
    (text, option) => text.replaceAll(option.long ?? "", variableOf(option)),
    error.message,
  );
  return new CliError(message, { exitCode: error.exitCode, cause: error });
}

function tlsFiles(options: ServeOptions): TlsFiles | undefined {
  const { tlsCert, tlsKey, tlsClientCa } = options;
  if ((tlsCert ?? tlsKey ?? tlsClientCa) === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined) {
    throw new CliError("--tls-cert and --tls-key belong together", { exitCode: EXIT.usage });
  }
  return { certPath: tlsCert, keyPath: tlsKey, ...defined({ clientCaPath: tlsClientCa }) };
}
