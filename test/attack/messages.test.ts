import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import {
  envelope,
  FLAG,
  FRAME,
  frame,
  type GrpcRequest,
  grpcHeaders,
  parseFrames,
  PREFACE,
  settings,
} from "../helpers/http2-frames.js";
import { exchange, RawConnection } from "../helpers/raw-connection.js";
import { AttackedServer } from "./attacked-server.js";

const attacked = AttackedServer.shared();

const START = "/procman.v1.ProcmanService/Start";
const WATCH_JOBS = "/procman.v1.ProcmanService/WatchJobs";
const MIB = 1024 * 1024;
/** What 64 MiB of zeros are when compressed, and again: 64 KiB. */
const BOMB = gzipSync(Buffer.alloc(64 * MIB), { level: 9 });
const ZEROS = Buffer.alloc(8 * MIB);
const FRAME_BYTES = 16_384;

interface Message {
  readonly bytes: Buffer;
  readonly isCompressed: boolean;
}
const messages: Record<string, Message> = {
  "twice as large as may be": { bytes: ZEROS, isCompressed: false },
  "a bomb": { bytes: BOMB, isCompressed: true },
};

/** A request over HTTP/1.1, in each form in which a message may come. */
function requests({ bytes, isCompressed }: Message, token?: string): Buffer[] {
  const post = (path: string, type: string, encoding: string, body: Buffer) =>
    Buffer.concat([
      Buffer.from(
        `POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n` +
          (token === undefined ? "" : `Authorization: Bearer ${token}\r\n`) +
          (isCompressed ? `${encoding}: gzip\r\n` : "") +
          `Content-Length: ${body.length}\r\n\r\n`,
      ),
      body,
    ]);
  const enveloped = envelope(bytes, isCompressed ? 1 : 0);
  return [
    post(START, "application/json", "Content-Encoding", bytes),
    post(START, "application/proto", "Content-Encoding", bytes),
    post(WATCH_JOBS, "application/connect+proto", "Connect-Content-Encoding", enveloped),
    post(START, "application/grpc-web+proto", "Grpc-Encoding", enveloped),
    post(WATCH_JOBS, "application/grpc-web+proto", "Grpc-Encoding", enveloped),
  ];
}

/** Waits for an answer that says so, on a connection that stays. */
async function expectAnswer(request: Buffer, what: RegExp): Promise<void> {
  const connection = await RawConnection.open(attacked.port);
  connection.send(request);
  const answer = await eventually("an answer", () => {
    const text = connection.received.toString("latin1");
    return text.includes("\r\n\r\n") && text;
  });
  await eventually("the rest of it", () => what.test(connection.received.toString("latin1"))).catch(
    () => expect(answer).toMatch(what),
  );
  connection.socket.destroy();
}

/** How a call over HTTP/2 was ended that sends those bytes. */
async function call(request: Partial<GrpcRequest>, body: Buffer): Promise<number> {
  const connection = await RawConnection.open(attacked.port);
  const headers = grpcHeaders({ authority: "localhost", path: START, ...request });
  connection.send(Buffer.concat([PREFACE, settings()]));
  connection.send(frame(FRAME.headers, FLAG.endHeaders, 1, headers));
  // No more than the window that a stream begins with.
  for (let at = 0; at < Math.min(body.length, 65_535); at += FRAME_BYTES) {
    const part = body.subarray(at, Math.min(at + FRAME_BYTES, 65_535));
    connection.send(frame(FRAME.data, 0, 1, part));
  }
  const ends = () => parseFrames(connection.received).filter(({ streamId }) => streamId === 1);
  const end = await eventually("the call's end", () =>
    ends().find(({ type }) => type === FRAME.headers || type === FRAME.rstStream),
  );
  connection.socket.destroy();
  return end.type;
}

test.each(Object.entries(messages))("%s, without a token", async (_name, message) => {
  await attacked.attack(async () => {
    const all = Array.from({ length: 10 }, () => requests(message)).flat();
    await Promise.all(
      all.map((request) => expectAnswer(request, /unauthenticated|grpc-status: 16/i)),
    );
    const body = envelope(message.bytes, message.isCompressed ? 1 : 0);
    const more = [["grpc-encoding", "gzip"]] as const;
    for (const [path, end] of [
      // Refused by its headers, and broken off where it needs no token.
      [START, FRAME.headers],
      ["/grpc.health.v1.Health/Check", FRAME.rstStream],
    ] as const) {
      const ends = await Promise.all(Array.from({ length: 50 }, () => call({ path, more }, body)));
      expect(new Set(ends)).toEqual(new Set([end]));
    }
  });
});

test.each(Object.entries(messages))("%s, with the token", async (_name, message) => {
  const { token } = attacked.server;
  await attacked.attack(async () => {
    for (const request of requests(message, token)) {
      await expectAnswer(request, /resource_exhausted|grpc-status: 8/i);
    }
    const body = envelope(message.bytes, message.isCompressed ? 1 : 0);
    const more = [["grpc-encoding", "gzip"]] as const;
    expect(await call({ token, more }, body)).toBe(FRAME.headers);
  });
});

test("a message that says it is 4 GiB long, and small ones that never end", async () => {
  const { token } = attacked.server;
  await attacked.attack(async () => {
    const huge = Buffer.concat([Buffer.of(0, 255, 255, 255, 255), Buffer.alloc(10_000)]);
    expect(await call({ token }, huge)).toBe(FRAME.headers);
    for (const type of ["application/grpc-web+proto", "application/connect+proto"]) {
      const headers = `POST ${WATCH_JOBS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: ${type}\r\nConnection: close\r\n`;
      const request = `${headers}Content-Length: ${huge.length}\r\n\r\n${huge.toString("latin1")}`;
      expect(await exchange(attacked.port, Buffer.from(request, "latin1"))).toMatch(
        /resource_exhausted|grpc-status: 8/i,
      );
      const connection = await RawConnection.open(attacked.port);
      connection.send(`${headers}Transfer-Encoding: chunked\r\n\r\n`);
      const empty = envelope(Buffer.alloc(0)).toString("latin1");
      for (let n = 0; n < 50_000 && !connection.ended; n += 1) {
        connection.send(Buffer.from(`5\r\n${empty}\r\n`, "latin1"));
        if (n % 1000 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      await eventually("to be told that one was enough", () =>
        /unimplemented|grpc-status: 12/i.test(connection.received.toString("latin1")),
      );
      connection.socket.destroy();
    }
  });
});

test("JSON that nests, and numbers and fields without end", async () => {
  const { token } = attacked.server;
  const bodies = [
    `{"labels":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}`,
    "[".repeat(1_000_000),
    `{"timeout":"${"9".repeat(1_000_000)}s"}`,
    `{"command":"x","env":{${Array.from({ length: 50_000 }, (_, n) => `"a${n}":"b"`).join(",")}}}`,
    `{"__proto__":{"command":"x"},"constructor":1}`,
  ];
  await attacked.attack(async () => {
    for (const body of bodies) {
      const request = `POST ${START} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
      expect(await exchange(attacked.port, request)).toMatch(/^HTTP\/1.1 4\d\d /);
    }
  });
});
