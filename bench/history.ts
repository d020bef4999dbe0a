import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { BenchmarkOptions } from "./benchmark-options.js";
import { HISTORY_BYTES } from "./history-bytes.js";
import { cpuSeconds, rssMib } from "./process-figures.js";
import { PROTOCOLS, readHistory } from "./read-history.js";
import type { Scratch } from "./scratch.js";
import { ServerProcess } from "./server-process.js";
import { median, medianRatio } from "./statistics.js";
import { printTable } from "./table.js";

const SERVER = fileURLToPath(new URL("history-server.js", import.meta.url));
const SOURCES = ["Attach", "constant", "raw"] as const;

interface Run {
  readonly mbPerSecond: number;
  readonly serverCpuSeconds: number;
}

/** Reading a log of 1 GiB by Attach, next to constant streams of the same server process. */
export async function history(scratch: Scratch, { rounds }: BenchmarkOptions): Promise<void> {
  const server = await ServerProcess.start(scratch, { program: (dir) => [SERVER, dir] });
  const job = await server.client.start({
    command: "sh",
    args: ["-c", `yes "$(seq -s ' ' 30)" | head -c ${HISTORY_BYTES}`],
  });
  await server.client.wait(job.id);
  if (statSync(server.logOf(job)).size !== HISTORY_BYTES) throw new Error("the log is not whole");
  const targets = {
    Attach: { ...server.target, authority: server.authority("listening on") },
    constant: { ...server.target, authority: server.authority("constant") },
    raw: { ...server.target, authority: server.authority("raw") },
  };
  const rows: string[][] = [];
  for (const protocol of PROTOCOLS) {
    const runs = { Attach: [] as Run[], constant: [] as Run[], raw: [] as Run[] };
    // The first one is not counted: everything is compiled and cached by then.
    for (let round = 0; round <= rounds; round += 1) {
      for (const source of SOURCES) {
        const run = await measure(server, () => readHistory(protocol, targets[source], job.id));
        if (round > 0) runs[source].push(run);
      }
    }
    for (const source of SOURCES) {
      const figures = (of: keyof Run, which: (typeof SOURCES)[number]) =>
        runs[which].map((run) => run[of]);
      const rates = figures("mbPerSecond", source);
      rows.push([
        `${protocol}: ${source}`,
        median(rates).toFixed(0),
        median(figures("serverCpuSeconds", source)).toFixed(2),
        medianRatio(rates, figures("mbPerSecond", "constant")).toFixed(2),
        medianRatio(rates, figures("mbPerSecond", "raw")).toFixed(2),
      ]);
    }
  }
  const titles = ["stream", "MB/s", "server CPU s", "rate / constant", "rate / raw"];
  printTable("Reading 1 GiB over TCP (median of the rounds)", titles, rows);
  console.log(`the server's memory afterwards: ${rssMib(server.pid).toFixed(0)} MiB`);
}

async function measure(server: ServerProcess, read: () => Promise<number>): Promise<Run> {
  const [cpu, startMs] = [cpuSeconds(server.pid), performance.now()];
  const bytes = await read();
  const seconds = (performance.now() - startMs) / 1000;
  if (bytes < HISTORY_BYTES) throw new Error(`${bytes} bytes came`);
  return {
    mbPerSecond: HISTORY_BYTES / 1e6 / seconds,
    serverCpuSeconds: cpuSeconds(server.pid) - cpu,
  };
}
