import { monitorEventLoopDelay } from "node:perf_hooks";
import pino from "pino";
import { Manager } from "../../src/manager.js";
import { startServer } from "../../src/server/start-server.js";

/*
 * A procman server that knows how late its event loop is: at SIGUSR2 it prints a
 * LoopDelay of the time since the one before.
 */

export interface LoopDelay {
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

const RESOLUTION_MS = 1;
const LISTEN = { host: "127.0.0.1", port: 0 };

const [stateDir = ""] = process.argv.slice(2);
const logger = pino({ level: "info" }, pino.destination(2));
const manager = await Manager.open({ stateDir, log: logger });
const server = await startServer({ procman: manager, stateDir, listen: [LISTEN], logger });
const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delays.enable();
process.on("SIGUSR2", () => {
  // Each is the time from one timer to the next: the timer's own interval is no delay.
  const ms = (ns: number) => Math.max(0, ns / 1e6 - RESOLUTION_MS);
  const delay: LoopDelay = {
    p50Ms: ms(delays.percentile(50)),
    p99Ms: ms(delays.percentile(99)),
    maxMs: ms(delays.max),
  };
  console.log(`loop delay: ${JSON.stringify(delay)}`);
  delays.reset();
});
process.once("SIGTERM", () => void close());

async function close(): Promise<void> {
  await server.close();
  await manager.close();
  process.exit(0);
}
