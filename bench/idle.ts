import { setTimeout as sleep } from "node:timers/promises";
import type { BenchmarkOptions } from "./benchmark-options.js";
import { OtherFollowers } from "./other-followers.js";
import { cpuSeconds, rssMib } from "./process-figures.js";
import type { Scratch } from "./scratch.js";
import { ServerProcess } from "./server-process.js";
import { median } from "./statistics.js";
import { printTable } from "./table.js";

const JOBS = 200;
const WINDOW_MS = 10_000;
const SETTLE_MS = 3000;

/** What followers of silent jobs cost the server. */
export async function idle(scratch: Scratch, { rounds }: BenchmarkOptions): Promise<void> {
  const server = await ServerProcess.start(scratch);
  const silent = { command: "sleep", args: ["100000"] };
  const ids: string[] = [];
  while (ids.length < JOBS) ids.push((await server.client.start(silent)).id);
  // Until the kernel has told of one change, logs are polled.
  const chatty = ["-c", "while :; do echo; sleep 1; done"];
  const { id } = await server.client.start({ command: "sh", args: chatty });
  const crowds: [string, string[]][] = [
    ["one, of a job with a line a second", [id]],
    ["and 200 of one silent job", [id, ...ids.map(() => ids[0] ?? "")]],
    ["and 200 of 200 silent jobs", [id, ...ids]],
  ];
  const cpu = crowds.map(() => [] as number[]);
  const memory = crowds.map(() => [] as number[]);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, [, followed]] of crowds.entries()) {
      const crowd = await OtherFollowers.start(server.target, followed);
      await sleep(SETTLE_MS);
      const [before, startMs] = [cpuSeconds(server.pid), performance.now()];
      await sleep(WINDOW_MS);
      const elapsedMs = performance.now() - startMs;
      cpu[index]?.push(((cpuSeconds(server.pid) - before) / elapsedMs) * 100_000);
      memory[index]?.push(rssMib(server.pid));
      await crowd.close();
    }
  }
  const rows = crowds.map(([name], index) => [
    name,
    `${median(cpu[index] ?? []).toFixed(2)} %`,
    median(memory[index] ?? []).toFixed(0),
  ]);
  const caption = `CPU of a server with ${JOBS} silent jobs, of one core over 10 s (median of the rounds)`;
  printTable(caption, ["followers", "CPU", "memory (MiB)"], rows);
}
