import { socketPathIn } from "../platform/socket-path.js";
import { callerAttributes } from "./caller-attributes.js";
import type { Cli } from "./cli.js";
import { thisProcessRaw } from "./command-line-bytes.js";
import { ensureServer } from "./ensure-server.js";
import { EXIT } from "./exit-codes.js";
import { runCli } from "./run-cli.js";
import { Input } from "./terminal/input.js";
import { Output } from "./terminal/output.js";

const { env } = process;

const thisProcess: Cli = {
  env,
  raw: thisProcessRaw,
  attributes: callerAttributes,
  // A getter, since reading process.stdin opens it.
  get stdin() {
    return new Input(process.stdin);
  },
  stdout: new Output(process.stdout, "stdout", env),
  stderr: new Output(process.stderr, "stderr", env),
  workDir: () => process.cwd(),
  interruption: (signals = ["SIGINT"]) => {
    const interrupted = new AbortController();
    const interrupt = () => {
      if (interrupted.signal.aborted) process.exit(EXIT.interrupted);
      interrupted.abort();
    };
    for (const signal of signals) process.on(signal, interrupt);
    return interrupted.signal;
  },
  onExit: (listener) => {
    process.on("exit", listener);
    return () => process.off("exit", listener);
  },
  onSuspension: (before, after) => {
    const suspend = () => {
      before()
        .catch(() => {})
        .finally(() => process.kill(process.pid, "SIGSTOP"));
    };
    process.on("SIGTSTP", suspend).on("SIGCONT", after);
    return () => process.off("SIGTSTP", suspend).off("SIGCONT", after);
  },
  connect: async (server, options) => {
    if ("host" in server) {
      const { connectRemote } = await import("./connect-remote.js");
      return connectRemote(server.host, options);
    }
    const { stateDir } = server;
    // Only for commands that call the server.
    const load = () => import("../client/index.js");
    const notice = await ensureServer(stateDir, options, () => void load());
    if (notice !== undefined) await thisProcess.stderr.line(`procman: ${notice}`);
    const { createProcmanClient } = await load();
    const { reconnect = {} } = options;
    return createProcmanClient({ socketPath: socketPathIn(stateDir), reconnect });
  },
};

/** Runs the command line that this process was given. */
export function main(): void {
  // Not process.exit, which would cut off what is still to be written.
  void runCli(process.argv.slice(2), thisProcess).then((exitCode) => {
    process.exitCode = exitCode;
  });
}
