import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test } from "vitest";
import { DEFAULT_TIMEOUTS, type Timeouts } from "../../../src/server/limits.js";
import { eventually } from "../../helpers/eventually.js";
import { type FakeServer, networkClient, startFakeServer } from "../../helpers/fake-server.js";
import {
  CANCEL,
  envelope,
  FLAG,
  FRAME,
  type Frame,
  frame,
  type GrpcRequest,
  grpcCall,
  grpcHeaders,
  headerBlock,
  parseFrames,
  PREFACE,
  SETTING,
  settings,
  uint32,
} from "../../helpers/http2-frames.js";
import { RawConnection } from "../../helpers/raw-connection.js";

const PATH = "/procman.v1.ProcmanService";
const HEALTH = "/grpc.health.v1.Health/Check";
/** id: "a", follow: true */
const ATTACH_A = Buffer.from([0x0a, 1, 0x61, 0x18, 1]);
const ENHANCE_YOUR_CALM = 11;
const REFUSED_STREAM = 7;
const NO_ERROR = 0;
const IMPATIENT_WHEN_IDLE = { idlePingIntervalMs: 100, idlePingTimeoutMs: 100 };

/** It stands whatever was done to it, and has nothing to complain of. */
async function start(timeouts: Partial<Timeouts> = {}): Promise<FakeServer> {
  const server = await startFakeServer({ timeouts });
  onTestFinished(async () => {
    await networkClient(server, "grpc").list({});
    expect(server.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
  return server;
}

async function open({ port }: FakeServer): Promise<RawConnection> {
  const connection = await RawConnection.open(port);
  connection.send(Buffer.concat([PREFACE, settings()]));
  await eventually("the server's SETTINGS", () => framesOf(connection).length > 0);
  return connection;
}

function framesOf(connection: RawConnection): Frame[] {
  return parseFrames(connection.received);
}

/** With what code each stream was reset. */
function resets(connection: RawConnection): Map<number, number> {
  const frames = framesOf(connection).filter(({ type }) => type === FRAME.rstStream);
  return new Map(frames.map(({ streamId, payload }) => [streamId, payload.readUInt32BE()]));
}

/** With what code the server has said that the connection is over. */
function goawayCode(connection: RawConnection): number | undefined {
  return framesOf(connection)
    .find(({ type }) => type === FRAME.goaway)
    ?.payload.readUInt32BE(4);
}

/** The headers of a call, whose request goes on. */
function begin(streamId: number, request: Partial<GrpcRequest> = {}): Buffer {
  const block = grpcHeaders({ authority: "localhost", path: `${PATH}/List`, ...request });
  return frame(FRAME.headers, FLAG.endHeaders, streamId, block);
}

/** Connections that are open in this process, at either end. */
function openSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length;
}

describe("connections that do not get on", () => {
  test.each([
    ["asks nothing, and stays", ""],
    ["has asked, and stays", "x"],
  ])(
    "one that %s is closed after a while, also where it does not close its side",
    async (_, asked) => {
      // Not for want of an answer to a ping.
      const server = await start({ idleMs: 100, handshakeMs: 200, idlePingIntervalMs: 60_000 });
      const before = openSockets();
      const connection = await open(server);
      if (asked !== "") {
        connection.send(grpcCall(1, { authority: "localhost", path: HEALTH }, Buffer.alloc(0)));
        await eventually("an answer", () =>
          framesOf(connection).some(({ type }) => type === FRAME.headers),
        );
      }
      await connection.untilClosed();
      // Its own end is still open.
      await eventually("the server's end to be closed", () => openSockets() <= before + 1);
    },
  );

  test("one whose client does not answer a ping is closed, with its streams", async () => {
    const server = await start({ keepaliveMs: 100 });
    server.procman.addJob("a");
    const connection = await open(server);
    const path = `${PATH}/Attach`;
    connection.send(grpcCall(1, { authority: "localhost", path, token: server.token }, ATTACH_A));
    await eventually("the stream", () => server.procman.openStreams === 1);
    await connection.untilClosed();
    await eventually("the stream's release", () => server.procman.openStreams === 0);
  });

  test("one without calls whose client does not answer a ping is closed sooner", async () => {
    const server = await start(IMPATIENT_WHEN_IDLE);
    const connection = await open(server);
    await connection.untilClosed();
  });

  test("an idle one has time to answer a ping where its client reads every 5 s alone", () => {
    expect(DEFAULT_TIMEOUTS.idlePingTimeoutMs).toBeGreaterThanOrEqual(2 * 5000);
  });

  test("one that answers pings stays", async () => {
    const server = await start({ keepaliveMs: 100, ...IMPATIENT_WHEN_IDLE });
    server.procman.addJob("a");
    const stream = networkClient(server, "grpc").attach({ id: "a", follow: true });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    await sleep(300);
    server.procman.write("a", "still there");
    expect((await iterator.next()).value?.event.case).toBe("chunk");
    await iterator.return?.();
  });

  // nghttp2 stops to read such a connection, and Node keeps it, also when its client has left.
  test.each([
    ["DATA of no stream", frame(FRAME.data, 0, 1, Buffer.alloc(10))],
    ["CONTINUATION of nothing", frame(FRAME.continuation, 0, 1, Buffer.alloc(10))],
    ["a push", frame(FRAME.pushPromise, 0, 1, Buffer.alloc(10))],
    ["a stream of the server's", frame(FRAME.headers, FLAG.endHeaders, 2, Buffer.alloc(10))],
    ["headers that do not unpack", frame(FRAME.headers, FLAG.endHeaders, 1, Buffer.alloc(9, 255))],
    ["a window of no size", frame(FRAME.windowUpdate, 0, 0, uint32(0))],
    ["a window too large", frame(FRAME.windowUpdate, 0, 0, uint32(2 ** 31 - 1))],
    ["SETTINGS of no size", frame(FRAME.settings, 0, 0, Buffer.alloc(5))],
    ["SETTINGS of no sense", settings({ [SETTING.initialWindowSize]: 2 ** 31 })],
    ["PING of no size", frame(FRAME.ping, 0, 0, Buffer.alloc(7))],
    ["GOAWAY", frame(FRAME.goaway, 0, 0, Buffer.alloc(8))],
    ["a frame of 16 MiB", Buffer.from([255, 255, 255, 0, 0, 0, 0, 0, 1])],
  ])("one that is broken by %s is let go, with its streams", async (_name, bytes) => {
    const server = await start({ keepaliveMs: 100, ...IMPATIENT_WHEN_IDLE });
    server.procman.addJob("a");
    const before = openSockets();
    const connection = await open(server);
    const path = `${PATH}/Attach`;
    connection.send(grpcCall(1, { authority: "localhost", path, token: server.token }, ATTACH_A));
    await eventually("the stream", () => server.procman.openStreams === 1);
    connection.send(bytes);
    connection.socket.end();
    await eventually("the stream's release", () => server.procman.openStreams === 0);
    connection.socket.destroy();
    await eventually("the connection's release", () => openSockets() <= before);
  });
});

describe("requests that are not whole", () => {
  test.each([
    ["no message", Buffer.alloc(0)],
    ["half a message", envelope(ATTACH_A).subarray(0, 7)],
    ["a message that may be followed by another", envelope(ATTACH_A)],
  ])("one with %s is broken off in time", async (_name, body) => {
    const server = await start({ requestMs: 100 });
    const connection = await open(server);
    connection.send(begin(1, { token: server.token, path: `${PATH}/Attach` }));
    connection.send(frame(FRAME.data, 0, 1, body));
    await eventually("its reset", () => resets(connection).get(1) === CANCEL);
    expect(server.procman.calls).toEqual([]);
  });

  test("one that is answered before is not kept", async () => {
    const server = await start();
    const connection = await open(server);
    const calls = [
      begin(1),
      begin(3, { authority: "evil.example" }),
      begin(5, { authority: "[" }),
      begin(7, { token: server.token, path: `${PATH}/Nope` }),
      begin(9, { token: server.token, more: [["grpc-timeout", "x"]] }),
    ];
    connection.send(Buffer.concat(calls));
    await eventually("the reset of each", () => resets(connection).size === calls.length);
    expect([...resets(connection).values()]).toEqual(calls.map(() => NO_ERROR));
  });

  test("one whose deadline passes before it is whole is not begun when it is", async () => {
    const server = await start();
    server.procman.addJob("a");
    const connection = await open(server);
    const more = [["grpc-timeout", "20m"]] as const;
    connection.send(begin(1, { token: server.token, path: `${PATH}/Attach`, more }));
    connection.send(frame(FRAME.data, 0, 1, envelope(ATTACH_A)));
    await eventually("the answer", () =>
      framesOf(connection).some(({ type, streamId }) => type === FRAME.headers && streamId === 1),
    );
    connection.send(frame(FRAME.data, FLAG.endStream, 1));
    connection.send(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
    await eventually("the answer to a ping", () =>
      framesOf(connection).some(({ type }) => type === FRAME.ping),
    );
    await sleep(50);
    expect(server.procman.openStreams).toBe(0);
    expect(server.procman.calls).toEqual([]);
  });
});

describe("calls that are none any more", () => {
  test.each([
    ["of a call", begin(1).subarray(9)],
    [
      "of another content type",
      headerBlock([
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "localhost"],
        ["content-type", "text/plain"],
      ]),
    ],
    ["of no method", begin(1, { path: `${PATH}/Nope` }).subarray(9)],
  ])(
    "a stream %s, opened and reset in the first packet, ends nothing else",
    async (_name, block) => {
      const server = await start();
      const connection = await RawConnection.open(server.port);
      connection.send(
        Buffer.concat([
          PREFACE,
          settings(),
          frame(FRAME.headers, FLAG.endHeaders, 1, block),
          frame(FRAME.rstStream, 0, 1, uint32(CANCEL)),
          frame(FRAME.ping, 0, 0, Buffer.alloc(8)),
        ]),
      );
      await eventually("the answer to a ping", () =>
        framesOf(connection).some(({ type }) => type === FRAME.ping),
      );
    },
  );

  test("a connection on which one after another is cancelled is closed", async () => {
    const server = await start();
    server.procman.addJob("a");
    const connection = await open(server);
    const request = { authority: "localhost", path: `${PATH}/Attach`, token: server.token };
    for (let n = 0; n < 950; n += 1) {
      const id = 2 * n + 1;
      // Most without a message: calls that begin take long, and meanwhile others are forgiven.
      const call = n < 50 ? grpcCall(id, request, ATTACH_A) : begin(id, request);
      connection.send(Buffer.concat([call, frame(FRAME.rstStream, 0, id, uint32(CANCEL))]));
    }
    await connection.untilClosed();
    // Not for want of an answer to a ping.
    expect(goawayCode(connection)).toBe(ENHANCE_YOUR_CALM);
    await eventually("the streams' release", () => server.procman.openStreams === 0);
  });

  test("calls may be cancelled by hundreds, and again after a while", async () => {
    const server = await start();
    const connection = await open(server);
    const request = { authority: "localhost", path: `${PATH}/List`, token: server.token };
    let streamId = 1;
    const cancelMany = async (count: number) => {
      for (let n = 0; n < count; n += 1, streamId += 2) {
        const reset = frame(FRAME.rstStream, 0, streamId, uint32(CANCEL));
        connection.send(Buffer.concat([begin(streamId, request), reset]));
      }
      connection.send(grpcCall(streamId, request, Buffer.alloc(0)));
      const last = streamId;
      streamId += 2;
      await eventually("an answer to one that is not", () =>
        framesOf(connection).some(({ type, streamId }) => type === FRAME.data && streamId === last),
      );
    };
    await cancelMany(450);
    // 33 a second are forgiven, so 450 and 120 are not too many after three.
    await sleep(3000);
    await cancelMany(120);
  });

  test("a connection on which every call is refused is closed, one on which some are is not", async () => {
    const server = await start();
    const connection = await open(server);
    let streamId = 1;
    const call = (token: string) => {
      connection.send(
        grpcCall(
          streamId,
          { authority: "localhost", path: `${PATH}/List`, token },
          Buffer.alloc(0),
        ),
      );
      streamId += 2;
    };
    for (let n = 0; n < 120; n += 1) call(n % 40 === 39 ? server.token : "wrong");
    await eventually("the answers", () => server.procman.calls.length === 3);
    for (let n = 0; n < 60; n += 1) call("wrong");
    await connection.untilClosed();
    expect(goawayCode(connection)).toBe(ENHANCE_YOUR_CALM);
  });
});

describe("calls that need no token", () => {
  test("may be small, and not large", async () => {
    const server = await start();
    const connection = await open(server);
    const request = { authority: "localhost", path: HEALTH };
    const compressed = { ...request, more: [["grpc-encoding", "gzip"]] as const };
    const bomb = envelope(gzipSync(Buffer.alloc(4 * 1024 * 1024)), 1);
    connection.send(grpcCall(1, request, Buffer.from("\x0a\x19procman.v1.ProcmanService")));
    connection.send(begin(3, request));
    connection.send(frame(FRAME.data, FLAG.endStream, 3, envelope(Buffer.alloc(1000))));
    connection.send(begin(5, compressed));
    connection.send(
      frame(FRAME.data, 0, 5, Buffer.concat([envelope(Buffer.alloc(0)), bomb, bomb])),
    );
    await eventually("two to be reset", () => resets(connection).size === 2);
    expect([...resets(connection)]).toEqual([
      [3, ENHANCE_YOUR_CALM],
      [5, ENHANCE_YOUR_CALM],
    ]);
    await eventually("the answer to the small one", () =>
      framesOf(connection).some(({ type, streamId }) => type === FRAME.data && streamId === 1),
    );
  });

  test("may be many, but not at once: new ones end the oldest, of one connection and of all", async () => {
    const server = await start();
    const watch = { authority: "localhost", path: "/grpc.health.v1.Health/Watch" };
    const connections: RawConnection[] = [];
    const openWith = async (watches: number) => {
      const connection = await open(server);
      for (let n = 0; n < watches; n += 1) {
        connection.send(grpcCall(2 * n + 1, watch, Buffer.alloc(0)));
      }
      await eventually("all to be answered or ended", () => {
        const answered = framesOf(connection).filter(({ type }) => type === FRAME.data);
        return (
          new Set([...answered.map(({ streamId }) => streamId), ...resets(connection).keys()])
            .size === watches
        );
      });
      connections.push(connection);
      return connection;
    };
    const greedy = await openWith(110);
    await eventually("all but ten to be ended", () => resets(greedy).size === 100);
    expect(new Set(resets(greedy).values())).toEqual(new Set([REFUSED_STREAM]));
    expect(Math.max(...resets(greedy).keys())).toBe(199);
    // A hundred in all: those of the first connection are the oldest.
    for (let n = 0; n < 10; n += 1) await openWith(10);
    await eventually("the oldest to be ended", () => resets(greedy).size === 110);
    for (const connection of connections.slice(1)) expect(resets(connection).size).toBe(0);
    const balancer = await open(server);
    balancer.send(grpcCall(1, { ...watch, path: HEALTH }, Buffer.alloc(0)));
    await eventually("an answer", () => framesOf(balancer).some(({ type }) => type === FRAME.data));
    // Those with the token are not among them.
    const other = await open(server);
    other.send(grpcCall(1, { ...watch, token: server.token }, Buffer.alloc(0)));
    await eventually("an answer", () => framesOf(other).some(({ type }) => type === FRAME.data));
    expect(resets(other).size).toBe(0);
  });
});
