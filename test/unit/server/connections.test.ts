import { connect as http2Connect } from "node:http2";
import { connect } from "node:net";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { protocolOf } from "../../../src/server/listeners/sniff-protocol.js";
import { collect, errorOf } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";
import { type FakeServer, networkClient, startFakeServer } from "../../helpers/fake-server.js";
import { envelope } from "../../helpers/http2-frames.js";
import { exchange, RawConnection } from "../../helpers/raw-connection.js";

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const EMPTY_SETTINGS = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
const HTTP2_START = Buffer.concat([PREFACE, EMPTY_SETTINGS]);

let server: FakeServer;
beforeEach(async () => {
  // Nothing is closed for being slow, where a test does not say so.
  server = await startFakeServer({ timeouts: { handshakeMs: 60_000, idlePingIntervalMs: 60_000 } });
  // It is to stand whatever was done to it, for each protocol.
  onTestFinished(async () => {
    for (const protocol of ["connect", "grpc-web", "grpc"] as const) {
      await networkClient(server, protocol).list({});
    }
    expect(server.logged.filter(({ level }) => Number(level) >= 50)).toEqual([]);
  });
});

function isSettingsFrame(bytes: Buffer): boolean {
  return bytes.length >= 9 && bytes[3] === 4;
}

describe("which protocol", () => {
  test("is undecided as long as it can be both", () => {
    for (let length = 0; length < PREFACE.length; length += 1) {
      expect(protocolOf(PREFACE.subarray(0, length))).toBeUndefined();
    }
    expect(protocolOf(PREFACE)).toBe("http2");
    expect(protocolOf(HTTP2_START)).toBe("http2");
    expect(protocolOf(Buffer.from("PRO"))).toBe("http1");
    expect(protocolOf(Buffer.from("P"))).toBeUndefined();
    expect(protocolOf(Buffer.from("G"))).toBe("http1");
  });

  test("HTTP/2, byte by byte", async () => {
    const connection = await RawConnection.open(server.port);
    await connection.sendSlowly(HTTP2_START);
    await eventually("the server's SETTINGS", () => isSettingsFrame(connection.received));
  });

  test("HTTP/1.1, byte by byte", async () => {
    const connection = await RawConnection.open(server.port);
    const request = `GET /healthz HTTP/1.1\r\nHost: ${server.authority}\r\nConnection: close\r\n\r\n`;
    await connection.sendSlowly(Buffer.from(request));
    expect(await connection.untilClosed()).toMatch(/^HTTP\/1.1 200 OK\r\n.*\r\nok\n$/s);
  });

  test("what begins like HTTP/2 and goes on otherwise is a bad request", async () => {
    expect(await exchange(server.port, "PRI * HTTP/1.1\r\nHost: x\r\n\r\n")).toMatch(
      /^HTTP\/1.1 400 /,
    );
  });

  test.each([
    ["TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "x".repeat(100)],
    ["noise", "\x00\x01\x02\xff\xfe\r\n\r\n"],
    ["SSH", "SSH-2.0-OpenSSH_9.2\r\n"],
  ])("%s is a bad request", async (_name, bytes) => {
    const connection = await RawConnection.open(server.port);
    connection.send(Buffer.from(bytes, "latin1"));
    expect(await connection.untilClosed()).toMatch(/^HTTP\/1.1 400 /);
  });

  test("many at once, of both kinds", async () => {
    const clients = (["connect", "grpc", "grpc-web"] as const).map((p) => networkClient(server, p));
    const calls = Array.from({ length: 100 }, (_, i) => clients[i % 3]!.list({}));
    expect(await Promise.all(calls)).toHaveLength(100);
  });
});

describe("connections that do not get on", () => {
  test.each([
    ["nothing", ""],
    ["part of HTTP/2's preface", "PRI * HT"],
    ["part of a request's first line", "GET /he"],
    ["part of a request's headers", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"],
  ])("one that sends %s is closed", async (_name, bytes) => {
    const impatient = await startFakeServer({ timeouts: { handshakeMs: 100 } });
    const connection = await RawConnection.open(impatient.port);
    connection.send(bytes);
    await connection.untilClosed();
  });

  test("one half open over HTTP/2 is closed, with its streams", async () => {
    server.procman.addJob("a");
    const socket = connect({ host: "127.0.0.1", port: server.port, allowHalfOpen: true });
    let closed = false;
    socket.on("close", () => {
      closed = true;
    });
    socket.on("error", () => {});
    // The session's own end of the socket stays open, as a peer's would that does not care.
    const session = http2Connect(`http://${server.authority}`, { createConnection: () => socket });
    session.on("error", () => {});
    onTestFinished(() => session.destroy());
    const stream = session.request({
      ":method": "POST",
      ":path": "/procman.v1.ProcmanService/Attach",
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${server.token}`,
    });
    stream.on("error", () => {});
    // id: "a", follow: true
    stream.end(Buffer.from([0, 0, 0, 0, 5, 0x0a, 1, 0x61, 0x18, 1]));
    await eventually("the stream", () => server.procman.openStreams === 1);
    socket.end();
    await eventually("the stream's release", () => server.procman.openStreams === 0);
    await eventually("the connection's end", () => closed);
  });

  test("one half open over HTTP/2 with nothing asked is closed", async () => {
    const connection = await RawConnection.open(server.port);
    connection.send(HTTP2_START);
    await eventually("the server's SETTINGS", () => isSettingsFrame(connection.received));
    connection.socket.end();
    await connection.untilClosed();
  });

  test("one that is to be closed stays until its request has come in", async () => {
    const connection = await RawConnection.open(server.port);
    connection.send(
      `POST /procman.v1.ProcmanService/WatchJobs HTTP/1.1\r\nHost: ${server.authority}\r\n` +
        "Content-Type: application/connect+json\r\nContent-Length: 7\r\nConnection: close\r\n\r\n",
    );
    // Without a token the rest of it is of no interest. Closed now, it would be reset.
    await eventually("the answer", () => connection.received.includes("unauthenticated"));
    await networkClient(server, "connect").list({});
    expect(connection.socket.readableEnded).toBe(false);
    connection.send("\0\0\0\0\u0002{}");
    expect(await connection.untilClosed()).toMatch(/\r\n0\r\n\r\n$/);
  });

  test("one half open whose client reads nothing is closed in time, with its stream", async () => {
    const impatient = await startFakeServer({ timeouts: { handshakeMs: 200 } });
    impatient.procman.addJob("a");
    for (let n = 0; n < 32; n += 1) impatient.procman.write("a", Buffer.alloc(1024 * 1024));
    const connection = await RawConnection.open(impatient.port);
    connection.socket.pause();
    const body = envelope(Buffer.from('{"id":"a","follow":true}'));
    connection.send(
      "POST /procman.v1.ProcmanService/Attach HTTP/1.1\r\n" +
        `Host: localhost\r\nAuthorization: Bearer ${impatient.token}\r\n` +
        `Content-Type: application/connect+json\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    connection.send(body);
    await eventually("the stream", () => impatient.procman.openStreams === 1);
    connection.socket.end();
    await eventually("the stream's release", () => impatient.procman.openStreams === 0);
  });

  test("one half open over HTTP/1.1 is closed", async () => {
    const connection = await RawConnection.open(server.port);
    connection.send(`GET /healthz HTTP/1.1\r\nHost: ${server.authority}\r\n\r\n`);
    await eventually("the answer", () => connection.received.includes("ok\n"));
    connection.socket.end();
    await connection.untilClosed();
  });

  test.each([
    ["before a byte", ""],
    ["within the preface", "PRI"],
    ["after the preface", HTTP2_START.toString("latin1")],
    [
      "within a request",
      "POST /procman.v1.ProcmanService/List HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
    ],
  ])("one that is reset %s harms nothing", async (_name, bytes) => {
    for (const pauseMs of [0, 10]) {
      const connection = await RawConnection.open(server.port);
      connection.send(Buffer.from(bytes, "latin1"));
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      connection.socket.resetAndDestroy();
    }
  });

  test("a follower that is cut off is let go", async () => {
    server.procman.addJob("a");
    const connection = await RawConnection.open(server.port);
    // An envelope of 20 bytes of JSON.
    const body = Buffer.concat([
      Buffer.from([0, 0, 0, 0, 25]),
      Buffer.from('{"id":"a","follow": true}'),
    ]);
    connection.send(
      "POST /procman.v1.ProcmanService/Attach HTTP/1.1\r\n" +
        `Host: ${server.authority}\r\nAuthorization: Bearer ${server.token}\r\n` +
        `Content-Type: application/connect+json\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    connection.send(body);
    await eventually("the stream", () => server.procman.openStreams === 1);
    connection.socket.resetAndDestroy();
    await eventually("the stream's release", () => server.procman.openStreams === 0);
  });
});

describe("requests that are none", () => {
  const post = (host: string, version = "1.1") =>
    `POST /procman.v1.ProcmanService/List HTTP/${version}\r\n${host}` +
    "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";

  test.each([
    ["no Host", post("")],
    ["no Host, HTTP/1.0", post("", "1.0")],
    ["an empty Host", post("Host:\r\n")],
    ["Host: [", post("Host: [\r\n")],
    ["Host: [::1", post("Host: [::1\r\n")],
    ["Host: a b", post("Host: a b\r\n")],
    ["Host: user@localhost", post("Host: user@localhost\r\n")],
    ["Host: localhost/path", post("Host: localhost/path\r\n")],
    ["Host: localhost:99999", post("Host: localhost:99999\r\n")],
    ["Host: localhost:x", post("Host: localhost:x\r\n")],
    ["two Hosts", post("Host: localhost\r\nHost: localhost\r\n")],
    ["an absolute target", "GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n"],
  ])("%s", async (_name, request) => {
    expect(await exchange(server.port, request)).toMatch(/^HTTP\/1.1 400 /);
    expect(server.procman.calls).toEqual([]);
  });

  test("CONNECT is closed, an upgrade not done", async () => {
    expect(await exchange(server.port, "CONNECT a:1 HTTP/1.1\r\nHost: localhost\r\n\r\n")).toBe("");
    const upgrade =
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n" +
      "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    expect(await exchange(server.port, upgrade)).toMatch(/^HTTP\/1.1 200 /);
  });

  test("HTTP/1.0 with a Host is served", async () => {
    expect(await exchange(server.port, "GET /healthz HTTP/1.0\r\nHost: localhost\r\n\r\n")).toMatch(
      /^HTTP\/1.1 200 /,
    );
  });

  test("odd paths and queries are not found", async () => {
    for (const path of [
      "//[",
      "/%zz",
      "/procman.v1.ProcmanService/Nope",
      "/procman.v1.ProcmanService/",
    ]) {
      const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
      expect(await exchange(server.port, request)).toMatch(/^HTTP\/1.1 404 /);
    }
    const query =
      "GET /procman.v1.ProcmanService/List?%zz=[&&message=%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    expect(await exchange(server.port, query)).toMatch(/^HTTP\/1.1 4\d\d /);
  });
});

test("after an answer to part of a request, the connection can be used again", async () => {
  const client = networkClient(server, "connect");
  for (let i = 0; i < 3; i += 1) {
    const error = await errorOf(client.start({ command: "x", args: ["x".repeat(5_000_000)] }));
    expect(error.code).toBe("ResourceExhausted");
    await client.list({});
    expect(await collect(client.attach({ id: "" })).catch(() => "failed")).toBe("failed");
  }
});
