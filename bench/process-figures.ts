import { readdirSync, readFileSync } from "node:fs";

/** Linux's figures of one process, as /proc has them now. */

/** Time on a CPU since it began, of all threads, to the nanosecond. */
export function cpuSeconds(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[0]);
  }
  return ns / 1e9;
}

/** Bytes that it got from read(2) and its like: files, and pipes and sockets too. */
export function readBytes(pid: number): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1]);
}

export function rssMib(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;
}
