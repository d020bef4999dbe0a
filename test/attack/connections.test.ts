import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { exchange, RawConnection } from "../helpers/raw-connection.js";
import { TestServer } from "../helpers/test-server.js";
import { AttackedServer } from "./attacked-server.js";
import { PREFACE, settings } from "../helpers/http2-frames.js";
import { SeededRandom } from "./seeded-random.js";

const attacked = AttackedServer.shared();

const HTTP2_START = Buffer.concat([PREFACE, settings()]);
const LIST = "POST /procman.v1.ProcmanService/List HTTP/1.1\r\nHost: localhost\r\n";

/** Where garbage is sent: the port, and the unix socket. */
const doors = ["TCP", "the unix socket"] as const;
const doorOf = (name: (typeof doors)[number]) =>
  name === "TCP" ? attacked.port : attacked.server.socketPath;

test("1,000 connections, idle at every stage there is", async () => {
  const beginnings = [
    "",
    "PRI * HT",
    HTTP2_START.toString("latin1"),
    "GET /healthz HTTP/1.1\r\nHost: loc",
    `${LIST}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{`,
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n",
  ];
  await attacked.attack(async () => {
    const connections = await Promise.all(
      Array.from({ length: 1000 }, () => RawConnection.open(attacked.port)),
    );
    for (const [n, connection] of connections.entries()) {
      connection.send(Buffer.from(beginnings[n % beginnings.length] ?? "", "latin1"));
    }
    const answered = connections.filter((_, n) => n % beginnings.length === beginnings.length - 1);
    await eventually("every answer", () =>
      answered.every(({ received }) => received.includes("ok\n")),
    );
    for (const { socket } of connections) socket.destroy();
  });
});

test("HTTP/2's preface and HTTP/1.1's headers and body, byte by byte", async () => {
  await attacked.attack(async () => {
    const connections = await Promise.all(
      Array.from({ length: 9 }, () => RawConnection.open(attacked.port)),
    );
    const slow = [
      HTTP2_START,
      Buffer.from("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      Buffer.from(`${LIST}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}`),
    ];
    await Promise.all(
      connections.map((connection, n) => connection.sendSlowly(slow[n % 3] as Buffer)),
    );
    const settingsHeader = settings().subarray(3);
    const answers = [settingsHeader, "HTTP/1.1 200 OK", "HTTP/1.1 401 Unauthorized"];
    await eventually("every answer", () =>
      connections.every(({ received }, n) => received.includes(answers[n % 3] as string)),
    );
    for (const { socket } of connections) socket.destroy();
  });
});

test("slow headers and slow bodies that never end", async () => {
  const endless = [
    "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    `${LIST}Authorization: Bearer TOKEN\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n`,
    `${LIST}Authorization: Bearer TOKEN\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n`,
  ].map((text) => text.replace("TOKEN", attacked.server.token));
  await attacked.attack(async () => {
    const connections = await Promise.all(
      Array.from({ length: 30 }, () => RawConnection.open(attacked.port)),
    );
    for (const [n, connection] of connections.entries()) connection.send(endless[n % 3] ?? "");
    for (let n = 0; n < 50; n += 1) {
      for (const connection of connections) connection.send(" ");
      await sleep(10);
    }
    expect(connections.filter(({ ended }) => ended)).toEqual([]);
    for (const { socket } of connections) socket.destroy();
  });
});

test("connections closed in one direction only, at every stage", async () => {
  const beginnings = ["", "PRI", HTTP2_START.toString("latin1"), "GET /he", `${LIST}\r\n`, LIST];
  await attacked.attack(async () => {
    const connections = await Promise.all(
      Array.from({ length: 60 }, () => RawConnection.open(attacked.port)),
    );
    for (const [n, connection] of connections.entries()) {
      connection.socket.end(beginnings[n % beginnings.length] ?? "", "latin1");
    }
    // The server closes its side: this one leaves its own open to see that.
    await Promise.all(connections.map((connection) => connection.untilClosed()));
  });
});

test("connections that are reset as soon as they are there", async () => {
  await attacked.attack(async () => {
    for (let n = 0; n < 100; n += 1) {
      const connection = await RawConnection.open(attacked.port);
      connection.send(n % 2 === 0 ? HTTP2_START : LIST);
      connection.socket.resetAndDestroy();
    }
  });
});

test.each(doors)("garbage over %s", async (door) => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new SeededRandom(seed);
  await attacked
    .attack(async () => {
      for (let n = 0; n < 80; n += 1) {
        const connection = await RawConnection.open(doorOf(door));
        // After what looks like a beginning at times, so that more than the first parser sees it.
        const beginning = random.pick(["", "PRI * HTTP", LIST, `${LIST}\r\n`]);
        connection.send(Buffer.from(beginning, "latin1"));
        connection.send(random.bytes(random.below(20_000)));
        if (random.below(2) === 0) connection.socket.destroy();
        else connection.socket.end();
      }
    })
    .catch((error: unknown) => {
      throw new Error(`with seed ${seed}`, { cause: error });
    });
});

test("other protocols, and what is none", async () => {
  const nonsense = {
    TLS: `\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03${"x".repeat(500)}`,
    SSH: "SSH-2.0-OpenSSH_9.2\r\n",
    SMTP: "EHLO localhost\r\nMAIL FROM:<a@b>\r\n",
    zeros: "\0".repeat(100_000),
    "one line without an end": "G".repeat(1_000_000),
    "the preface again and again": PREFACE.toString("latin1").repeat(1000),
  };
  await attacked.attack(async () => {
    for (const where of [attacked.port, attacked.server.socketPath]) {
      for (const bytes of Object.values(nonsense)) {
        const connections = await Promise.all(
          Array.from({ length: 10 }, () => RawConnection.open(where)),
        );
        for (const connection of connections) connection.send(Buffer.from(bytes, "latin1"));
        await Promise.all(connections.map((connection) => connection.untilClosed()));
      }
    }
  });
});

test("more connections than there may be leave room for the unix socket and for jobs", async () => {
  // Half of the descriptors are for TCP.
  const server = await TestServer.start({ wrapper: ["prlimit", "--nofile=200:200"] });
  const port = Number(new URL(server.baseUrl).port);
  const connections = await Promise.all(
    Array.from({ length: 300 }, () => RawConnection.open(port)),
  );
  await eventually("the rest to be closed", () => {
    return connections.filter(({ ended }) => ended).length >= 200;
  });
  const { job } = await server.client.start({ command: "echo", args: ["hi"] });
  expect((await readOutput(server.client, job!.id)).toString()).toBe("hi\n");
  for (const { socket } of connections) socket.destroy();
  await eventually("room on TCP", async () => {
    const late = exchange(
      port,
      "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    );
    return (await late).endsWith("ok\n");
  });
  expect([...server.log.matchAll(/too many connections/g)]).toHaveLength(1);
});
