import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OtherFollowers } from "./other-followers.js";
import { readBytes } from "./process-figures.js";
import type { Scratch } from "./scratch.js";
import { ServerProcess } from "./server-process.js";
import { printTable } from "./table.js";

const FOLLOWERS = [1, 20, 200];
const WINDOW_MS = 10_000;
const LINE_BYTES = 4096;
const WRITER = `
const line = "x".repeat(${LINE_BYTES - 1}) + "\\n";
setInterval(() => require("node:fs").writeSync(1, line), 100);
`;

/** How often the server reads a log that many follow at its head. */
export async function followers(scratch: Scratch): Promise<void> {
  const server = await ServerProcess.start(scratch);
  const job = await server.client.start({ command: process.execPath, args: ["-e", WRITER] });
  const sizeNow = () => statSync(server.logOf(job)).size;
  const rows: string[][] = [];
  for (const count of FOLLOWERS) {
    const ids = Array.from({ length: count }, () => job.id);
    const crowd = await OtherFollowers.start(server.target, ids);
    const [size, bytes] = [sizeNow(), readBytes(server.pid)];
    const reads = await countReads(scratch, server.pid);
    const written = sizeNow() - size;
    const read = readBytes(server.pid) - bytes;
    await crowd.close();
    const writes = written / LINE_BYTES;
    rows.push([
      String(count),
      String(writes),
      reads === undefined ? "no strace" : String(reads),
      reads === undefined ? "" : (reads / writes).toFixed(2),
      (read / written).toFixed(2),
    ]);
  }
  const titles = ["followers", "writes", "preads", "reads / write", "bytes read / byte written"];
  printTable("Reads of a log of which every line is followed at once", titles, rows);
}

/** Of files at an offset, which is how logs are read; undefined where strace cannot be used. */
async function countReads(scratch: Scratch, pid: number): Promise<number | undefined> {
  if (spawnSync("strace", ["-V"]).error) {
    await sleep(WINDOW_MS);
    return undefined;
  }
  const summary = join(scratch.dir(), "strace");
  const options = ["-f", "-c", "-e", "trace=pread64,preadv2", "-o", summary, "-p", String(pid)];
  const strace = spawn("strace", options, { stdio: "ignore" });
  const exited = once(strace, "exit");
  await sleep(WINDOW_MS);
  strace.kill("SIGINT");
  await exited;
  // % time, seconds, usecs/call, calls, errors (or nothing), syscall
  const rows = readFileSync(summary, "utf8")
    .split("\n")
    .map((row) => row.trim().split(/\s+/));
  const calls = rows.filter((row) => row.at(-1)?.startsWith("pread")).map((row) => Number(row[3]));
  return calls.reduce((sum, count) => sum + count, 0);
}
