import { setTimeout as sleep } from "node:timers/promises";
import { ProcmanService, Status } from "../../gen/procman/v1/procman_pb.js";
import type { BenchmarkOptions } from "../benchmark-options.js";
import { type CallLoop, CallWorker } from "../call-worker.js";
import { encodeRequest, pathOf } from "../grpc-client.js";
import type { Scratch } from "../scratch.js";
import { ServerProcess } from "../server-process.js";
import { median, percentile } from "../statistics.js";
import { printTable } from "../table.js";
import { OLD_MS, RARE } from "./ended-jobs.js";
import { getRequests, type Sized } from "./growth.js";

const QUIET_MS = 5000;
const SMOKE_QUIET_MS = 500;

const { get, list, start } = ProcmanService.method;

/**
 * Cleanup of half of the jobs, and what other calls take meanwhile. There is one
 * round, since the jobs are gone after it.
 */
export async function cleanup(
  scratch: Scratch,
  { size, stateDir }: Sized,
  { isSmoke }: BenchmarkOptions,
): Promise<void> {
  const server = await ServerProcess.start(scratch, { stateDir });
  const worker = new CallWorker(scratch);
  const page = { labels: RARE.labels, statuses: [Status.FAILED], pageSize: 100 };
  // Few, so that they measure the server and do not fill it.
  const slower = isSmoke ? 5 : 1;
  const every = (ms: number) => ({ kind: "every", ms: ms * slower }) as const;
  const starts = [encodeRequest(start, { command: "true" }).toString("base64")];
  const lists = [encodeRequest(list, page).toString("base64")];
  const calls: readonly [string, CallLoop][] = [
    ["Get", { path: pathOf(get), requests: getRequests(size), pace: every(10) }],
    ["List of a page", { path: pathOf(list), requests: lists, pace: every(100) }],
    ["Start", { path: pathOf(start), requests: starts, pace: every(200) }],
  ];
  const order = { target: server.target, loops: calls.map(([, loop]) => loop) };
  // Not counted: everything is compiled and cached after it.
  await worker.call(order, () => sleep(QUIET_MS / 5));
  const quiet = await worker.call(order, () => sleep(isSmoke ? SMOKE_QUIET_MS : QUIET_MS));
  let removed = 0;
  let seconds = 0;
  const during = await worker.call(order, async () => {
    const startMs = performance.now();
    removed = (await server.client.cleanup({ olderThanMs: OLD_MS })).length;
    seconds = (performance.now() - startMs) / 1000;
  });
  await server.stop();
  if (removed !== Math.floor(size / 2)) throw new Error(`${removed} of ${size} jobs were removed`);
  const leftOut = [...quiet, ...during].reduce((sum, run) => sum + run.leftOut, 0);
  const rows = calls.map(([name], index) => {
    const [before, meanwhile] = [quiet, during].map((runs) => runs[index]?.latenciesMs ?? []);
    return [
      name,
      (percentile(meanwhile ?? [], 0.99) / percentile(before ?? [], 0.99)).toFixed(2),
      percentile(meanwhile ?? [], 0.99).toFixed(1),
      Math.max(...(meanwhile ?? [])).toFixed(0),
      median(meanwhile ?? []).toFixed(2),
      percentile(before ?? [], 0.99).toFixed(1),
      median(before ?? []).toFixed(2),
      String(meanwhile?.length),
    ];
  });
  printTable(
    `Other calls during Cleanup of ${removed} of ${size} jobs, which took ${seconds.toFixed(2)} s (ms)`,
    ["call", "p99 / quiet", "p99", "max", "p50", "quiet p99", "quiet p50", "calls"],
    rows,
  );
  if (leftOut > 0) console.log(`${leftOut} calls were left out: the server did not keep up.`);
}
