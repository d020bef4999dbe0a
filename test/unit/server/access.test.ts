import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { request } from "node:http";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { Code } from "@connectrpc/connect";
import pino from "pino";
import { describe, expect, test } from "vitest";
import {
  AccessControl,
  type AccessControlOptions,
} from "../../../src/server/access/access-control.js";
import type { Peer } from "../../../src/server/access/peer.js";
import { defined } from "../../../src/platform/defined.js";
import {
  loadAccessToken,
  rotateAccessToken,
  watchAccessToken,
} from "../../../src/server/access/access-token.js";
import { WindowCounter } from "../../../src/server/access/window-counter.js";
import { eventually } from "../../helpers/eventually.js";
import { type FakeServer, localClient, startFakeServer } from "../../helpers/fake-server.js";
import { exchange, RawConnection } from "../../helpers/raw-connection.js";
import { tempDir } from "../../helpers/temp-dir.js";

interface Answer {
  readonly status: number;
  readonly headers: Record<string, string | string[] | undefined>;
  readonly body: string;
}

interface Ask {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly overSocket?: boolean;
}

/** A request with just those headers, and a Host where none is given. */
function ask(server: FakeServer, options: Ask = {}): Promise<Answer> {
  const { path = "/healthz", method = "GET", headers = {}, body, overSocket = false } = options;
  const where = overSocket
    ? { socketPath: server.socketPath }
    : { host: server.host, port: server.port };
  return new Promise((resolve, reject) => {
    const req = request({ ...where, path, method, headers, agent: false }, (res) => {
      res.setEncoding("utf8");
      let text = "";
      res.on("data", (data: string) => {
        text += data;
      });
      res.on("end", () =>
        resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text }),
      );
    });
    req.on("error", reject);
    req.end(body);
  });
}

const LIST = { path: "/procman.v1.ProcmanService/List", method: "POST", body: "{}" };

describe("Host", () => {
  test.each([
    "localhost",
    "LOCALHOST:1",
    "127.0.0.1",
    "127.0.0.1:80",
    "[::1]",
    "[::1]:1",
    "box.example",
    "BOX.example:7",
  ])("%s is served", async (host) => {
    const server = await startFakeServer({ allowedHosts: ["box.example"] });
    expect(await ask(server, { headers: { host } })).toMatchObject({ status: 200, body: "ok\n" });
  });

  test.each([
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "10.0.0.1",
    "[::2]",
  ])("%s is not", async (host) => {
    const server = await startFakeServer();
    const answer = await ask(server, { headers: { host } });
    expect(answer.status).toBe(421);
    expect(answer.headers.connection).toBe("close");
    expect(JSON.parse(answer.body)).toMatchObject({ code: "permission_denied" });
  });

  test("the host that is listened on, and the address that was called, are served", async () => {
    const server = await startFakeServer({ listen: [{ host: "127.0.0.2", port: 0 }] });
    expect((await ask(server, { headers: { host: `127.0.0.2:${server.port}` } })).status).toBe(200);
    expect((await ask(server, { headers: { host: "127.0.0.4" } })).status).toBe(421);
  });

  test("over the unix socket any is served, if it is one, to what is no browser", async () => {
    const server = await startFakeServer();
    const post = (headers: Record<string, string>) =>
      ask(server, {
        ...LIST,
        overSocket: true,
        headers: { ...headers, "content-type": "application/json" },
      });
    expect((await post({ host: "any.example" })).status).toBe(200);
    expect((await post({ host: "[" })).status).toBe(400);
  });

  test("over the unix socket a browser, led there by a tunnel, calls it by its name", async () => {
    const server = await startFakeServer({ allowedHosts: ["box.example"] });
    const page = (host: string, method: string) =>
      ask(server, {
        ...LIST,
        method,
        overSocket: true,
        headers: {
          host,
          "content-type": "application/json",
          // What a browser sends to where the page itself seems to have come from.
          ...(method === "GET" ? {} : { origin: `http://${host}` }),
        },
      });
    for (const host of ["localhost:7420", "box.example"]) {
      expect((await page(host, "POST")).status).toBe(200);
    }
    for (const method of ["GET", "POST", "OPTIONS"]) {
      expect((await page("evil.example:7420", method)).status).toBe(421);
    }
  });

  test("a configured one that is none is refused at the start", async () => {
    await expect(startFakeServer({ allowedHosts: ["a b"] })).rejects.toThrow('"a b"');
  });
});

describe("Origin", () => {
  const allowed = "https://app.example";

  test("the server's own is served, also over the unix socket", async () => {
    const server = await startFakeServer();
    for (const scheme of ["http", "https"]) {
      const headers = { host: server.authority, origin: `${scheme}://${server.authority}` };
      expect((await ask(server, { headers })).status).toBe(200);
      expect((await ask(server, { headers, overSocket: true })).status).toBe(200);
    }
  });

  test.each([
    "https://evil.example",
    "http://localhost:1",
    "null",
    "file://",
    allowed + ".evil.example",
  ])("%s is not", async (origin) => {
    const server = await startFakeServer({ allowedOrigins: [allowed] });
    for (const overSocket of [false, true]) {
      for (const method of ["GET", "POST", "OPTIONS"]) {
        const answer = await ask(server, { ...LIST, headers: { origin }, method, overSocket });
        expect(answer.status).toBe(403);
        expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
        if (method !== "OPTIONS") {
          expect(JSON.parse(answer.body)).toMatchObject({
            message: expect.stringContaining(`--allow-origin ${origin}`),
          });
        }
      }
      // Here its pages may read why.
      const answer = await ask(server, { headers: { origin }, overSocket });
      expect(answer.status).toBe(403);
      expect(answer.headers["access-control-allow-origin"]).toBe("*");
      expect(JSON.parse(answer.body)).toMatchObject({
        message: expect.stringContaining(`--allow-origin ${origin}`),
      });
    }
  });

  test.each(["null", "*", "app.example", "https://app.example/", "https://app.example:443"])(
    "%s cannot be allowed: no browser sends it, or too many do",
    async (origin) => {
      await expect(startFakeServer({ allowedOrigins: [origin] })).rejects.toThrow("not an origin");
    },
  );

  test("one of another scheme than the web's can be allowed", async () => {
    const origin = "chrome-extension://abcdefgh";
    const server = await startFakeServer({ allowedOrigins: [origin] });
    expect((await ask(server, { headers: { origin } })).status).toBe(200);
  });

  test("what an allowed one was told it may do need not be asked again for a while", async () => {
    const server = await startFakeServer({ allowedOrigins: [allowed] });
    const options = { ...LIST, method: "OPTIONS" };
    const preflight = { origin: allowed, "access-control-request-method": "POST" };
    const { headers } = await ask(server, { ...options, headers: preflight });
    expect(Number(headers["access-control-max-age"])).toBeGreaterThan(60);
    // Without that question there is nothing to tell.
    const answer = await ask(server, { ...options, headers: { origin: allowed } });
    expect(answer.status).toBe(204);
    expect(answer.headers["access-control-allow-methods"]).toBeUndefined();
  });

  test("an allowed one may ask, call, and read the answer", async () => {
    const server = await startFakeServer({ allowedOrigins: [allowed] });
    const preflight = await ask(server, {
      ...LIST,
      method: "OPTIONS",
      headers: { origin: allowed, "access-control-request-method": "POST" },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers["access-control-allow-origin"]).toBe(allowed);
    expect(preflight.headers["access-control-allow-methods"]).toContain("POST");
    for (const name of [
      "Authorization",
      "Content-Type",
      "Connect-Protocol-Version",
      "X-Grpc-Web",
    ]) {
      expect(preflight.headers["access-control-allow-headers"]).toContain(name);
    }
    const headers = {
      origin: allowed,
      authorization: `Bearer ${server.token}`,
      "content-type": "application/json",
    };
    const answer = await ask(server, { ...LIST, headers });
    expect(answer.status).toBe(200);
    expect(answer.headers["access-control-allow-origin"]).toBe(allowed);
    expect(answer.headers.vary).toBe("Origin");
    expect(answer.headers["access-control-expose-headers"]).toMatch(/grpc-status/i);
  });
});

describe("AccessControl", () => {
  function accessControl(options: Partial<AccessControlOptions> = {}) {
    const logger = pino({ enabled: false });
    return new AccessControl({
      token: "the-token",
      allowedHosts: [],
      allowedOrigins: [],
      logger,
      ...options,
    });
  }
  const peer = (localAddress?: string): Peer => ({ name: "x", ...defined({ localAddress }) });

  test("lets a server be called by the address that was called, and no other", () => {
    const access = accessControl();
    const code = (host: string, localAddress?: string) =>
      access.checkHost(host, peer(localAddress))?.code;
    expect(code("10.1.2.3:7420", "10.1.2.3")).toBeUndefined();
    expect(code("10.1.2.3", "::ffff:10.1.2.3")).toBeUndefined();
    expect(code("[2001:db8::1]:7420", "2001:db8::1")).toBeUndefined();
    expect(code("10.1.2.3", "10.1.2.4")).toBe(Code.PermissionDenied);
    expect(code("[2001:db8::1]", "2001:db8::2")).toBe(Code.PermissionDenied);
    // Over a unix socket, and once the connection is closed.
    expect(code("10.1.2.3")).toBe(Code.PermissionDenied);
    expect(code("undefined")).toBe(Code.PermissionDenied);
  });

  test("takes addresses of either kind as allowed hosts", () => {
    const access = accessControl({
      allowedHosts: ["2001:db8::1", "::ffff:10.0.0.1", "Box.Example"],
    });
    for (const host of ["[2001:db8::1]:80", "10.0.0.1", "box.example:1"]) {
      expect(access.checkHost(host, peer())).toBeUndefined();
    }
  });

  test("over TLS, only a page that came with TLS is the server's own", () => {
    const access = accessControl();
    const code = (origin: string, encrypted: boolean) =>
      access.checkOrigin(origin, "box.example:7420", encrypted)?.code;
    expect(code("https://box.example:7420", true)).toBeUndefined();
    expect(code("https://box.example:7420", false)).toBeUndefined();
    expect(code("http://box.example:7420", false)).toBeUndefined();
    expect(code("http://box.example:7420", true)).toBe(Code.PermissionDenied);
  });

  test("reads origins in any case", () => {
    const access = accessControl({ allowedOrigins: ["https://App.Example"] });
    for (const origin of ["https://app.example", "HTTPS://APP.EXAMPLE"]) {
      expect(access.checkOrigin(origin, "localhost")).toBeUndefined();
    }
    expect(access.checkOrigin("HTTP://LOCALHOST", "localhost")).toBeUndefined();
  });

  test("takes the last token, and only that", () => {
    const access = accessControl();
    const code = (token: string) => access.checkToken(`Bearer ${token}`, peer())?.code;
    access.setToken("the-next-token");
    expect(code("the-next-token")).toBeUndefined();
    expect(code("the-token")).toBe(Code.Unauthenticated);
  });

  test("asks for no token where clients have certificates", () => {
    const access = accessControl({ requiresToken: false });
    expect(access.checkToken(undefined, peer())).toBeUndefined();
  });
});

describe("token", () => {
  const headers = { "content-type": "application/json" };

  test("it is asked for over TCP and not over the unix socket", async () => {
    const server = await startFakeServer();
    expect((await ask(server, { ...LIST, headers })).status).toBe(401);
    expect((await ask(server, { ...LIST, headers, overSocket: true })).status).toBe(200);
    await localClient(server, "connect").list({});
    await localClient(server, "grpc-web").list({});
  });

  test.each([
    ["Bearer TOKEN", 200],
    ["bearer  TOKEN", 200],
    ["TOKEN", 401],
    ["Basic TOKEN", 401],
    ["Bearer TOKENx", 401],
    ["Bearer xTOKEN", 401],
    ["Bearer TOKEN more", 401],
    ["Bearer TOKEN,", 401],
    ["more Bearer TOKEN", 401],
    ["BearerTOKEN", 401],
    ["Bearer", 401],
  ])("authorization: %s", async (authorization, status) => {
    const server = await startFakeServer();
    const sent = { ...headers, authorization: authorization.replace("TOKEN", server.token) };
    expect((await ask(server, { ...LIST, headers: sent })).status).toBe(status);
  });

  test("a cached GET of a page cannot call without it either", async () => {
    const server = await startFakeServer();
    const path = "/procman.v1.ProcmanService/List?encoding=json&message=%7B%7D";
    expect((await ask(server, { path })).status).toBe(401);
    expect((await ask(server, { path, overSocket: true })).status).toBe(200);
  });

  test("it is made once, for its owner only", async () => {
    const stateDir = join(tempDir(), "state");
    const first = await startFakeServer({ stateDir });
    expect(first.token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(statSync(first.tokenPath).mode & 0o777).toBe(0o600);
    expect(statSync(stateDir).mode & 0o777).toBe(0o700);
    await first.close();
    const second = await startFakeServer({ stateDir });
    expect(second.token).toBe(first.token);
    expect(second.logged.some((line) => JSON.stringify(line).includes(second.token))).toBe(false);
  });

  test("one that others can read is made private; one that is none is an error", async () => {
    const path = join(tempDir(), "token");
    writeFileSync(path, "0123456789abcdef\n");
    chmodSync(path, 0o644);
    expect(await loadAccessToken(path)).toBe("0123456789abcdef");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    for (const bad of ["", "fifteen-chars-x\n", "has a space in it, and is long"]) {
      writeFileSync(path, bad);
      await expect(loadAccessToken(path)).rejects.toThrow(path);
      expect(readFileSync(path, "utf8")).toBe(bad);
    }
    const directory = join(tempDir(), "token");
    mkdirSync(directory);
    await expect(loadAccessToken(directory)).rejects.toThrow(directory);
  });

  test("a new one in the file is taken into use once, and nothing else that is done to it", async () => {
    const path = join(tempDir(), "token");
    const first = await loadAccessToken(path);
    const used: string[] = [];
    const use = (token: string) => used.push(token);
    // Between the first reading and the beginning of the watch.
    const second = await rotateAccessToken(path);
    const stop = watchAccessToken(path, first, use, pino({ enabled: false }));
    expect(second).not.toBe(first);
    await eventually("its use", () => used.length > 0);
    utimesSync(path, 1, 1);
    writeFileSync(`${path}.tmp`, "");
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(used).toEqual([second]);
    stop();
    await rotateAccessToken(path);
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(used).toEqual([second]);
  });

  test("many first starts, or rotations, at once leave one, and nothing beside it", async () => {
    const dir = tempDir();
    const path = join(dir, "token");
    const made = await Promise.all(Array.from({ length: 8 }, () => loadAccessToken(path)));
    expect(new Set(made)).toEqual(new Set([await loadAccessToken(path)]));
    const rotated = await Promise.all(Array.from({ length: 8 }, () => rotateAccessToken(path)));
    expect(rotated).toContain(await loadAccessToken(path));
    expect(readdirSync(dir)).toEqual(["token"]);
  });

  test("one that is a link, no file, or somebody else's, is not believed", async () => {
    const path = join(tempDir(), "token");
    writeFileSync(`${path}.theirs`, "0123456789abcdef\n");
    symlinkSync(`${path}.theirs`, path);
    await expect(loadAccessToken(path)).rejects.toThrow("is a link");
    rmSync(path);
    execFileSync("mkfifo", [path]);
    await expect(loadAccessToken(path)).rejects.toThrow("no regular file");
    if (process.geteuid?.() !== 0) return;
    chownSync(`${path}.theirs`, 4242, 4242);
    await expect(loadAccessToken(`${path}.theirs`)).rejects.toThrow("another user (uid 4242");
  });

  test("wrong ones are counted for each address, and warned of, but not of ever more addresses", () => {
    const warned: unknown[] = [];
    const access = new AccessControl({
      token: "the-token",
      allowedHosts: [],
      allowedOrigins: [],
      logger: { warn: ({ address }: { address: string }) => warned.push(address) } as never,
    });
    const codeFor = (remoteAddress: string, token: string) => {
      const peer = { name: `${remoteAddress}:1`, remoteAddress };
      return access.checkToken(`Bearer ${token}`, peer)?.code;
    };
    const guess = (address: string) =>
      Array.from({ length: 31 }, () => codeFor(address, "wrong")).at(-1);
    expect(guess("10.0.0.1")).toBe(Code.ResourceExhausted);
    expect(codeFor("10.0.0.2", "wrong")).toBe(Code.Unauthenticated);
    expect(codeFor("10.0.0.1", "the-token")).toBeUndefined();
    // No token at all guesses nothing.
    for (let n = 0; n < 40; n += 1) {
      const peer = { name: "10.0.0.3:1", remoteAddress: "10.0.0.3" };
      expect(access.checkToken(undefined, peer)?.code).toBe(Code.Unauthenticated);
    }
    expect(warned).toEqual(["10.0.0.1"]);
    for (let n = 0; n < 20; n += 1) guess(`10.0.1.${n}`);
    expect(warned).toHaveLength(10);
  });

  test("failures are counted for each address and forgotten with time", () => {
    let nowMs = 0;
    const failed = new WindowCounter({ windowMs: 1000, now: () => nowMs });
    expect([1, 2, 3].map(() => failed.count("a"))).toEqual([1, 2, 3]);
    expect(failed.count("b")).toBe(1);
    nowMs = 999;
    expect(failed.count("a")).toBe(4);
    nowMs = 1000;
    expect(failed.count("a")).toBe(1);
    for (let i = 0; i < 5000; i += 1) failed.count(`x${i}`);
    expect(failed.size).toBeLessThanOrEqual(1000);
  });
});

describe("requests that do not arrive", () => {
  const headers = (more: string) =>
    `POST ${LIST.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${more}Content-Length: 1000\r\n\r\n{`;

  test("without the token they are refused at once", async () => {
    const server = await startFakeServer();
    const connection = await RawConnection.open(server.port);
    connection.send(headers(""));
    await eventually("the answer", () => connection.received.includes("401 Unauthorized"));
  });

  test("with the token they are given up in time", async () => {
    const server = await startFakeServer({ timeouts: { requestMs: 200, handshakeMs: 200 } });
    const answer = await exchange(
      server.port,
      headers(`Authorization: Bearer ${server.token}\r\n`),
    );
    expect(answer).toMatch(/^HTTP\/1.1 408 /);
    expect(server.procman.calls).toEqual([]);
  });

  test("a compressed one in a query is not unpacked without the token", async () => {
    const server = await startFakeServer();
    const bomb = gzipSync(Buffer.alloc(5_000_000)).toString("base64url");
    const path = `${LIST.path}?encoding=proto&base64=1&compression=gzip&message=${bomb}`;
    expect((await ask(server, { path })).status).toBe(401);
    // It would be too large.
    const authorization = `Bearer ${server.token}`;
    expect((await ask(server, { path, headers: { authorization } })).status).toBe(429);
  });
});

test("more headers than anybody sends are refused", async () => {
  const server = await startFakeServer();
  const request = (count: number) =>
    `GET /healthz HTTP/1.1\r\nHost: localhost\r\n${"X: y\r\n".repeat(count)}Connection: close\r\n\r\n`;
  expect(await exchange(server.port, request(190))).toMatch(/^HTTP\/1.1 200 /);
  expect(await exchange(server.port, request(200))).toMatch(/^HTTP\/1.1 431 /);
});

test("health is told to GET and HEAD", async () => {
  const server = await startFakeServer();
  expect((await ask(server, { method: "HEAD" })).status).toBe(200);
  expect((await ask(server, { method: "POST" })).status).toBe(404);
});

test("without a path there is a hint", async () => {
  const server = await startFakeServer();
  const answer = await ask(server, { path: "/" });
  expect(answer.status).toBe(404);
  expect(answer.body).toContain("procman");
});
