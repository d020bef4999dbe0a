import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { promisify } from "node:util";
import { measureCalls } from "../callers.js";
import { cpuSeconds } from "../process-figures.js";
import type { ContenderRun, Order } from "./contender.js";
import { findProgram } from "./programs.js";

/*
 * pm2-program DIR ORDER: does what the order says by the API of the pm2 that is
 * installed in DIR, and prints a ContenderRun. PM2_HOME says which daemon; it is
 * started where none runs.
 */

type Callback<Value = unknown> = (error: Error | null, value: Value) => void;

interface StartOptions {
  readonly name: string;
  readonly script: string;
  readonly interpreter: "none";
  readonly exec_mode: "fork";
  readonly autorestart: false;
}

interface Bus {
  on(
    event: "process:event",
    listener: (event: { event: string; process: { name: string } }) => void,
  ): void;
}

interface Pm2 {
  connect(callback: Callback): void;
  start(options: StartOptions, callback: Callback): void;
  delete(name: string, callback: Callback): void;
  launchBus(callback: Callback<Bus>): void;
}

const [dir = "", orderText = ""] = process.argv.slice(2);
const order = JSON.parse(orderText) as Order;
const pm2 = createRequire(join(dir, "package.json"))("pm2") as Pm2;
const script = findProgram("true");
/** What to do when one of that name has ended. */
const ends = new Map<string, () => void>();
let next = 0;

await promisify(pm2.connect.bind(pm2))();
const bus = await promisify(pm2.launchBus.bind(pm2))();
bus.on("process:event", ({ event, process: { name } }) => {
  if (event === "exit") ends.get(name)?.();
});
const daemonPid = Number(readFileSync(join(process.env["PM2_HOME"] ?? "", "pm2.pid"), "utf8"));
await runAll(Math.ceil(order.count / 5));
console.log(JSON.stringify(await runAll(order.count)));
process.exit(0);

/** Afterwards pm2 knows none of them any more. */
async function runAll(count: number): Promise<ContenderRun> {
  const ended: Promise<void>[] = [];
  const cpu = cpuSeconds(daemonPid);
  const run = await measureCalls({ callers: order.callers, count }, async () => {
    const name = `job${next++}`;
    const end = new Promise<void>((resolve) => ends.set(name, resolve));
    ended.push(end);
    await promisify(pm2.start.bind(pm2))({
      name,
      script,
      interpreter: "none",
      exec_mode: "fork",
      autorestart: false,
    });
    if (order.untilEnd) await end;
  });
  await Promise.all(ended);
  const serverCpuSeconds = cpuSeconds(daemonPid) - cpu;
  ends.clear();
  await promisify(pm2.delete.bind(pm2))("all");
  return { ...run, serverCpuSeconds };
}
