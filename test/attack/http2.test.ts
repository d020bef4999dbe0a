import { create, toBinary } from "@bufbuild/protobuf";
import { expect, test } from "vitest";
import { StartRequestSchema, WatchJobsRequestSchema } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { RawConnection } from "../helpers/raw-connection.js";
import { AttackedServer } from "./attacked-server.js";
import {
  CANCEL,
  envelope,
  FLAG,
  FRAME,
  type Frame,
  frame,
  grpcCall,
  grpcHeaders,
  headerBlock,
  parseFrames,
  PREFACE,
  SETTING,
  settings,
  uint32,
} from "../helpers/http2-frames.js";

const attacked = AttackedServer.shared();

const PATH = "/procman.v1.ProcmanService";
const LIST = () => grpcHeaders({ authority: attacked.authority, path: `${PATH}/List` });
const LIST_WITH_TOKEN = () => {
  const { authority, server } = attacked;
  return grpcHeaders({ authority, path: `${PATH}/List`, token: server.token });
};

const ENHANCE_YOUR_CALM = 11;

/** For what keeps the server busy for a while, on a machine that is busy itself. */
const PATIENCE_MS = 60_000;

/** As clients number their streams. */
const streamId = (n: number) => 2 * n + 1;

async function open(start: Uint8Array = settings()): Promise<RawConnection> {
  const connection = await RawConnection.open(attacked.port);
  connection.send(Buffer.concat([PREFACE, start]));
  await eventually("the server's SETTINGS", () => framesOf(connection).length > 0);
  return connection;
}

function framesOf(connection: RawConnection): Frame[] {
  return parseFrames(connection.received);
}

/**
 * Sends until there is no more, the other side has closed, or it does not read any more.
 * Returns how many pieces that were.
 */
async function flood(connection: RawConnection, pieces: Iterable<Uint8Array>): Promise<number> {
  let sent = 0;
  for (const piece of pieces) {
    if (connection.ended || connection.socket.destroyed) break;
    connection.send(piece);
    sent += 1;
    if (!connection.socket.writableNeedDrain) continue;
    const drained = () => !connection.socket.writableNeedDrain || connection.socket.destroyed;
    if (!(await settles(drained))) break;
  }
  return sent;
}

/** Whether a condition comes true before long; else it is not going to. */
async function settles(condition: () => boolean): Promise<boolean> {
  return eventually("it", condition, 500).catch(() => false);
}

function* times<T>(count: number, make: (n: number) => T): Generator<T> {
  for (let n = 0; n < count; n += 1) yield make(n);
}

/** With what code each stream was reset. */
function resets(connection: RawConnection): number[] {
  return framesOf(connection)
    .filter(({ type }) => type === FRAME.rstStream)
    .map(({ payload }) => payload.readUInt32BE());
}

/** Whether the server has said that it goes, or has gone. */
function isGone(connection: RawConnection): boolean {
  return connection.ended || framesOf(connection).some(({ type }) => type === FRAME.goaway);
}

test.each([
  ["of a call", LIST],
  [
    "of no call: another content type",
    () =>
      headerBlock([
        [":method", "POST"],
        [":scheme", "http"],
        [":path", "/"],
        [":authority", "localhost"],
        ["content-type", "text/plain"],
      ]),
  ],
  [
    "of no call: a method that there is not",
    () => grpcHeaders({ authority: "localhost", path: `${PATH}/Nope` }),
  ],
])("streams %s, opened and reset in a connection's first packet", async (_name, headers) => {
  const opened = (n: number) =>
    Buffer.concat([
      frame(FRAME.headers, FLAG.endHeaders, streamId(n), headers()),
      frame(FRAME.rstStream, 0, streamId(n), uint32(CANCEL)),
    ]);
  const ping = frame(FRAME.ping, 0, 0, Buffer.alloc(8));
  await attacked.attack(async () => {
    for (let round = 0; round < 10; round += 1) {
      const connection = await RawConnection.open(attacked.port);
      connection.send(Buffer.concat([PREFACE, settings(), ...times(100, opened), ping]));
      const isAnswered = () => framesOf(connection).some(({ type }) => type === FRAME.ping);
      await eventually("an answer, or none", () => isGone(connection) || isAnswered());
      connection.socket.destroy();
    }
  });
});

test("rapid reset: a flood of calls that are cancelled at once", async () => {
  const { authority, server } = attacked;
  const headers = grpcHeaders({ authority, path: `${PATH}/WatchJobs`, token: server.token });
  const request = create(WatchJobsRequestSchema, { labels: { there: "is none" } });
  const message = toBinary(WatchJobsRequestSchema, request);
  const cancelled = (n: number) =>
    Buffer.concat([
      frame(FRAME.headers, FLAG.endHeaders, streamId(n), headers),
      frame(FRAME.data, FLAG.endStream, streamId(n), envelope(message)),
      frame(FRAME.rstStream, 0, streamId(n), uint32(CANCEL)),
    ]);
  await attacked.attack(async () => {
    for (let round = 0; round < 2; round += 1) {
      const connection = await open();
      await flood(connection, times(1200, cancelled));
      await eventually("the server to have enough", () => isGone(connection), PATIENCE_MS);
      connection.socket.destroy();
    }
  });
});

test("headers that go on in CONTINUATION frames without end", async () => {
  const part = (n: number) =>
    frame(FRAME.continuation, 0, 1, headerBlock([[`x-${n}`, "y".repeat(8000)]]));
  await attacked.attack(async () => {
    for (let round = 0; round < 5; round += 1) {
      const connection = await open();
      connection.send(frame(FRAME.headers, 0, 1, LIST()));
      await flood(connection, times(2000, part));
      await eventually("the server to have enough", () => isGone(connection), PATIENCE_MS);
      connection.socket.destroy();
    }
    // Empty ones take no room in any buffer.
    const connection = await open();
    connection.send(frame(FRAME.headers, 0, 1, LIST()));
    await flood(
      connection,
      times(20_000, () => frame(FRAME.continuation, 0, 1)),
    );
    await eventually("the server to have enough", () => isGone(connection), PATIENCE_MS);
    connection.socket.destroy();
  });
});

test("headers that unpack to far more than they are", async () => {
  // The first puts 4,000 bytes into the table, at index 62; the rest of each block refers to it.
  const value = "y".repeat(3900);
  const block = LIST();
  const indexed = Buffer.concat([Buffer.of(0x40), headerBlock([["x", value]]).subarray(1)]);
  const referring = Buffer.concat([block, Buffer.alloc(10_000, 0x80 + 62)]);
  await attacked.attack(async () => {
    const connection = await open();
    connection.send(
      frame(FRAME.headers, FLAG.endHeaders, streamId(0), Buffer.concat([block, indexed])),
    );
    const sent = await flood(
      connection,
      times(500, (n) => frame(FRAME.headers, FLAG.endHeaders, streamId(n + 1), referring)),
    );
    // None of them is a call: each stream is closed before it is one.
    const calm = () => resets(connection).filter((code) => code === ENHANCE_YOUR_CALM).length;
    await eventually("each to be refused", () => calm() === sent, PATIENCE_MS);
    connection.socket.destroy();
  });
});

test("many headers, and huge ones", async () => {
  const { authority } = attacked;
  const path = `${PATH}/List`;
  const fields = (count: number, value: string) =>
    Array.from({ length: count }, (_, n) => [`x-${n}`, value] as const);
  const closed = (connection: RawConnection) => resets(connection).includes(ENHANCE_YOUR_CALM);
  const answered = (connection: RawConnection) =>
    framesOf(connection).some(({ type }) => type === FRAME.headers);
  const cases = [
    { more: fields(1000, "y"), outcome: closed },
    // A frame holds 16 KiB. Four of them, and eight, are a call like others, without a token.
    { more: fields(16, "y".repeat(4000)), outcome: answered },
    { more: fields(32, "y".repeat(4000)), outcome: answered },
    { more: fields(60, "y".repeat(4000)), outcome: isGone },
  ];
  await attacked.attack(async () => {
    for (const { more, outcome } of cases) {
      const block = grpcHeaders({ authority, path, more });
      const connection = await open();
      connection.send(frame(FRAME.headers, 0, 1, block.subarray(0, 16_000)));
      for (let at = 16_000; at < block.length; at += 16_000) {
        const isLast = at + 16_000 >= block.length;
        const flags = isLast ? FLAG.endHeaders : 0;
        connection.send(frame(FRAME.continuation, flags, 1, block.subarray(at, at + 16_000)));
      }
      await eventually("the outcome", () => outcome(connection), PATIENCE_MS);
      connection.socket.destroy();
    }
  });
});

test.each([
  ["PING", () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))],
  ["SETTINGS", () => settings({ [SETTING.initialWindowSize]: 1000 })],
  ["a header table's size", () => settings({ [SETTING.headerTableSize]: 0 })],
  ["empty DATA", () => frame(FRAME.data, 0, 1)],
  ["PRIORITY", () => frame(FRAME.priority, 0, 1, Buffer.of(0, 0, 0, 3, 1))],
  ["WINDOW_UPDATE", () => frame(FRAME.windowUpdate, 0, 0, uint32(1))],
  ["frames of a type that there is not", () => frame(99, 0, 0, Buffer.alloc(100))],
  ["calls for nothing", (n: number) => frame(FRAME.headers, FLAG.endHeaders, streamId(n), LIST())],
])("a flood of %s, from a client that reads nothing", async (_name, make) => {
  await attacked.attack(async () => {
    const connection = await open();
    connection.send(frame(FRAME.headers, FLAG.endHeaders, 1, LIST_WITH_TOKEN()));
    connection.socket.pause();
    await flood(
      connection,
      times(50, (n) => Buffer.concat([...times(1000, (m) => make(n * 1000 + m + 1))])),
    );
    connection.socket.destroy();
  });
});

test("authorities that are none, and those of others, start nothing", async () => {
  const { token } = attacked.server;
  const request = { command: "true", labels: { smuggled: "yes" } };
  const message = toBinary(StartRequestSchema, create(StartRequestSchema, request));
  const authorities = ["", "[", "[::1", "a b", "user@localhost", "evil.example", "localhost:99999"];
  const origins = ["null", "https://evil.example", "http://localhost:1"];
  const path = `${PATH}/Start`;
  await attacked.attack(async () => {
    const calls = [
      ...authorities.map((authority) => grpcCall(1, { authority, path, token }, message)),
      ...origins.map((origin) => {
        const more = [["origin", origin]] as const;
        return grpcCall(1, { authority: attacked.authority, path, token, more }, message);
      }),
    ];
    for (const call of calls) {
      const connection = await open();
      connection.send(call);
      await eventually("an answer, or none", () => {
        const types = framesOf(connection).map(({ type }) => type);
        return (
          isGone(connection) || types.includes(FRAME.rstStream) || types.includes(FRAME.headers)
        );
      });
      connection.socket.destroy();
    }
    const { jobs } = await attacked.server.client.list({ labels: { smuggled: "yes" } });
    expect(jobs).toEqual([]);
  });
});

test("refused calls, whose requests never end, are not kept", async () => {
  await attacked.attack(async () => {
    const connection = await open();
    const calls = [
      LIST(),
      grpcHeaders({ authority: "evil.example", path: `${PATH}/List` }),
      grpcHeaders({ authority: "localhost", path: `${PATH}/Nope` }),
    ];
    for (const [n, call] of calls.entries()) {
      connection.send(frame(FRAME.headers, FLAG.endHeaders, streamId(n), call));
    }
    await eventually("each to be closed", () => {
      const closed = framesOf(connection).filter(({ type }) => type === FRAME.rstStream);
      return closed.length === calls.length;
    });
    connection.socket.destroy();
  });
});
