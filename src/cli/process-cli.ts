import { createProcmanClient } from "../client/index.js";
import type { Cli } from "./cli.js";
import { ensureServer, socketPathOf } from "./ensure-server.js";
import { EXIT } from "./exit-codes.js";
import { Output } from "./output.js";

/** The world of this process. */
export function processCli(): Cli {
  const { env } = process;
  return {
    env,
    stdout: new Output(process.stdout, "stdout", env),
    stderr: new Output(process.stderr, "stderr", env),
    workDir: () => process.cwd(),
    interruption: () => {
      const interrupted = new AbortController();
      process.on("SIGINT", () => {
        if (interrupted.signal.aborted) process.exit(EXIT.interrupted);
        interrupted.abort();
      });
      return interrupted.signal;
    },
    connect: async (stateDir) => {
      await ensureServer(stateDir);
      return createProcmanClient({ socketPath: socketPathOf(stateDir) });
    },
  };
}
