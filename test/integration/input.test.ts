import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

const MIB = 1024 * 1024;
const bytes = (text: string) => new TextEncoder().encode(text);

async function startReader(server: TestServer, command: string, ...args: string[]) {
  const { job } = await server.client.start({ command, args, stdin: true });
  return job!;
}

describe("SendInput", () => {
  const server = TestServer.shared();

  test("feeds a job until it is closed", async () => {
    const job = await startReader(server, "cat");
    expect(job).toMatchObject({ stdin: true, pty: false, mergeOutput: false });
    const { client } = server;
    const { id } = job;
    expect((await client.sendInput({ id })).nextOffset).toBe(0n);
    expect((await client.sendInput({ id, data: bytes("one\n") })).nextOffset).toBe(4n);
    const again = { id, offset: 4n, data: bytes("two\n") };
    for (let n = 0; n < 3; n += 1) expect((await client.sendInput(again)).nextOffset).toBe(8n);
    await eventually("the output", async () => {
      const seen = await client.get({ id });
      return seen.job!.stdoutBytes === 8n;
    });
    const last = { id, offset: 8n, data: bytes("three"), close: true };
    expect((await client.sendInput(last)).nextOffset).toBe(13n);
    const { job: ended } = await client.wait({ id });
    expect(ended).toMatchObject({ status: Status.COMPLETED, exitCode: 0 });
    expect((await readOutput(client, id)).toString()).toBe("one\ntwo\nthree");
    // An answer that was lost can be had again, whatever became of the job since.
    expect((await client.sendInput(last)).nextOffset).toBe(13n);
  });

  test("says why not", async () => {
    const { client } = server;
    const { job: deaf } = await client.start({ command: "sleep", args: ["1000"] });
    expect(await errorOf(client.sendInput({ id: deaf!.id, data: bytes("x") }))).toMatchObject({
      code: "FailedPrecondition",
      reason: "INPUT_NOT_OPEN",
    });
    const { id } = await startReader(server, "sh", "-c", "cat; sleep 1000");
    await client.sendInput({ id, data: bytes("abc") });
    const refused = (request: object) => errorOf(client.sendInput({ id, ...request }));
    expect(await refused({ offset: 4n, data: bytes("x") })).toMatchObject({
      code: "OutOfRange",
      reason: "OFFSET_OUT_OF_RANGE",
    });
    expect(await refused({ offset: 1n, sender: "other", data: bytes("x") })).toMatchObject({
      reason: "OFFSET_OUT_OF_RANGE",
    });
    for (const sender of ["a b", "\n", "é", "x".repeat(65)]) {
      expect(await refused({ sender })).toMatchObject({ fields: ["sender"] });
    }
    expect(await refused({ data: new Uint8Array(MIB + 1) })).toMatchObject({
      code: "InvalidArgument",
      fields: ["data"],
    });
    expect(await refused({ offset: -1n })).toMatchObject({ fields: ["offset"] });
    for (let n = 0; n < 2; n += 1) await client.sendInput({ id, close: true });
    expect(await refused({ data: bytes("x") })).toMatchObject({ reason: "INPUT_NOT_OPEN" });
    await client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 0 } });
    expect(await refused({ data: bytes("x") })).toMatchObject({
      code: "FailedPrecondition",
      reason: "JOB_NOT_RUNNING",
    });
    expect(await errorOf(client.sendInput({ id: "nonesuch" }))).toMatchObject({
      code: "NotFound",
      reason: "JOB_NOT_FOUND",
    });
  });

  test("waits for a command that does not read, no longer than the caller, and holds nobody up", async () => {
    const { client } = server;
    const { id } = await startReader(server, "sleep", "1000");
    const piece = new Uint8Array(MIB);
    const filling = (async () => {
      for (;;) await client.sendInput({ id, data: piece }, { timeoutMs: 500 });
    })();
    expect((await errorOf(filling)).code).toBe("DeadlineExceeded");
    const { nextOffset } = await client.sendInput({ id });
    expect(nextOffset).toBeLessThan(BigInt(8 * MIB));
    const waiting = errorOf(client.sendInput({ id, data: piece }));
    // Meanwhile others are served, and the job can be ended.
    const other = await startReader(server, "cat");
    await client.sendInput({ id: other.id, data: bytes("served"), close: true });
    await client.wait({ id: other.id });
    await client.cancel({ id, gracePeriod: { seconds: 0n, nanos: 0 } });
    expect((await waiting).reason).toBe("JOB_NOT_RUNNING");
  });
});

test("the input stays open through kill -9 of the server, and is as it was left", async () => {
  const server = await TestServer.start();
  const { id, pid } = await startReader(server, "cat");
  await server.client.sendInput({ id, offset: 0n, data: bytes("before ") });
  await server.kill();
  await server.start();
  expect((await server.client.sendInput({ id })).nextOffset).toBe(7n);
  await server.client.sendInput({ id, offset: 7n, data: bytes("between ") });
  await server.restart();
  await server.client.sendInput({ id, offset: 15n, data: bytes("after"), close: true });
  await server.restart();
  const { job } = await server.client.wait({ id });
  expect(job).toMatchObject({ status: Status.COMPLETED, pid });
  expect((await readOutput(server.client, id)).toString()).toBe("before between after");
});

test("a command that gets its end while no server runs is known to have ended", async () => {
  const server = await TestServer.start();
  const { id } = await startReader(server, "sh", "-c", "sleep 0.3; wc -c; exit 3");
  await server.client.sendInput({ id, data: bytes("12345"), close: true });
  await server.kill();
  await server.start();
  const { job } = await server.client.wait({ id });
  expect(job).toMatchObject({ status: Status.FAILED, exitCode: 3 });
  expect((await readOutput(server.client, id)).toString().trim()).toBe("5");
});

test("senders that begin anew and repeat themselves do not take each other's bytes", async () => {
  const server = await TestServer.start();
  const { id } = await startReader(server, "cat");
  const send = (sender: string, offset: number, text: string) =>
    server.client.sendInput({ id, sender, offset: BigInt(offset), data: bytes(text) });
  await Promise.all(["a", "b", "c"].map((sender) => send(sender, 0, "y\n")));
  await server.kill();
  await server.start();
  for (const sender of ["a", "b", "c"]) {
    expect((await send(sender, 0, "y\nn\n")).nextOffset).toBe(4n);
  }
  await server.client.sendInput({ id, close: true });
  await server.client.wait({ id });
  const output = (await readOutput(server.client, id)).toString();
  expect(output).toBe("y\n".repeat(3) + "n\n".repeat(3));
});

test("nothing is lost and nothing comes twice, however often the server is killed", {
  timeout: 180_000,
}, async () => {
  const server = await TestServer.start();
  const { socketPath } = server;
  const client = createProcmanClient({ socketPath, reconnect: { giveUpAfterMs: 120_000 } });
  const { id } = await client.start({ command: "cat", stdin: true });
  const lines = Array.from({ length: 150 }, (_, n) => `${n} ${"x".repeat((n * 37) % 3000)}\n`);
  const sender = { isDone: false };
  const sending = (async () => {
    let offset = 0;
    for (const [n, line] of lines.entries()) {
      const close = n === lines.length - 1;
      ({ nextOffset: offset } = await client.sendInput(id, { offset, data: bytes(line), close }));
    }
    sender.isDone = true;
  })();
  sending.catch(() => {});
  for (let kills = 0; kills < 4 && !sender.isDone; kills += 1) {
    // At whatever moment that is.
    await sleep(Math.random() * 150);
    await server.restart();
  }
  await sending;
  const { status } = await client.wait(id);
  expect(status).toBe("completed");
  expect((await readOutput(server.client, id)).toString()).toBe(lines.join(""));
  await client.close();
});
