import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { defined } from "../src/platform/defined.js";
import type { BenchmarkOptions } from "./benchmark-options.js";
import { cli } from "./cli.js";
import { followers } from "./followers.js";
import { history } from "./history.js";
import { idle } from "./idle.js";
import { jobs } from "./jobs.js";
import { latency } from "./latency.js";
import { describeMachine } from "./machine.js";
import { scale } from "./scale/scale.js";
import { Scratch } from "./scratch.js";
import { starts } from "./starts.js";
import { setTableFormat } from "./table.js";

const BENCHMARKS = { starts, scale, cli, latency, history, followers, idle, jobs };

type Name = keyof typeof BENCHMARKS;

const { names, options } = parseCommandLine();
const scratch = new Scratch();
const interruption = new Promise<"interrupted">((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => resolve("interrupted"));
  }
});
console.log(describeMachine(tmpdir()));
for (const name of names) {
  console.log(`\n== ${name}`);
  try {
    const outcome = await Promise.race([BENCHMARKS[name](scratch, options), interruption]);
    if (outcome === "interrupted") {
      // The benchmark fails in many places now, and nobody waits for it.
      process.on("unhandledRejection", () => {});
      await scratch.close();
      process.exit(130);
    }
  } finally {
    await scratch.cleanUp();
  }
}

function parseCommandLine(): { names: readonly Name[]; options: BenchmarkOptions } {
  const { values, positionals } = parseArgs({
    options: {
      rounds: { type: "string" },
      smoke: { type: "boolean", default: false },
      part: { type: "string", multiple: true, default: [] },
      sizes: { type: "string" },
      running: { type: "string" },
      peers: { type: "string" },
      markdown: { type: "boolean", default: false },
      svg: { type: "string" },
    },
    allowPositionals: true,
  });
  const all = Object.keys(BENCHMARKS) as Name[];
  const unknown = positionals.find((name) => !(all as string[]).includes(name));
  if (unknown !== undefined)
    throw new Error(`no benchmark ${unknown}; there are ${all.join(", ")}`);
  if (values.part.length > 0 && positionals.length !== 1) {
    throw new Error("--part goes with the name of one benchmark");
  }
  setTableFormat(values.markdown ? "markdown" : "text");
  const isSmoke = values.smoke;
  const options = {
    rounds: wholeNumber("--rounds", values.rounds ?? (isSmoke ? "1" : "5")),
    isSmoke,
    parts: values.part,
    ...defined({
      sizes: values.sizes?.split(",").map((size) => wholeNumber("--sizes", size)),
      running: optionalNumber("--running", values.running),
      peers: values.peers?.split(","),
      svgDir: values.svg,
    }),
  };
  return { names: positionals.length === 0 ? all : (positionals as Name[]), options };
}

function optionalNumber(option: string, text: string | undefined): number | undefined {
  return text === undefined ? undefined : wholeNumber(option, text);
}

function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`${option}: ${text} is not 1 or more`);
  return value;
}
