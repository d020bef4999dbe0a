import { expect, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { exchange, RawConnection } from "../helpers/raw-connection.js";
import { AttackedServer } from "./attacked-server.js";

const attacked = AttackedServer.shared({
  args: ["--listen", "127.0.0.1:0", "--allow-origin", "https://app.example"],
});

const START = "/procman.v1.ProcmanService/Start";
/** Jobs with this label are what no attack may have started. */
const SMUGGLED = '{"command":"true","labels":{"smuggled":"yes"}}';

/** A Start with the right token, that only its headers can spoil. */
function start(headers: string, { target = START, version = "1.1", body = SMUGGLED } = {}): string {
  return (
    `POST ${target} HTTP/${version}\r\n${headers}Authorization: Bearer ${attacked.server.token}\r\n` +
    `Connection: close\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  );
}

async function expectNothingStarted(): Promise<void> {
  const { jobs } = await attacked.server.client.list({ labels: { smuggled: "yes" } });
  expect(jobs).toEqual([]);
}

const JSON_TYPE = "Content-Type: application/json\r\n";

test("that the Start of these tests works without what spoils it", async () => {
  const answer = await exchange(attacked.port, start(`Host: localhost\r\n${JSON_TYPE}`));
  expect(answer).toMatch(/^HTTP\/1.1 200 /);
  const id = /"id":"(\w+)"/.exec(answer)?.[1] ?? "";
  await attacked.server.client.wait({ id });
  await attacked.server.client.remove({ id });
  await expectNothingStarted();
});

test("hosts that are none, and those of others", async () => {
  const statuses: Record<string, number> = {
    "Host: [\r\n": 400,
    "Host: [::1\r\n": 400,
    "Host: \r\n": 400,
    "Host: a b\r\n": 400,
    "Host: user@localhost\r\n": 400,
    "Host: localhost:99999\r\n": 400,
    "Host: localhost\r\nHost: localhost\r\n": 400,
    "Host: localhost\r\nHost: evil.example\r\n": 400,
    "": 400,
    "Host: evil.example\r\n": 421,
    "Host: localhost.evil.example\r\n": 421,
    [`Host: evil.example:${attacked.port}\r\n`]: 421,
    [`Host: evil.example\r\nOrigin: http://evil.example\r\n`]: 421,
  };
  await attacked.attack(async () => {
    for (const [headers, status] of Object.entries(statuses)) {
      for (const version of ["1.1", "1.0"]) {
        const answer = await exchange(attacked.port, start(headers + JSON_TYPE, { version }));
        expect(answer, headers).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
      }
    }
    for (const target of [`http://localhost${START}`, "*", "localhost:1", "//[/"]) {
      const request = start(`Host: localhost\r\n${JSON_TYPE}`, { target });
      expect(await exchange(attacked.port, request)).toMatch(/^HTTP\/1.1 40[04] /);
    }
    await expectNothingStarted();
  });
});

test("pages of other origins", async () => {
  const origins = [
    "null",
    "https://evil.example",
    "https://app.example.evil.example",
    "https://app.example:444",
    "http://app.example",
    "http://localhost:1",
    "file://",
  ];
  await attacked.attack(async () => {
    for (const origin of origins) {
      for (const where of [attacked.port, attacked.server.socketPath]) {
        const headers = `Host: localhost\r\nOrigin: ${origin}\r\n`;
        const answer = await exchange(where, start(headers + JSON_TYPE));
        expect(answer, origin).toMatch(/^HTTP\/1.1 403 /);
        expect(answer).not.toMatch(/access-control-allow/i);
        const preflight =
          `OPTIONS ${START} HTTP/1.1\r\n${headers}Access-Control-Request-Method: POST\r\n` +
          "Connection: close\r\n\r\n";
        expect(await exchange(where, preflight)).toMatch(/^HTTP\/1.1 403 /);
      }
    }
    await expectNothingStarted();
  });
});

test("what a page may send without asking: forms, text, beacons", async () => {
  const types = ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""];
  await attacked.attack(async () => {
    for (const type of types) {
      const typeHeader = type === "" ? "" : `Content-Type: ${type}\r\n`;
      // Also where the browser, or something on the way, leaves the origin out.
      for (const where of [attacked.port, attacked.server.socketPath]) {
        const answer = await exchange(where, start(`Host: localhost\r\n${typeHeader}`));
        expect(answer, type).toMatch(/^HTTP\/1.1 415 /);
        expect(answer, type).toContain("no RPC takes content of");
      }
    }
    const get = `GET ${START}?encoding=json&message=${encodeURIComponent(SMUGGLED)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
    for (const where of [attacked.port, attacked.server.socketPath]) {
      expect(await exchange(where, get)).toMatch(/^HTTP\/1.1 405 /);
    }
    await expectNothingStarted();
  });
});

test("a rebound name reaches nothing through a tunnel to the unix socket", async () => {
  const get = (host: string) =>
    `GET /procman.v1.ProcmanService/List?encoding=json&message=%7B%7D HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
  const { socketPath } = attacked.server;
  await attacked.attack(async () => {
    // Same origin, to the browser: it was told that this is evil.example.
    const post = start(`Host: evil.example:1\r\nOrigin: http://evil.example:1\r\n${JSON_TYPE}`);
    expect(await exchange(socketPath, post)).toMatch(/^HTTP\/1.1 421 /);
    expect(await exchange(socketPath, get("evil.example:1"))).toMatch(/^HTTP\/1.1 421 /);
    expect(await exchange(socketPath, get("localhost:1"))).toMatch(/^HTTP\/1.1 200 /);
    await expectNothingStarted();
  });
});

test("two requests where a proxy may see one", async () => {
  const second = start(`Host: localhost\r\n${JSON_TYPE}`);
  const first = (headers: string, body = "{}") =>
    `POST /procman.v1.ProcmanService/List HTTP/1.1\r\nHost: localhost\r\n${JSON_TYPE}${headers}\r\n${body}`;
  const chunked = "2\r\n{}\r\n0\r\n\r\n";
  const ambiguous = [
    first("Content-Length: 2\r\nContent-Length: 2\r\n"),
    first(`Content-Length: 2\r\nContent-Length: ${2 + second.length}\r\n`),
    first("Content-Length: 2, 3\r\n"),
    first("Content-Length: +2\r\n"),
    first("Content-Length: 0x2\r\n"),
    first("Content-Length : 2\r\n"),
    first("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", chunked),
    first("Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", chunked),
    first("Transfer-Encoding: chunked, identity\r\n", chunked),
    first("Transfer-Encoding: xchunked\r\n", chunked),
    first("Transfer-Encoding : chunked\r\n", chunked),
    first("Transfer-Encoding:\x0bchunked\r\n", chunked),
    first("X: y\r\n Transfer-Encoding: chunked\r\n", chunked),
    first("X: y\nTransfer-Encoding: chunked\r\n", chunked),
    first("X: y\rTransfer-Encoding: chunked\r\n", chunked),
    first("Transfer-Encoding: chunked\r\n", "2;a\n{}\r\n0\r\n\r\n"),
    first("Transfer-Encoding: chunked\r\n", "2\n{}\n0\n\n"),
    first("Transfer-Encoding: chunked\r\n", "-2\r\n{}\r\n0\r\n\r\n"),
    first("Transfer-Encoding: chunked\r\n", "fffffffffffffffff2\r\n{}\r\n0\r\n\r\n"),
  ];
  await attacked.attack(async () => {
    for (const request of ambiguous) {
      const answer = await exchange(attacked.port, request + second);
      expect(answer, request).not.toMatch(/HTTP\/1.1 200 /);
    }
    await expectNothingStarted();
  });
});

test("headers without end", async () => {
  const get = (more: string) => `GET /healthz HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;
  const huge = [
    get(`X: ${"y".repeat(20_000)}\r\n`),
    get(`${"x".repeat(20_000)}: y\r\n`),
    get("X: y\r\n".repeat(500)),
    get("X: y\r\n".repeat(5000)),
    `GET /${"x".repeat(1_000_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    get(`Cookie: ${"a=b; ".repeat(1_000_000)}\r\n`),
  ];
  await attacked.attack(async () => {
    // An origin is seen wherever it stands, or the request refused.
    const late = start(`Host: localhost\r\n${"X: y\r\n".repeat(2500)}Origin: null\r\n${JSON_TYPE}`);
    expect(await exchange(attacked.port, late)).toMatch(/^HTTP\/1.1 431 /);
    for (const request of huge) {
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => exchange(attacked.port, request)),
      );
      for (const answer of answers) expect(answer).toMatch(/^(HTTP\/1.1 431 |$)/);
    }
    // And chunks whose extensions, or trailers, never end.
    for (const body of [`1;${"x".repeat(1_000_000)}`, `0\r\n${"X: y\r\n".repeat(100_000)}`]) {
      const request =
        `POST ${START} HTTP/1.1\r\nHost: localhost\r\n${JSON_TYPE}` +
        `Authorization: Bearer ${attacked.server.token}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`;
      expect(await exchange(attacked.port, request)).toMatch(/^HTTP\/1.1 4(13|31) /);
    }
  });
});

test("requests in a row, whose answers nobody reads", async () => {
  const row = `GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`.repeat(1000);
  await attacked.attack(async () => {
    const connections = await Promise.all(
      Array.from({ length: 10 }, () => RawConnection.open(attacked.port)),
    );
    for (const { socket } of connections) socket.pause();
    // Until the server takes no more, or has taken far more than it may keep.
    for (let n = 0; n < 200; n += 1) {
      const eager = connections.filter(({ socket }) => !socket.writableNeedDrain);
      if (eager.length === 0) break;
      for (const connection of eager) connection.send(row);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    for (const { socket } of connections) socket.destroy();

    const reader = await RawConnection.open(attacked.port);
    reader.send(row);
    const answers = () => [...reader.received.toString("latin1").matchAll(/\r\n\r\nok\n/g)].length;
    await eventually("an answer to each", () => answers() === 1000);
  });
});
