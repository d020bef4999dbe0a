import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { expect, test } from "vitest";
import { createProcmanClientFromTransport } from "../../src/client/index.js";
import { sendToken } from "../../src/client/procman-client.js";
import { type Job, type Stream, STREAMS } from "../../src/contract/job.js";
import type { Procman } from "../../src/contract/procman.js";
import { SeededRandom } from "../attack/seeded-random.js";
import { startSlowProxy } from "../helpers/slow-proxy.js";
import { TestServer } from "../helpers/test-server.js";

const server = TestServer.shared();

/**
 * A message of 64 KiB takes a third of the silence that the client bears; one of 256 KiB
 * takes longer than that.
 */
const SILENCE_MS = 500;
const LINK_BYTES_PER_MS = 400;

test("output comes over a link so slow that large messages would take longer than a client waits", async () => {
  const job = await start("head -c 1000000 /dev/urandom");
  const url = await startSlowProxy(server.baseUrl, throttled);
  const client = createProcmanClientFromTransport(transports(url).connect, {
    silenceMs: SILENCE_MS,
  });
  await client.wait(job.id);
  expect(await hashesOfOutput(client, job)).toEqual(hashesOfLogs(job));
});

test("output is what was written, live and afterwards, over links that pause", async () => {
  const job = await start(`
    head -c 3000000 /dev/urandom; head -c 1000000 /dev/urandom >&2
    for i in 1 2 3 4 5; do
      sleep 0.1; head -c 300000 /dev/urandom; head -c 70000 /dev/urandom >&2
    done`);
  const url = await startSlowProxy(server.baseUrl, withPauses(1));
  const clients = Object.values(transports(url)).map((transport) =>
    createProcmanClientFromTransport(transport),
  );
  const read = () => Promise.all(clients.map((client) => hashesOfOutput(client, job)));
  const got = { live: await read(), afterwards: await read() };
  const expected = clients.map(() => hashesOfLogs(job));
  expect(got).toEqual({ live: expected, afterwards: expected });
});

/** Passes on a little every ten milliseconds. */
function throttled(from: Socket, to: Socket): void {
  const periodMs = 10;
  const maxBytes = LINK_BYTES_PER_MS * periodMs;
  // With a listener it is read by hand.
  from.on("readable", () => {});
  const timer = setInterval(() => {
    const data = from.read(Math.min(maxBytes, from.readableLength)) as Buffer | null;
    if (data) to.write(data);
  }, periodMs);
  from.on("close", () => clearInterval(timer));
}

/** Passes on all that comes, and after each fifth or so takes nothing for some milliseconds. */
function withPauses(seed: number): (from: Socket, to: Socket) => void {
  const random = new SeededRandom(seed);
  return (from, to) => {
    from.on("data", (data) => {
      to.write(data);
      if (random.next() > 0.2) return;
      from.pause();
      void sleep(random.next() * 8).then(() => from.resume());
    });
    from.on("end", () => to.end());
  };
}

function transports(baseUrl: string): Record<"connect" | "grpcWeb" | "grpc", Transport> {
  const options = { baseUrl, interceptors: [sendToken(server.token)] };
  return {
    connect: createConnectTransport({ ...options, httpVersion: "1.1" }),
    grpcWeb: createGrpcWebTransport({ ...options, httpVersion: "1.1" }),
    grpc: createGrpcTransport(options),
  };
}

async function start(script: string): Promise<Pick<Job, "id">> {
  const { job } = await server.client.start({ command: "sh", args: ["-c", script] });
  return { id: job!.id };
}

type Hashes = Record<Stream, string>;

function hashesOfLogs({ id }: Pick<Job, "id">): Hashes {
  return hashesOf((stream) => {
    const log = readFileSync(join(server.stateDir, "jobs", id, `${stream}.log`));
    return createHash("sha256").update(log).digest("hex");
  });
}

/** Reads slowly too, now and then. */
async function hashesOfOutput(client: Procman, { id }: Pick<Job, "id">): Promise<Hashes> {
  const hashes = { stdout: createHash("sha256"), stderr: createHash("sha256") };
  const next = { stdout: 0, stderr: 0 };
  let chunks = 0;
  for await (const event of client.attach(id, { follow: true })) {
    if (event.type !== "chunk") continue;
    const { stream, offset, data } = event;
    expect(offset).toBe(next[stream]);
    next[stream] += data.length;
    hashes[stream].update(data);
    chunks += 1;
    if (chunks % 10 === 0) await sleep(3);
  }
  return hashesOf((stream) => hashes[stream].digest("hex"));
}

function hashesOf(hash: (stream: Stream) => string): Hashes {
  const [stdout, stderr] = STREAMS.map(hash) as [string, string];
  return { stdout, stderr };
}
