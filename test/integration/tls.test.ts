import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient, type TlsOptions } from "../../src/client/index.js";
import { Certificates } from "../helpers/certificates.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const dir = sharedTempDir();
const certificates = new Certificates(dir);
const file = (name: string) => join(dir, name);
const pem = (name: string) => readFileSync(file(name), "utf8");

beforeAll(() => {
  for (const ca of ["ca", "stranger-ca"]) certificates.createAuthority(ca);
  certificates.issue("server", "ca");
  certificates.issue("alice", "ca");
  certificates.issue("mallory", "stranger-ca");
  certificates.issue("nameless", "ca", "/");
});

function serve(...more: string[]): Promise<TestServer> {
  return TestServer.start({
    args: [
      "--listen",
      "127.0.0.1:0",
      "--tls-cert",
      file("server.pem"),
      "--tls-key",
      file("server.key"),
      "--log-level",
      "info",
      ...more,
    ],
  });
}

function connectClient(server: TestServer, tls: TlsOptions, token?: string) {
  const { baseUrl } = server;
  const options = { baseUrl, tls, reconnect: false as const };
  const client = createProcmanClient(token === undefined ? options : { ...options, token });
  onTestFinished(() => client.close());
  return client;
}

describe("TLS", () => {
  test("serves Connect and gRPC on one port; the token counts", async () => {
    const server = await serve();
    expect(server.baseUrl).toMatch(/^https:/);
    const client = connectClient(server, { ca: pem("ca.pem") }, server.token);
    const job = await client.start({ command: "echo", args: ["hi"] });
    expect(await client.wait(job.id)).toMatchObject({ status: "completed" });

    const transport = createGrpcTransport({
      baseUrl: server.baseUrl,
      nodeOptions: { ca: pem("ca.pem") },
    });
    const headers = { authorization: `Bearer ${server.token}` };
    const grpc = createClient(ProcmanService, transport);
    expect((await grpc.get({ id: job.id }, { headers })).job!.id).toBe(job.id);
    expect(await errorOf(grpc.list({}))).toMatchObject({ code: "Unauthenticated" });
  });

  test("a client that does not know the certificate, or speaks plain HTTP, gets nowhere", async () => {
    const server = await serve();
    await expect(connectClient(server, {}, server.token).list()).rejects.toMatchObject({
      reason: "UNREACHABLE",
    });
    await expect(fetch(server.baseUrl.replace("https", "http"))).rejects.toThrow();
    const client = connectClient(server, { ca: pem("ca.pem") }, server.token);
    await client.list();
  });

  test("renewed certificates are taken into use; broken ones are not", async () => {
    const server = await serve();
    const before = await serialOf(server);
    certificates.issue("server", "ca");
    await eventually("the new certificate", async () => (await serialOf(server)) !== before);
    const renewed = await serialOf(server);
    execFileSync("sh", ["-c", "echo broken >server.pem"], { cwd: dir });
    await eventually("the complaint", () => server.log.includes("cannot be used"));
    expect(await serialOf(server)).toBe(renewed);
    certificates.issue("server", "ca");
  });
});

test("a client CA without a certificate is refused at the start, and is no renewal", async () => {
  const empty = TestServer.prepare({
    args: [
      "--listen",
      "127.0.0.1:0",
      "--tls-cert",
      file("server.pem"),
      "--tls-key",
      file("server.key"),
      "--tls-client-ca",
      file("server.key"),
    ],
  });
  await empty.start({ ready: false });
  expect(await empty.ended()).toBe(1);
  expect(empty.log).toContain(`${file("server.key")} holds no certificate`);
  execFileSync("cp", ["ca.pem", "emptied.pem"], { cwd: dir });
  const server = await serve("--tls-client-ca", file("emptied.pem"));
  writeFileSync(file("emptied.pem"), "");
  await eventually("the complaint", () => server.log.includes("cannot be used"));
  const tls = { ca: pem("ca.pem"), cert: pem("alice.pem"), key: pem("alice.key") };
  expect((await connectClient(server, tls).list()).totalSize).toBe(0);
});

describe("TLS 1.2", () => {
  const handshake = async (server: TestServer, options: object = {}) => {
    const port = Number(new URL(server.baseUrl).port);
    const socket = connect({
      port,
      host: "127.0.0.1",
      ca: pem("ca.pem"),
      maxVersion: "TLSv1.2",
      ...options,
    });
    onTestFinished(() => void socket.destroy());
    await once(socket, "secureConnect");
    return socket;
  };

  test("has neither RSA key exchange nor CBC", async () => {
    const server = await serve();
    expect((await handshake(server)).getCipher().name).toMatch(/^ECDHE-.*(GCM|POLY1305)/);
    for (const ciphers of ["AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA"]) {
      await expect(handshake(server, { ciphers })).rejects.toThrow();
    }
    const modern = await handshake(server, { maxVersion: "TLSv1.3" });
    expect(modern.getProtocol()).toBe("TLSv1.3");
  });

  test("is not negotiated anew", async () => {
    const server = await serve();
    const socket = await handshake(server);
    // Not once(): the refusal is an error of the socket's, and no failure.
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    socket.resume();
    let renegotiated = 0;
    const again = () => {
      const isAsked = socket.renegotiate({}, (error) => {
        if (error || renegotiated >= 20) return;
        renegotiated += 1;
        again();
      });
      expect(isAsked || socket.destroyed).toBe(true);
    };
    again();
    await closed;
    expect(renegotiated).toBe(0);
  });
});

test("on every address, it may be called by the one that was called, and by no other", async () => {
  const server = await TestServer.start({
    args: [
      "--listen",
      "0.0.0.0:0",
      "--tls-cert",
      file("server.pem"),
      "--tls-key",
      file("server.key"),
      "--allow-host",
      "jobs.example.com",
    ],
  });
  const port = Number(new URL(server.baseUrl).port);
  const status = (host: string, origin?: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const options = { host: "127.0.0.3", port, path: "/healthz", rejectUnauthorized: false };
      const headers = { host, ...(origin === undefined ? {} : { origin }) };
      const call = request({ ...options, headers }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
      call.on("error", reject);
      call.end();
    });
  expect(await status("127.0.0.3")).toBe(200);
  expect(await status("jobs.example.com:1")).toBe(200);
  expect(await status("127.0.0.4")).toBe(421);
  expect(await status("evil.example")).toBe(421);
  // Its own pages come with TLS; one that says it is its own and came without can be anybody's.
  expect(await status("jobs.example.com", "https://jobs.example.com")).toBe(200);
  expect(await status("jobs.example.com", "http://jobs.example.com")).toBe(403);
});

describe("mTLS", () => {
  test("a client with a certificate needs no token, and is named in the log", async () => {
    const server = await serve("--tls-client-ca", file("ca.pem"));
    const tls = { ca: pem("ca.pem"), cert: pem("alice.pem"), key: pem("alice.key") };
    const client = connectClient(server, tls);
    expect((await client.list()).totalSize).toBe(0);
    expect(server.log).toContain('"client":"alice"');
  });

  test("one whose certificate names no subject is known by its other names", async () => {
    const server = await serve("--tls-client-ca", file("ca.pem"));
    const tls = { ca: pem("ca.pem"), cert: pem("nameless.pem"), key: pem("nameless.key") };
    expect((await connectClient(server, tls).list()).totalSize).toBe(0);
    expect(server.log).toContain('"client":"DNS:localhost, IP Address:127.0.0.1"');
  });

  test("another CA takes the place of the one before, also for those who have been there", async () => {
    execFileSync("cp", ["ca.pem", "clients.pem"], { cwd: dir });
    const server = await serve("--tls-client-ca", file("clients.pem"));
    const port = Number(new URL(server.baseUrl).port);
    const visit = (name: string, session?: Buffer) =>
      new Promise<{ isLetIn: boolean; session?: Buffer }>((resolve) => {
        const [cert, key] = [pem(`${name}.pem`), pem(`${name}.key`)];
        const socket = connect({ port, host: "127.0.0.1", ca: pem("ca.pem"), cert, key, session });
        // With it a client needs to show nothing again.
        let resumable: { session?: Buffer } = {};
        socket.on("session", (ticket: Buffer) => {
          resumable = { session: ticket };
        });
        socket.on("error", () => {});
        socket.on("close", () => resolve({ isLetIn: false }));
        socket.on("data", () => {
          resolve({ isLetIn: true, ...resumable });
          socket.destroy();
        });
        socket.write("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
      });
    const { session } = await visit("alice");
    expect(session).toBeDefined();
    expect((await visit("alice", session)).isLetIn).toBe(true);
    execFileSync("cp", ["stranger-ca.pem", "clients.pem"], { cwd: dir });
    await eventually("the other CA to count", async () => (await visit("mallory")).isLetIn);
    expect((await visit("alice", session)).isLetIn).toBe(false);
    expect((await visit("alice")).isLetIn).toBe(false);
  });

  test("nobody else is let in, whatever they know", async () => {
    const server = await serve("--tls-client-ca", file("ca.pem"));
    const mallory = { ca: pem("ca.pem"), cert: pem("mallory.pem"), key: pem("mallory.key") };
    for (const tls of [{ ca: pem("ca.pem") }, mallory]) {
      await expect(connectClient(server, tls, server.token).list()).rejects.toMatchObject({
        reason: "UNREACHABLE",
      });
    }
  });
});

test("beyond this machine there is no listening without TLS", async () => {
  const server = TestServer.prepare({ args: ["--listen", "0.0.0.0:0"] });
  await server.start({ ready: false });
  expect(await server.ended()).toBe(1);
  expect(server.log).toContain("without TLS");
});

test("the token can be replaced while the server runs", async () => {
  const server = await TestServer.start();
  const { token: before, baseUrl } = server;
  const { MAIN } = await import("../helpers/test-server.js");
  const rotated = execFileSync(process.execPath, [
    MAIN,
    "token",
    "--rotate",
    "--state-dir",
    server.stateDir,
  ])
    .toString()
    .trim();
  expect(rotated).not.toBe(before);
  expect(server.token).toBe(rotated);
  const list = (token: string) => createProcmanClient({ baseUrl, token, reconnect: false }).list();
  await eventually("the new token to count", () => list(rotated));
  await expect(list(before)).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
});

function serialOf(server: TestServer): Promise<string> {
  return new Promise((resolve, reject) => {
    const agent = new Agent({ keepAlive: false, maxCachedSessions: 0 });
    const call = request(`${server.baseUrl}/healthz`, { ca: pem("ca.pem"), agent }, (response) => {
      const { serialNumber } = (
        response.socket as import("node:tls").TLSSocket
      ).getPeerCertificate();
      response.resume();
      resolve(serialNumber);
    });
    call.on("error", reject);
    call.end();
  });
}
