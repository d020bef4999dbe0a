import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { onTestFinished } from "vitest";

/**
 * Forwards connections to a server at a port of this machine. What the server sends is left
 * to `forward`. Over when the test is.
 * @returns the proxy's URL
 */
export async function startSlowProxy(
  serverUrl: string,
  forward: (server: Socket, client: Socket) => void,
): Promise<string> {
  const { port, hostname } = new URL(serverUrl);
  const sockets = new Set<Socket>();
  const proxy = createServer((client) => {
    const server = connect(Number(port), hostname);
    for (const socket of [client, server]) {
      sockets.add(socket);
      socket.setNoDelay();
      socket.on("error", () => {});
      // The other one must not outlive it.
      socket.on("close", () => {
        client.destroy();
        server.destroy();
      });
    }
    client.pipe(server);
    forward(server, client);
  });
  onTestFinished(() => {
    proxy.close();
    for (const socket of sockets) socket.destroy();
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  return `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
}
