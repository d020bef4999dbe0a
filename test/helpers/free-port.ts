import { once } from "node:events";
import { connect, createServer } from "node:net";

/** Below those that the kernel gives to clients, one of which could take a server's while it restarts. */
const [LOWEST, HIGHEST] = [20_000, 32_000];

/** A port of 127.0.0.1 that was free a moment ago: for servers that must find theirs again. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST));
    const probe = createServer();
    try {
      probe.listen(port, "127.0.0.1");
      await once(probe, "listening");
    } catch {
      continue;
    }
    probe.close();
    await once(probe, "close");
    return port;
  }
}

/** Whether somebody takes connections on a port of this machine. */
export async function canConnect(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
