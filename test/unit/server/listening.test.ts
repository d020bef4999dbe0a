import { existsSync, lstatSync, mkdirSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { errorOf } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";

import { freePort } from "../../helpers/free-port.js";
import { localClient, networkClient, startFakeServer } from "../../helpers/fake-server.js";
import { RawConnection } from "../../helpers/raw-connection.js";
import { tempDir } from "../../helpers/temp-dir.js";

test("every address and the socket lead to the same jobs", async () => {
  const listen = [
    { host: "127.0.0.1", port: 0 },
    { host: "localhost", port: 0 },
  ];
  const server = await startFakeServer({ listen });
  server.procman.addJob("a");
  expect(server.addresses.map(({ host }) => host)).toEqual(["127.0.0.1", "localhost"]);
  for (const { host, port } of server.addresses) {
    const client = networkClient({ ...server, authority: `${host}:${port}` }, "grpc");
    expect((await client.get({ id: "a" })).job?.id).toBe("a");
  }
  expect((await localClient(server, "connect").get({ id: "a" })).job?.id).toBe("a");
  const messages = server.logged.map(({ msg }) => msg);
  expect(messages).toContain(`listening on http://127.0.0.1:${server.port}`);
  expect(messages).toContain(`listening on ${server.socketPath}`);
});

test("none but the socket will do", async () => {
  const server = await startFakeServer({ listen: [] });
  expect(server.addresses).toEqual([]);
  await localClient(server, "connect").list({});
});

test("a port in use is an error that names it", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  onTestFinished(() => void other.close());
  const { port } = other.address() as { port: number };
  const stateDir = join(tempDir(), "state");
  await expect(
    startFakeServer({ stateDir, listen: [{ host: "127.0.0.1", port }] }),
  ).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: the port is in use`);
  expect(existsSync(join(stateDir, "procman.sock"))).toBe(false);
});

describe("a port of the loopback addresses", () => {
  test("is listened on at each of them", async () => {
    const loopbackPort = await freePort();
    const server = await startFakeServer({ listen: [], loopbackPort });
    expect(server.addresses.map(({ url }) => url)).toEqual([
      `http://127.0.0.1:${loopbackPort}`,
      `http://[::1]:${loopbackPort}`,
    ]);
    for (const { url } of server.addresses) expect((await fetch(`${url}/healthz`)).ok).toBe(true);
  });

  test.each(["127.0.0.1", "::1"])("is on neither where %s is another's", async (host) => {
    const loopbackPort = await freePort();
    const stranger = createServer().listen(loopbackPort, host);
    await once(stranger, "listening");
    onTestFinished(() => void stranger.close());
    const stateDir = join(tempDir(), "state");
    const told: { port: number; socketIsThere: boolean }[] = [];
    const onPortTaken = (port: number) =>
      told.push({ port, socketIsThere: existsSync(join(stateDir, "procman.sock")) });
    const server = await startFakeServer({ stateDir, listen: [], loopbackPort, onPortTaken });
    expect(server).toMatchObject({ addresses: [], takenPort: loopbackPort });
    expect(told).toEqual([{ port: loopbackPort, socketIsThere: false }]);
    const free = host === "::1" ? "127.0.0.1" : "::1";
    const [error] = (await once(connect(loopbackPort, free), "error")) as [Error];
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
    expect(server.logged.map(({ msg }) => msg)).toContain(
      `port ${loopbackPort} is in use by another process; listening on no TCP port`,
    );
    await localClient(server, "connect").list({});
  });
});

test("options that cannot be meant are told at once, each named", async () => {
  const stateDir = join(tempDir(), "state");
  const start = startFakeServer({
    stateDir,
    listen: [{ host: "127.0.0.1", port: 70_000 }],
    allowedHosts: ["box.example", "a b"],
    allowedOrigins: ["app.example"],
    heartbeatIntervalMs: 0,
  });
  await expect(start).rejects.toMatchObject({
    reason: "INVALID_ARGUMENT",
    violations: [
      "listen[0].port",
      "allowedHosts[1]",
      "allowedOrigins[0]",
      "heartbeatIntervalMs",
    ].map((field) => ({ field })),
  });
  expect(existsSync(stateDir)).toBe(false);
});

test("what was opened is closed again when something cannot be", async () => {
  const stateDir = join(tempDir(), "state");
  mkdirSync(join(stateDir, "procman.sock"), { recursive: true });
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as { port: number };
  probe.close();
  await once(probe, "close");
  const listen = [{ host: "127.0.0.1", port }];
  await expect(startFakeServer({ stateDir, listen })).rejects.toThrow(
    join(stateDir, "procman.sock"),
  );
  expect(lstatSync(join(stateDir, "procman.sock")).isDirectory()).toBe(true);
  const [error] = (await once(connect(port, "127.0.0.1"), "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
});

test.each(["192.0.2.1", "0.0.0.0", "::", "example.com", "127.0.0.1.example.com"])(
  "%s is not listened on without TLS",
  async (host) => {
    await expect(startFakeServer({ listen: [{ host, port: 1 }] })).rejects.toThrow("without TLS");
  },
);

test("a certificate that is not there is an error that names its file", async () => {
  const tls = { certPath: "/nonexistent/cert.pem", keyPath: "/nonexistent/key.pem" };
  await expect(startFakeServer({ tls })).rejects.toThrow("/nonexistent/cert.pem");
});

test("the socket is private, and one left behind is replaced", async () => {
  const stateDir = join(tempDir(), "state");
  const socketPath = join(stateDir, "procman.sock");
  const first = await startFakeServer({ stateDir });
  expect(lstatSync(socketPath).mode & 0o777).toBe(0o600);
  // As after a crash: the file stays, and nobody listens.
  const second = await startFakeServer({ stateDir });
  await localClient(second, "connect").list({});
  expect(second.procman.calls).toHaveLength(1);
  await first.close();
  expect(lstatSync(socketPath).isSocket()).toBe(true);
  await second.close();
  expect(existsSync(socketPath)).toBe(false);
});

test("a path too long for a socket is an error, and a file in its place is kept", async () => {
  const socketPath = join(tempDir(), "x".repeat(90));
  await expect(startFakeServer({ socketPath })).rejects.toThrow("at most 99 bytes");
  const file = join(tempDir(), "file");
  writeFileSync(file, "precious");
  await expect(startFakeServer({ socketPath: file })).rejects.toThrow(file);
  expect(lstatSync(file).isFile()).toBe(true);
});

test("closing ends what is silent, what waits to be read, and new connections", async () => {
  const server = await startFakeServer();
  server.procman.addJob("a");
  for (let i = 0; i < 64; i += 1) server.procman.write("a", Buffer.alloc(1024 * 1024));
  const silent = await RawConnection.open(server.port);
  const idle = await RawConnection.open(server.port);
  idle.send(`GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await eventually("an answer", () => idle.received.includes("ok\n"));
  const lazy = ["connect", "grpc"] as const;
  const streams = lazy.map((protocol) =>
    networkClient(server, protocol).attach({ id: "a", follow: true })[Symbol.asyncIterator](),
  );
  for (const stream of streams) await stream.next();
  const startMs = performance.now();
  await server.close();
  expect(performance.now() - startMs).toBeLessThan(3000);
  await silent.untilClosed();
  await idle.untilClosed();
  await eventually("the streams' release", () => server.procman.openStreams === 0);
  const rest = async (stream: AsyncIterator<unknown>) => {
    for (let item = await stream.next(); !item.done; ) item = await stream.next();
  };
  for (const stream of streams) await rest(stream).catch(() => {});
  expect((await errorOf(networkClient(server, "connect").list({}))).code).toBe("Unavailable");
  await server.close();
});

test("a closing server says so, and keeps no connection", async () => {
  const server = await startFakeServer();
  let release = () => {};
  server.procman.beforeStart = new Promise<void>((resolve) => {
    release = resolve;
  });
  const connection = await RawConnection.open(server.port);
  connection.send(
    "POST /procman.v1.ProcmanService/Start HTTP/1.1\r\nHost: localhost\r\n" +
      `Authorization: Bearer ${server.token}\r\nContent-Type: application/json\r\n` +
      'Content-Length: 15\r\n\r\n{"command":"x"}',
  );
  await eventually("the call", () => server.procman.calls.length === 1);
  const closing = server.close();
  connection.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  release();
  const answers = await connection.untilClosed();
  expect(answers).toMatch(/^HTTP\/1.1 200 .*HTTP\/1.1 503 .*\r\n\r\nclosing\n$/is);
  expect(answers.match(/connection: close\r\n/gi)).toHaveLength(1);
  await closing;
});

test("closing waits for calls, and not for connections on which nothing is asked", async () => {
  const server = await startFakeServer();
  let release = () => {};
  server.procman.beforeStart = new Promise<void>((resolve) => {
    release = resolve;
  });
  const starting = networkClient(server, "connect").start({ command: "x" });
  await networkClient(server, "grpc").list({});
  const silent = await RawConnection.open(server.port);
  const idle = await RawConnection.open(server.port);
  idle.send(`GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`);
  await eventually("the answers", () => {
    return idle.received.includes("ok\n") && server.procman.calls.length === 2;
  });
  let closed = false;
  const closing = server.close().then(() => {
    closed = true;
  });
  await Promise.all([silent.untilClosed(), idle.untilClosed()]);
  expect(closed).toBe(false);
  release();
  await starting;
  await closing;
});
