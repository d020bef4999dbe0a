import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import type { BenchmarkOptions } from "../benchmark-options.js";
import { type CallLoop, CallWorker } from "../call-worker.js";
import { perSecond } from "../callers.js";
import { encodeRequest, pathOf } from "../grpc-client.js";
import { inTurns } from "../in-turns.js";
import type { Scratch } from "../scratch.js";
import { ServerProcess } from "../server-process.js";
import { median, percentile } from "../statistics.js";
import { printTable } from "../table.js";
import type { Sized } from "./growth.js";
import type { LoopDelay } from "./loop-delay-server.js";

const SERVER = fileURLToPath(new URL("loop-delay-server.js", import.meta.url));
const STARTS_PER_SECOND = 100;
const WINDOW_MS = 10_000;
const SMOKE_WINDOW_MS = 1000;
const SETTLE_MS = 1000;

const { start } = ProcmanService.method;
const STARTS: CallLoop = {
  path: pathOf(start),
  requests: [encodeRequest(start, { command: "true" }).toString("base64")],
  pace: { kind: "every", ms: 1000 / STARTS_PER_SECOND },
};
/** A health check, which looks at nothing. */
const TRIVIAL: CallLoop = {
  path: "/grpc.health.v1.Health/Check",
  requests: [""],
  pace: { kind: "every", ms: 10 },
};

interface Figures extends LoopDelay {
  readonly callP99Ms: number;
  readonly startsPerSecond: number;
}

/** How late the server's event loop is, by its own measure and by calls from outside. */
export async function eventLoop(
  scratch: Scratch,
  sizes: readonly Sized[],
  options: BenchmarkOptions,
): Promise<void> {
  const windowMs = options.isSmoke ? SMOKE_WINDOW_MS : WINDOW_MS;
  const worker = new CallWorker(scratch);
  const cases: { size: number; server: ServerProcess; loops: readonly CallLoop[] }[] = [];
  for (const { size, stateDir } of sizes) {
    const program = (dir: string) => [SERVER, dir];
    const server = await ServerProcess.start(scratch, { stateDir, program });
    cases.push({ size, server, loops: [TRIVIAL] }, { size, server, loops: [TRIVIAL, STARTS] });
  }
  const results = await inTurns(cases, options, async ({ server, loops }): Promise<Figures> => {
    await askDelay(server);
    const order = { target: server.target, loops };
    const [trivial, starts] = await worker.call(order, () => sleep(windowMs));
    const delay = await askDelay(server);
    // Until the last jobs have ended.
    await sleep(SETTLE_MS);
    return {
      ...delay,
      callP99Ms: percentile(trivial?.latenciesMs ?? [], 0.99),
      startsPerSecond: starts ? perSecond(starts) : 0,
    };
  });
  for (const { server } of cases) await server.stop();
  const rows = cases.map(({ size }, index) => {
    const of = (figure: keyof Figures) => median((results[index] ?? []).map((r) => r[figure]));
    return [
      String(size),
      of("startsPerSecond").toFixed(0),
      of("p50Ms").toFixed(1),
      of("p99Ms").toFixed(1),
      of("maxMs").toFixed(0),
      of("callP99Ms").toFixed(1),
    ];
  });
  printTable(
    `Delay of the server's event loop, and of a trivial call from outside (ms, ${options.rounds} x ${windowMs / 1000} s)`,
    ["ended jobs", "starts a second", "loop p50", "loop p99", "loop max", "call p99"],
    rows,
  );
}

async function askDelay(server: ServerProcess): Promise<LoopDelay> {
  const [, json = ""] = await server.askBySignal("SIGUSR2", /loop delay: (\{.*\})/);
  return JSON.parse(json) as LoopDelay;
}
