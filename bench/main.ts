import { parseArgs } from "node:util";
import { followers } from "./followers.js";
import { history } from "./history.js";
import { idle } from "./idle.js";
import { jobs } from "./jobs.js";
import { latency } from "./latency.js";
import { Scratch } from "./scratch.js";

const BENCHMARKS = { latency, history, followers, idle, jobs };

const { values, positionals } = parseArgs({
  options: { rounds: { type: "string", default: "5" } },
  allowPositionals: true,
});
const names = positionals.length === 0 ? Object.keys(BENCHMARKS) : positionals;
const scratch = new Scratch();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void scratch.cleanUp().finally(() => process.exit(130)));
}
for (const name of names) {
  const benchmark = BENCHMARKS[name as keyof typeof BENCHMARKS];
  if (benchmark === undefined) {
    throw new Error(`no benchmark ${name}; there are ${Object.keys(BENCHMARKS).join(", ")}`);
  }
  console.log(`\n== ${name}`);
  try {
    await benchmark(scratch, { rounds: Number(values.rounds) });
  } finally {
    await scratch.cleanUp();
  }
}
