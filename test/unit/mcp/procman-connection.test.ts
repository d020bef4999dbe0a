import { expect, test } from "vitest";
import type { Procman } from "../../../src/contract/procman.js";
import type { McpHost } from "../../../src/mcp/mcp-host.js";
import { ProcmanConnection } from "../../../src/mcp/procman-connection.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

const lost = new Error("lost");

/** A host whose clients are told apart. */
class Host implements McpHost {
  readonly version = "1";
  readonly labels = {};
  readonly clients: FakeProcman[] = [];
  /** What the next connections fail with. */
  readonly failures: Error[] = [];

  async connect(): Promise<Procman> {
    const failure = this.failures.shift();
    if (failure) throw failure;
    const client = new FakeProcman();
    this.clients.push(client);
    return client;
  }

  isConnectionLost(error: unknown): boolean {
    return error === lost;
  }

  start(): never {
    throw new Error("not here");
  }

  async *input(): AsyncGenerator<Uint8Array> {}

  async send(): Promise<void> {}

  warn(): void {}
}

function failing(times: number): (client: Procman) => Promise<number> {
  let calls = 0;
  return async () => {
    calls += 1;
    if (calls <= times) throw lost;
    return calls;
  };
}

test("connects once, when it is needed", async () => {
  const host = new Host();
  const connection = new ProcmanConnection(host);
  expect(host.clients).toHaveLength(0);
  const used = await Promise.all([
    connection.retrySafe(async (client) => client),
    connection.once(async (client) => client),
  ]);
  expect(used).toEqual([host.clients[0], host.clients[0]]);
  await connection.close();
});

test("a lost connection is made anew, and the call repeated", async () => {
  const host = new Host();
  const connection = new ProcmanConnection(host);
  expect(await connection.retrySafe(failing(2))).toBe(3);
  expect(host.clients).toHaveLength(3);
  await expect(connection.once(failing(1))).rejects.toBe(lost);
});

test("calls that lose one connection share the next one", async () => {
  const host = new Host();
  const connection = new ProcmanConnection(host);
  await Promise.all([connection.retrySafe(failing(1)), connection.retrySafe(failing(1))]);
  expect(host.clients).toHaveLength(2);
});

test("other errors are the caller's, and so is the end of its patience", async () => {
  const host = new Host();
  const connection = new ProcmanConnection(host);
  const wrong = new Error("wrong");
  await expect(connection.retrySafe(() => Promise.reject(wrong))).rejects.toBe(wrong);
  const leaving = new AbortController();
  const call = connection.retrySafe(async () => {
    leaving.abort(wrong);
    throw lost;
  }, leaving.signal);
  await expect(call).rejects.toBe(wrong);
});

test("a server that cannot be started fails the call; the next one tries again", async () => {
  const host = new Host();
  const connection = new ProcmanConnection(host);
  const noServer = new Error("cannot start a server");
  host.failures.push(noServer);
  await expect(connection.retrySafe(failing(0))).rejects.toBe(noServer);
  expect(await connection.retrySafe(failing(0))).toBe(1);
});
