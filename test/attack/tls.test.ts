import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as tlsConnect } from "node:tls";
import { test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { RawConnection } from "../helpers/raw-connection.js";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { AttackedServer } from "./attacked-server.js";
import { SeededRandom } from "./seeded-random.js";

const dir = sharedTempDir();
const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")];
const request =
  "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost";
execFileSync("openssl", [...request.split(" "), "-keyout", key, "-out", cert], { stdio: "pipe" });
const attacked = AttackedServer.shared({
  args: ["--listen", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key],
});

/** What a client sends first, as it is. */
async function clientHello(): Promise<Buffer> {
  const { createServer } = await import("node:net");
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await eventually("a port", () => server.address() !== null);
  const { port } = server.address() as { port: number };
  const hello = new Promise<Buffer>((resolve) => {
    server.once("connection", (socket) => {
      socket.once("data", (data: Buffer) => {
        socket.destroy();
        resolve(data);
      });
    });
  });
  const client = tlsConnect({ port, host: "127.0.0.1", ALPNProtocols: ["h2", "http/1.1"] });
  client.on("error", () => {});
  try {
    return await hello;
  } finally {
    client.destroy();
    server.close();
  }
}

test("garbage, and handshakes that are broken in every way", async () => {
  const hello = await clientHello();
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = new SeededRandom(seed);
  await attacked
    .attack(async () => {
      for (let n = 0; n < 150; n += 1) {
        const connection = await RawConnection.open(attacked.port);
        const bytes = Buffer.from(hello);
        switch (n % 3) {
          case 0:
            connection.send(random.bytes(random.below(5000)));
            break;
          case 1:
            for (let k = 0; k < 5; k += 1) bytes[random.below(bytes.length)] = random.below(256);
            connection.send(bytes);
            break;
          default:
            connection.send(bytes.subarray(0, random.below(bytes.length)));
        }
        if (random.below(2) === 0) connection.socket.resetAndDestroy();
        else connection.socket.end();
      }
    })
    .catch((error: unknown) => {
      throw new Error(`with seed ${seed}`, { cause: error });
    });
});

test("handshakes that begin and do not go on", async () => {
  const hello = await clientHello();
  await attacked.attack(async () => {
    const connections = await Promise.all(
      Array.from({ length: 200 }, () => RawConnection.open(attacked.port)),
    );
    for (const [n, connection] of connections.entries()) {
      connection.send(hello.subarray(0, n % 2 === 0 ? 20 : hello.length));
    }
    await sleep(300);
    for (const { socket } of connections) socket.destroy();
  });
});

test("clients that are gone as soon as they are known", async () => {
  await attacked.attack(async () => {
    for (let n = 0; n < 60; n += 1) {
      const socket = tlsConnect({
        port: attacked.port,
        host: "127.0.0.1",
        rejectUnauthorized: false,
        ALPNProtocols: n % 2 === 0 ? ["h2"] : ["http/1.1"],
      });
      socket.on("error", () => {});
      await new Promise((resolve) => socket.once("secureConnect", resolve).once("close", resolve));
      const beginning =
        n % 2 === 0 ? "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" : "GET / HTTP/1.1\r\nHost: ";
      if (n % 3 !== 0) socket.write(beginning.slice(0, n));
      socket.destroy();
    }
  });
});
