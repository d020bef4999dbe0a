import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";
import { eventually } from "./eventually.js";

/** A connection on which a test says and sees each byte. */
export class RawConnection {
  readonly socket: Socket;
  #received = Buffer.alloc(0);
  #ended = false;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (data) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
    // A reset ends it as well.
    socket.on("error", () => {});
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#ended = true;
      });
    }
  }

  /**
   * Half open: it does not close when the other side does.
   *
   * @param where a TCP port, or the path of a unix socket.
   */
  static async open(where: number | string): Promise<RawConnection> {
    const address =
      typeof where === "string" ? { path: where } : { host: "127.0.0.1", port: where };
    const socket = connect({ ...address, allowHalfOpen: true, noDelay: true });
    const connection = new RawConnection(socket);
    onTestFinished(() => void socket.destroy());
    await eventually("a connection", () => !socket.connecting);
    return connection;
  }

  /** Whether the other side has closed. */
  get ended(): boolean {
    return this.#ended;
  }

  get received(): Buffer {
    return this.#received;
  }

  /** Each byte in a packet of its own. */
  async sendSlowly(bytes: Uint8Array): Promise<void> {
    for (const byte of bytes) {
      await new Promise((resolve) => this.socket.write(Uint8Array.of(byte), resolve));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  send(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  /** Waits until the other side has closed; returns all it said. */
  async untilClosed(): Promise<string> {
    await eventually("the connection's end", () => this.#ended);
    return this.#received.toString("latin1");
  }
}

/** What the server answers to those bytes, until it closes. */
export async function exchange(
  where: number | string,
  request: string | Uint8Array,
): Promise<string> {
  const connection = await RawConnection.open(where);
  connection.send(request);
  return connection.untilClosed();
}
