import { spawn } from "node:child_process";
import { once } from "node:events";
import type { BenchmarkOptions } from "./benchmark-options.js";
import { type FollowClient, createFollowClient, TRANSPORTS } from "./follow.js";
import { OtherFollowers } from "./other-followers.js";
import type { Scratch } from "./scratch.js";
import { ServerProcess } from "./server-process.js";
import { median, medianRatio, percentile } from "./statistics.js";
import { printTable } from "./table.js";

const GIB = 2 ** 30;
const LOG_SIZES = [0, GIB];
const OTHER_FOLLOWERS = [0, 20];
/** Lines a follower receives in a round, at 10 ms on average. */
const LINES = 200;
const WARM_UP_LINES = 10;

/** Writes CLOCK_MONOTONIC, which is the same in every process, at uneven intervals. */
const WRITER = `
const { ftruncateSync, writeSync } = require("node:fs");
ftruncateSync(1, Number(process.argv[1]));
const write = () => {
  setTimeout(write, 5 + 10 * Math.random());
  writeSync(1, process.hrtime.bigint() + "\\n");
};
write();
`;

/** From a job's write to the client's receive, next to tail -f of the same file. */
export async function latency(scratch: Scratch, { rounds }: BenchmarkOptions): Promise<void> {
  const server = await ServerProcess.start(scratch);
  const { target } = server;
  for (const logBytes of LOG_SIZES) {
    for (const others of OTHER_FOLLOWERS) {
      const job = await server.client.start({
        command: process.execPath,
        args: ["-e", WRITER, String(logBytes)],
      });
      const ids = Array.from({ length: others }, () => job.id);
      const crowd = await OtherFollowers.start(target, ids);
      const readers: [string, () => FollowClient][] = [
        ["tail -f", () => tailClient(server.logOf(job))],
        ...TRANSPORTS.map((transport): [string, () => FollowClient] => [
          transport,
          () => createFollowClient(transport, target),
        ]),
      ];
      const results = readers.map(() => [] as number[][]);
      for (let round = 0; round < rounds; round += 1) {
        for (const [index, [, create]] of readers.entries()) {
          results[index]?.push(await measure(create(), job.id));
        }
      }
      await crowd.close();
      await server.client.cancel(job.id, { gracePeriodMs: 0 });
      const size = logBytes === 0 ? "an empty log" : "a log of 1 GiB (sparse)";
      report(`From write to receive, ${size}, ${others} other followers (ms)`, readers, results);
    }
  }
}

async function measure(client: FollowClient, id: string): Promise<number[]> {
  const latenciesMs: number[] = [];
  try {
    await new Promise<void>((resolve, reject) => {
      const onData = (data: Uint8Array) => {
        const receivedNs = process.hrtime.bigint();
        for (const line of Buffer.from(data).toString("latin1").split("\n")) {
          if (line !== "") latenciesMs.push(Number(receivedNs - BigInt(line)) / 1e6);
        }
        if (latenciesMs.length >= LINES + WARM_UP_LINES) resolve();
      };
      client.follow(id, onData).catch(reject);
    });
  } finally {
    client.close();
  }
  return latenciesMs.slice(WARM_UP_LINES);
}

function tailClient(path: string): FollowClient {
  const child = spawn("tail", ["-n", "0", "-f", path], { stdio: ["ignore", "pipe", "inherit"] });
  return {
    follow: async (_id, onData) => {
      child.stdout.on("data", onData);
      await once(child, "spawn");
    },
    close: () => child.kill(),
  };
}

function report(
  caption: string,
  readers: readonly [string, unknown][],
  results: readonly number[][][],
): void {
  const tailRounds = results[0] ?? [];
  const rows = readers.map(([name], index) => {
    const perRound = results[index] ?? [];
    const all = perRound.flat();
    const ratioAt = (share: number) =>
      medianRatio(
        perRound.map((values) => percentile(values, share)),
        tailRounds.map((values) => percentile(values, share)),
      ).toFixed(2);
    return [
      name,
      median(all).toFixed(2),
      percentile(all, 0.99).toFixed(2),
      Math.max(...all).toFixed(1),
      ratioAt(0.5),
      ratioAt(0.99),
    ];
  });
  printTable(caption, ["reader", "p50", "p99", "max", "p50 / tail", "p99 / tail"], rows);
}
