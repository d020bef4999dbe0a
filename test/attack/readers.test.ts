import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  AttachRequestSchema,
  Stream,
  WatchRequestSchema,
} from "../../gen/procman/v1/procman_pb.js";
import {
  bytesRead,
  inotifyWatches,
  peakRssKib,
  resetPeakRss,
  rssKib,
} from "../crash/process-figures.js";
import { eventually } from "../helpers/eventually.js";
import {
  CANCEL,
  envelope,
  FRAME,
  frame,
  greedyStart,
  grpcCall,
  PREFACE,
  settings,
  uint32,
} from "../helpers/http2-frames.js";
import { RawConnection } from "../helpers/raw-connection.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";
import { PROTOCOLS, type Protocol } from "./normal-client.js";

const SERVICE = "/procman.v1.ProcmanService";
const MIB = 1024 * 1024;
const OUTPUT_BYTES = 100 * MIB;
const READERS = 5;
/** What a client that reads nothing may cost: what is on its way, and no more. */
const MAX_KIB_A_READER = 10 * 1024;

const timersFile = join(sharedTempDir(), "timers");
const server = TestServer.shared({
  env: {
    NODE_OPTIONS: `--require ${join(import.meta.dirname, "../helpers/count-timers.cjs")}`,
    PROCMAN_TEST_TIMERS: timersFile,
  },
});

interface Call {
  readonly method: string;
  readonly message: Uint8Array;
}

/** What holds the server back: nothing but the connection, or, over gRPC, the stream's window. */
type Stall = "connection" | "window";

/** A client that asks, and then takes nothing. */
async function stalledReader(
  protocol: Protocol,
  call: Call,
  stall: Stall = "connection",
): Promise<RawConnection> {
  const { port, host } = new URL(server.baseUrl);
  const connection = await RawConnection.open(Number(port));
  if (stall === "connection") connection.socket.pause();
  connection.send(bytesOf(protocol, host, call, stall));
  return connection;
}

function bytesOf(
  protocol: Protocol,
  authority: string,
  { method, message }: Call,
  stall: Stall,
): Buffer {
  const path = `${SERVICE}/${method}`;
  const { token } = server;
  switch (protocol) {
    case "grpc": {
      const start = stall === "connection" ? greedyStart() : Buffer.concat([PREFACE, settings()]);
      return Buffer.concat([start, grpcCall(1, { authority, path, token }, message)]);
    }
    case "connect":
    case "grpc-web": {
      const body = envelope(message);
      const type =
        protocol === "connect" ? "application/connect+proto" : "application/grpc-web+proto";
      const headers =
        `POST ${path} HTTP/1.1\r\nHost: ${authority}\r\nAuthorization: Bearer ${token}\r\n` +
        `Content-Type: ${type}\r\nContent-Length: ${body.length}\r\n\r\n`;
      return Buffer.concat([Buffer.from(headers), body]);
    }
  }
}

function attach(id: string): Call {
  const request = create(AttachRequestSchema, { id, follow: true });
  return { method: "Attach", message: toBinary(AttachRequestSchema, request) };
}

async function start(script: string): Promise<string> {
  const { job } = await server.client.start({ command: "sh", args: ["-c", script] });
  const id = job!.id;
  onTestFinished(async () => {
    await server.client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 0 } });
    await server.client.remove({ id });
  });
  return id;
}

/** A job that has written much and goes on; its output is always the same. */
async function startTalker(): Promise<string> {
  const id = await start(`head -c ${OUTPUT_BYTES} /dev/zero | tr '\\0' 'x'; exec sleep 1000`);
  await eventually("its output", async () => {
    const { job: seen } = await server.client.get({ id });
    return seen!.stdoutBytes === BigInt(OUTPUT_BYTES);
  });
  return id;
}

async function readAll(id: string): Promise<{ bytes: number; hash: string }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const { event } of server.client.attach({ id, streams: [Stream.STDOUT] })) {
    if (event.case !== "chunk") continue;
    hash.update(event.value.data);
    bytes += event.value.data.length;
  }
  return { bytes, hash: hash.digest("hex") };
}

/** Waits until the server reads no more for anybody. */
async function untilStill(): Promise<void> {
  await eventually("the server to stand still", async () => {
    const before = bytesRead(server.pid);
    await sleep(200);
    return bytesRead(server.pid) === before;
  });
}

/** What the server holds; one descriptor for all of its watches is left out. */
interface Held {
  readonly files: number;
  readonly watches: number;
  readonly timers: number;
}

async function held(): Promise<Held> {
  const files = server.openFiles().filter((path) => path !== "anon_inode:inotify");
  rmSync(timersFile, { force: true });
  process.kill(server.pid, "SIGUSR2");
  await eventually("the number of timers", () => existsSync(timersFile));
  const timers = Number(readFileSync(timersFile, "utf8"));
  return { files: files.length, watches: inotifyWatches(server.pid), timers };
}

/** The same in two looks: connections that clients of before have kept are closed after 5 s. */
async function heldWhenQuiet(): Promise<Held> {
  let last = await held();
  await eventually("a quiet server", async () => {
    const before = last;
    await sleep(300);
    last = await held();
    return JSON.stringify(last) === JSON.stringify(before);
  });
  return last;
}

describe.each(PROTOCOLS)("over %s", (protocol) => {
  test("readers that stall cost little, and slow nobody else", async () => {
    const id = await startTalker();
    // What the server takes to have done it once is not what a reader costs.
    await readAll(id);
    const before = rssKib(server.pid);
    resetPeakRss(server.pid);
    for (let n = 0; n < READERS; n += 1) await stalledReader(protocol, attach(id));
    await untilStill();
    expect((peakRssKib(server.pid) - before) / READERS).toBeLessThan(MAX_KIB_A_READER);
    expect(await readAll(id)).toEqual({
      bytes: OUTPUT_BYTES,
      hash: createHash("sha256").update(Buffer.alloc(OUTPUT_BYTES, "x")).digest("hex"),
    });
    expect((await server.client.list({})).jobs).toHaveLength(1);
  });

  interface Vanishing {
    readonly stall: Stall;
    readonly vanish: (connection: RawConnection) => void;
  }
  const cancel = (connection: RawConnection) =>
    connection.send(frame(FRAME.rstStream, 0, 1, uint32(CANCEL)));
  const vanishing: Record<string, Vanishing> = {
    "is reset": { stall: "connection", vanish: ({ socket }) => socket.resetAndDestroy() },
    "closes, with bytes unread": { stall: "connection", vanish: ({ socket }) => socket.destroy() },
    ...(protocol === "grpc" ? { cancels: { stall: "window", vanish: cancel } } : {}),
  };
  test.each(Object.entries(vanishing))(
    "a reader that %s while the server waits to write: all that it held is released",
    async (_how, { stall, vanish }) => {
      const id = await startTalker();
      const request = { id, streams: [Stream.STDOUT] };
      const calls = [
        attach(id),
        // Nothing to write there: the server waits for more.
        attach(await start("exec sleep 1000")),
        {
          method: "Watch",
          message: toBinary(WatchRequestSchema, create(WatchRequestSchema, request)),
        },
      ];
      const before = await heldWhenQuiet();
      const readers: RawConnection[] = [];
      for (const call of calls) readers.push(await stalledReader(protocol, call, stall));
      await untilStill();
      const during = await held();
      expect(during.files).toBeGreaterThan(before.files + readers.length);
      expect(during.watches).toBeGreaterThan(before.watches);
      for (const reader of readers) vanish(reader);
      await eventually("the release of all", async () => {
        const now = await held();
        // One that has only cancelled keeps its connection.
        const kept = readers.filter(({ socket }) => !socket.destroyed).length;
        return (
          now.files <= before.files + kept &&
          now.watches <= before.watches &&
          now.timers <= before.timers + kept
        );
      });
    },
  );
});
