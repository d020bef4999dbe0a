import { statSync } from "node:fs";
import { join } from "node:path";
import { Stream } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import type { TestServer } from "../helpers/test-server.js";
import { cpuSeconds, rssKib } from "./process-figures.js";

export interface LogLimitOptions {
  readonly bytes: number;
  readonly limitBytes: number;
}

export interface LogLimitReport {
  readonly gigabytes: number;
  readonly seconds: number;
  readonly megabytesPerSecond: number;
  readonly limitMegabytes: number;
  /** What the log took on the disk at most, and once the job had ended. */
  readonly peakDiskMegabytes: number;
  readonly lastDiskMegabytes: number;
  /** What a follower got of it, each byte of it right, and in how many places some was gone. */
  readonly followedMegabytes: number;
  readonly gaps: number;
  readonly serverCpuSeconds: number;
  readonly serverRssMegabytes: number;
}

const LINE = "0123456789abcde\n";
const PATTERN = Buffer.from(LINE.repeat(100_000));
const SAMPLE_MS = 5;

/** A job that writes as fast as it can, with a log limit and a follower. */
export async function logLimitRun(
  server: TestServer,
  { bytes, limitBytes }: LogLimitOptions,
): Promise<LogLimitReport> {
  const { client } = server;
  const cpuBefore = cpuSeconds(server.pid);
  const startedAt = performance.now();
  const { job } = await client.start({
    command: "yes",
    args: [LINE.trim()],
    logLimitBytes: BigInt(limitBytes),
  });
  const id = job!.id;
  const log = join(server.stateDir, "jobs", id, "stdout.log");
  let peakDisk = 0;
  const sampling = setInterval(() => {
    peakDisk = Math.max(peakDisk, allocated(log));
  }, SAMPLE_MS);
  try {
    const following = follow(server, id);
    await eventually("all of it", () => statSync(log).size >= bytes, 3_600_000);
    await client.cancel({ id });
    const seconds = (performance.now() - startedAt) / 1000;
    const { size } = statSync(log);
    const { received, gaps } = await following;
    // The limit itself, and the line that it is in.
    await eventually("the last cut", () => allocated(log) <= limitBytes + 16_384);
    const { job: ended } = await client.get({ id });
    if (ended!.stdoutBytes - ended!.stdoutFirstOffset > BigInt(limitBytes + LINE.length)) {
      throw new Error(`${ended!.stdoutFirstOffset} of ${ended!.stdoutBytes} is no last cut`);
    }
    return {
      gigabytes: size / 1e9,
      seconds,
      megabytesPerSecond: size / 1e6 / seconds,
      limitMegabytes: limitBytes / 1e6,
      peakDiskMegabytes: peakDisk / 1e6,
      lastDiskMegabytes: allocated(log) / 1e6,
      followedMegabytes: received / 1e6,
      gaps,
      serverCpuSeconds: cpuSeconds(server.pid) - cpuBefore,
      serverRssMegabytes: rssKib(server.pid) / 1024,
    };
  } finally {
    clearInterval(sampling);
  }
}

async function follow(
  { client }: TestServer,
  id: string,
): Promise<{ received: number; gaps: number }> {
  let received = 0;
  let gaps = 0;
  let next = 0;
  for await (const { event } of client.attach({ id, follow: true, streams: [Stream.STDOUT] })) {
    if (event.case !== "chunk") continue;
    const offset = Number(event.value.offset);
    const { data } = event.value;
    if (offset < next) throw new Error(`${offset} comes after ${next}`);
    if (offset > next) gaps += 1;
    const phase = offset % LINE.length;
    if (!PATTERN.subarray(phase, phase + data.length).equals(data)) {
      throw new Error(`the ${data.length} bytes at ${offset} are not what was written`);
    }
    received += data.length;
    next = offset + data.length;
  }
  return { received, gaps };
}

function allocated(path: string): number {
  return statSync(path).blocks * 512;
}
