import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { tempDir } from "./temp-dir.js";
import type { TestServer } from "./test-server.js";

/** A way to the server that can be cut; the next connection finds it whole again. */
export async function breakablePath(server: TestServer) {
  const connections = new Set<Socket>();
  const cut = () => {
    for (const connection of connections) connection.destroy();
  };
  const proxy = createServer((socket) => {
    const upstream = connect(server.socketPath);
    for (const [from, to] of [
      [socket, upstream],
      [upstream, socket],
    ] as const) {
      connections.add(from);
      from.on("error", () => {});
      from.on("close", () => {
        connections.delete(from);
        to.destroy();
      });
      from.pipe(to);
    }
  });
  const socketPath = join(tempDir(), "proxy.sock");
  proxy.listen(socketPath);
  await once(proxy, "listening");
  onTestFinished(() => {
    cut();
    proxy.close();
  });
  return { socketPath, cut };
}
