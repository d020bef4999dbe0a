import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { Command } from "commander";
import { socketPathIn } from "../../platform/socket-path.js";
import type { Cli } from "../cli.js";
import { ensureServer, NoStateDirError } from "../ensure-server.js";
import { CliError, EXIT } from "../exit-codes.js";
import type { CommandContext } from "./command-context.js";

interface DialOptions {
  readonly makeDir?: boolean;
  readonly start: boolean;
}

/** What `--host ssh://` has ssh run: it joins stdin and stdout to the server's socket. */
export function dialStdioCommand(context: CommandContext): Command {
  return new Command("dial-stdio")
    .description("connect stdin and stdout to the server: for --host ssh://")
    .option("--make-dir", "make the state directory where it is missing")
    .option("--no-start", "start no server where none runs")
    .action(async ({ makeDir = false, start }: DialOptions) => {
      const stateDir = context.ownStateDir;
      const { cli } = context;
      const options = { makesStateDir: makeDir, startsServer: start };
      const notice = await ensureServer(stateDir, options).catch((error: unknown) => {
        // For one that only asks, that is how no server runs.
        if (start || !(error instanceof NoStateDirError)) throw error;
        throw new CliError(error.message, { exitCode: EXIT.noServer, cause: error });
      });
      if (notice !== undefined) await cli.stderr.line(`procman: ${notice}`);
      const path = socketPathIn(stateDir);
      const socket = connect(path);
      try {
        await once(socket, "connect");
      } catch (cause) {
        const message = `cannot connect to ${path}: ${(cause as Error).message}`;
        throw new CliError(message, { cause });
      }
      await join(socket, cli);
    });
}

/** Copies both ways until either end closes: a client that has closed its half has left. */
async function join(socket: Socket, { stdin, stdout }: Pick<Cli, "stdin" | "stdout">) {
  const over = new AbortController();
  const { signal } = over;
  const send = async () => {
    for await (const piece of stdin.pieces(signal)) {
      if (!socket.write(piece)) await once(socket, "drain", { signal });
    }
    socket.end();
  };
  send().catch(() => socket.destroy());
  try {
    for await (const data of socket) await stdout.write(data as Buffer);
  } catch (error) {
    // A connection that breaks is over, as one is that is closed.
    if (!socket.destroyed) throw error;
  } finally {
    over.abort();
    socket.destroy();
  }
}
