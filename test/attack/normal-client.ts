import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { ProcmanService, Status } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { linesOf, readOutput } from "../helpers/output.js";
import type { TestServer } from "../helpers/test-server.js";

export const PROTOCOLS = ["connect", "grpc-web", "grpc"] as const;
export type Protocol = (typeof PROTOCOLS)[number];

/** Far beyond what a call takes on a busy machine: whoever waits longer has been harmed. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 30;
const COUNTER = {
  command: "sh",
  args: ["-c", "n=0; while :; do echo $n; n=$((n+1)); sleep 0.05; done"],
};

interface TcpClient {
  readonly rpc: Client<typeof ProcmanService>;
  /** Closes the connections that it keeps between calls. */
  close(): void;
}

/** A client over TCP, with the token. */
function tcpClient(server: TestServer, protocol: Protocol): TcpClient {
  const { token, baseUrl } = server;
  const addToken: Interceptor = (next) => (request) => {
    request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const options = { baseUrl, interceptors: [addToken] };
  // Whose certificate it is, is not what these tests are about.
  const tls = { rejectUnauthorized: false };
  // A connection for each call: one that was kept may be closed in the moment it is used again.
  const agent = baseUrl.startsWith("https:")
    ? new HttpsAgent({ keepAlive: false, ...tls })
    : new HttpAgent({ keepAlive: false });
  const overHttp1 = { ...options, httpVersion: "1.1", nodeOptions: { agent } } as const;
  const sessionManager = new Http2SessionManager(baseUrl, undefined, tls);
  const client = (transport: Transport) => ({
    rpc: createClient(ProcmanService, transport),
    close: () => {
      agent.destroy();
      sessionManager.abort();
    },
  });
  switch (protocol) {
    case "connect":
      return client(createConnectTransport(overHttp1));
    case "grpc-web":
      return client(createGrpcWebTransport(overHttp1));
    case "grpc":
      return client(createGrpcTransport({ ...options, sessionManager }));
  }
}

/**
 * Works on over each protocol: starts jobs, waits for them, reads what they said,
 * removes them, and follows one that counts. What comes back is checked.
 */
export class NormalClient {
  /** How often each of its things was done. */
  readonly #done: number[] = [];
  readonly #leaving = new AbortController();
  readonly #clients: readonly TcpClient[];
  readonly #work: Promise<unknown>;

  private constructor(server: TestServer) {
    this.#clients = PROTOCOLS.map((protocol) => tcpClient(server, protocol));
    this.#work = Promise.all(
      this.#clients.flatMap(({ rpc }, n) => [
        this.#workOn(rpc, 2 * n),
        this.#followCounter(rpc, 2 * n + 1),
      ]),
    );
    // Looked at when it leaves.
    this.#work.catch(() => {});
  }

  /** One that has done each of its things once. */
  static async start(server: TestServer): Promise<NormalClient> {
    const client = new NormalClient(server);
    await client.getsOn();
    return client;
  }

  /**
   * Leaves, when it has done each of its things once more.
   * @throws what went wrong for it.
   */
  async leave(): Promise<void> {
    try {
      await this.getsOn();
    } finally {
      this.#leaving.abort();
      await this.#work.finally(() => {
        for (const client of this.#clients) client.close();
      });
    }
  }

  /**
   * Waits until it has done each of its things once more.
   * @throws what went wrong for it since it has started.
   */
  async getsOn(): Promise<void> {
    const before = [...this.#done];
    const allDone = () => this.#done.every((count, at) => count > (before[at] ?? 0) + 1);
    await Promise.race([
      eventually("the normal client to get on", allDone, PATIENCE_MS * 2),
      this.#work,
    ]);
  }

  async #workOn(client: Client<typeof ProcmanService>, at: number): Promise<void> {
    const { signal } = this.#leaving;
    for (this.#done[at] = 0; !signal.aborted; this.#done[at] += 1) {
      const text = `round ${this.#done[at]} of ${at}`;
      const { job } = await client.start(
        { command: "echo", args: [text] },
        { timeoutMs: PATIENCE_MS },
      );
      const { id } = job!;
      const { job: ended } = await client.wait({ id }, { timeoutMs: PATIENCE_MS });
      if (ended!.status !== Status.COMPLETED) throw new Error(`${id} is ${Status[ended!.status]}`);
      const output = (await readOutput(client, id)).toString();
      if (output !== `${text}\n`) throw new Error(`${id} said ${JSON.stringify(output)}`);
      await client.remove({ id }, { timeoutMs: PATIENCE_MS });
      await sleep(PAUSE_MS);
    }
  }

  /** Fails when a line is missing, comes twice, or does not come. */
  async #followCounter(client: Client<typeof ProcmanService>, at: number): Promise<void> {
    const { signal } = this.#leaving;
    this.#done[at] = 0;
    const { job } = await client.start(COUNTER);
    const { id } = job!;
    let next = 0;
    let silence = setTimeout(() => {}, 0);
    const stream = new AbortController();
    const end = () => stream.abort();
    signal.addEventListener("abort", end);
    try {
      for await (const event of client.watch({ id }, { signal: stream.signal })) {
        for (const { text } of linesOf([event])) {
          if (text !== String(next)) throw new Error(`${text} came for ${next}`);
          next += 1;
          this.#done[at] = next;
          clearTimeout(silence);
          silence = setTimeout(() => stream.abort(new Error(`no line after ${text}`)), PATIENCE_MS);
        }
      }
      throw new Error(`the stream of ${id} ended`);
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      clearTimeout(silence);
      signal.removeEventListener("abort", end);
      await client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 0 } });
      await client.remove({ id });
    }
  }
}
