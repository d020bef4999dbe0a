import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { type AttachResponse, Status, Stream } from "../../../gen/procman/v1/procman_pb.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import { collect, errorOf } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";
import {
  type FakeServer,
  networkClient,
  type Protocol,
  startFakeServer,
} from "../../helpers/fake-server.js";
import { envelope } from "../../helpers/http2-frames.js";

const PROTOCOLS: Protocol[] = ["connect", "grpc-web", "grpc"];

describe.each(PROTOCOLS)("over %s", (protocol) => {
  async function start(options: Parameters<typeof startFakeServer>[0] = {}) {
    const server = await startFakeServer(options);
    return { server, procman: server.procman, client: networkClient(server, protocol) };
  }

  test("a unary call passes its arguments and its answer", async () => {
    const { client, procman } = await start();
    const { job } = await client.start({
      command: "make",
      args: ["-j", "größer"],
      env: { A: "b" },
      labels: { team: "x" },
      timeout: { seconds: 1n, nanos: 1 },
    });
    expect(job).toMatchObject({ command: "make", args: ["-j", "größer"], pid: 42, status: 2 });
    expect(procman.lastCall("start")[0]).toMatchObject({
      command: "make",
      env: { A: "b" },
      labels: { team: "x" },
      timeoutMs: 1001,
    });
  });

  test("an error has its code, reason, job and fields", async () => {
    const { client, procman } = await start();
    const missing = await errorOf(client.get({ id: "nope" }));
    expect(missing).toMatchObject({ code: "NotFound", reason: "JOB_NOT_FOUND", domain: "procman" });
    expect(await errorOf(client.get({ id: "" }))).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_ARGUMENT",
      fields: ["id"],
    });
    procman.failure = new ProcmanError("DISK_FULL", "writing / größe\n100%: ENOSPC");
    expect(await errorOf(client.start({ command: "x" }))).toMatchObject({
      code: "ResourceExhausted",
      reason: "DISK_FULL",
      message: "writing / größe\n100%: ENOSPC",
    });
  });

  test("what went wrong inside is logged and not told", async () => {
    const { client, procman, server } = await start();
    procman.failure = new Error("secret path");
    const error = await errorOf(client.refresh({}));
    expect(error).toMatchObject({
      code: "Internal",
      reason: "INTERNAL",
      message: "internal error",
    });
    const line = await eventually("the log line", () =>
      server.logged.find(({ level }) => level === 50),
    );
    expect(line).toMatchObject({
      method: "Refresh",
      code: "Internal",
      err: { message: "secret path" },
    });
  });

  test("a stream gives every event in order, large chunks whole", async () => {
    const { client, procman } = await start();
    procman.addJob("a");
    const data = Buffer.alloc(3_000_000, "0123456789");
    procman.write("a", "err", "stderr");
    for (let i = 0; i < 10; i += 1) procman.write("a", data);
    procman.end("a");
    const events = await collect(client.attach({ id: "a", follow: true }));
    expect(events.map(({ event }) => event.case)).toEqual([
      "opened",
      ...Array.from({ length: 11 }, () => "chunk"),
      "ended",
    ]);
    const bytes = events.flatMap(({ event }) =>
      event.case === "chunk" && event.value.stream === Stream.STDOUT ? [event.value.data] : [],
    );
    expect(Buffer.concat(bytes).equals(Buffer.concat(Array.from({ length: 10 }, () => data)))).toBe(
      true,
    );
    expect(procman.openStreams).toBe(0);
  });

  test("the first event comes at once, and heartbeats while nothing happens", async () => {
    const { client, procman } = await start({ heartbeatIntervalMs: 20 });
    procman.addJob("a");
    const seen: (string | undefined)[] = [];
    for await (const { event } of client.watch({ id: "a" })) {
      seen.push(event.case);
      if (seen.length === 3) procman.write("a", "line\n");
      if (event.case === "line") procman.end("a");
    }
    expect(seen.slice(0, 3)).toEqual(["opened", "heartbeat", "heartbeat"]);
    expect(seen.filter((name) => name !== "heartbeat")).toEqual(["opened", "line", "ended"]);
  });

  test("a stream that fails at its start has the error's details", async () => {
    const { client } = await start();
    const error = await errorOf(
      collect(client.attach({ id: "a b", tailLines: -1, stdoutOffset: -1n })),
    );
    expect(error).toMatchObject({
      code: "InvalidArgument",
      fields: ["tail_lines", "stdout_offset"],
    });
    expect(await errorOf(collect(client.attach({ id: "nope" })))).toMatchObject({
      code: "NotFound",
      reason: "JOB_NOT_FOUND",
    });
  });

  test("what a stream holds is released when the client leaves", async () => {
    const { client, procman } = await start();
    procman.addJob("a");
    const leave = new AbortController();
    const first: AttachResponse[] = [];
    await expect(async () => {
      for await (const event of client.attach(
        { id: "a", follow: true },
        { signal: leave.signal },
      )) {
        first.push(event);
        expect(procman.openStreams).toBe(1);
        leave.abort();
      }
    }).rejects.toMatchObject({ code: Code.Canceled });
    expect(first.length).toBe(1);
    await eventually("the stream's release", () => procman.openStreams === 0);
  });

  test("what a stream holds is released when the client leaves while the server waits to write", async () => {
    const { client, procman, server } = await start();
    procman.addJob("a");
    for (let i = 0; i < 64; i += 1) procman.write("a", Buffer.alloc(1024 * 1024));
    const leave = new AbortController();
    const stream = client.attach({ id: "a", follow: true }, { signal: leave.signal });
    const iterator = stream[Symbol.asyncIterator]();
    await iterator.next();
    expect(procman.openStreams).toBe(1);
    leave.abort();
    await iterator.next().catch(() => {});
    await eventually("the stream's release", () => procman.openStreams === 0);
    const line = await eventually("the log", () =>
      server.logged.find(({ method }) => method === "Attach"),
    );
    expect(line).toMatchObject({ code: "Canceled", level: 20 });
  });

  test("a deadline ends a call with its own code", async () => {
    const { client, procman } = await start();
    procman.addJob("a");
    const error = await errorOf(client.wait({ id: "a" }, { timeoutMs: 50 }));
    expect(error.code).toBe("DeadlineExceeded");
    const stream = collect(client.attach({ id: "a", follow: true }, { timeoutMs: 50 }));
    expect((await errorOf(stream)).code).toBe("DeadlineExceeded");
    await eventually("the stream's release", () => procman.openStreams === 0);
  });

  test("without the token nothing is answered", async () => {
    const { server, procman } = await start();
    procman.addJob("a");
    for (const token of ["", "wrong"]) {
      const stranger = networkClient(server, protocol, token);
      for (const call of [stranger.get({ id: "a" }), collect(stranger.attach({ id: "a" }))]) {
        expect(await errorOf(call)).toMatchObject({
          code: "Unauthenticated",
          reason: "UNAUTHENTICATED",
          domain: "procman",
        });
      }
    }
    expect(procman.calls).toEqual([]);
  });

  test("wrong tokens are counted and warned of once, and the right one works all the same", async () => {
    const { server, client } = await start();
    const stranger = networkClient(server, protocol, "a-wrong-token");
    const codes: string[] = [];
    for (let i = 0; i < 33; i += 1) codes.push((await errorOf(stranger.list({}))).code);
    expect(codes).toEqual([
      ...Array.from({ length: 30 }, () => "Unauthenticated"),
      ...Array.from({ length: 3 }, () => "ResourceExhausted"),
    ]);
    await client.list({});
    const warnings = server.logged.filter(({ level }) => level === 40);
    expect(warnings).toMatchObject([{ address: "127.0.0.1" }]);
    expect(JSON.stringify(server.logged)).not.toContain("a-wrong-token");
  });

  test("without the token a request is refused before it has arrived", async () => {
    const { server, procman } = await start();
    const stranger = networkClient(server, protocol, "");
    // More than is taken from those who have it, which would be told of otherwise.
    const large = stranger.start({ command: "x", args: ["x".repeat(5_000_000)] });
    expect((await errorOf(large)).code).toBe("Unauthenticated");
    expect(procman.calls).toEqual([]);
  });

  test("closing ends streams and waits so that clients come back, and lets other calls finish", async () => {
    const { server, client, procman } = await start();
    procman.addJob("a");
    let release = () => {};
    procman.beforeStart = new Promise<void>((resolve) => {
      release = resolve;
    });
    const starting = client.start({ command: "x" });
    const waiting = errorOf(client.wait({ id: "a" }));
    const attached = errorOf(collect(client.attach({ id: "a", follow: true })));
    const watched = errorOf(collect(client.watchJobs({})));
    await eventually("all calls", () => procman.calls.length === 4 && procman.openStreams === 2);
    const closing = server.close();
    for (const error of await Promise.all([waiting, attached, watched])) {
      expect(error).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN" });
    }
    release();
    expect((await starting).job?.status).toBe(Status.RUNNING);
    await closing;
    await expect(client.list({})).rejects.toBeInstanceOf(ConnectError);
  });

  test("a request that is too large is refused, and the server stays", async () => {
    const { client } = await start();
    const error = await errorOf(client.start({ command: "x", args: ["x".repeat(5_000_000)] }));
    expect(error.code).toBe("ResourceExhausted");
    await client.list({});
  });

  test("labels and errors of any text pass", async () => {
    const { client } = await start();
    const id = "x".repeat(100_000) + "é\u{1f600}\n";
    const error = await errorOf(client.get({ id }));
    expect(error).toMatchObject({ code: "NotFound", reason: "JOB_NOT_FOUND" });
    expect(error.message.length).toBe(1024);
  });
});

/** Posts to a server, with its token. */
function post(
  server: FakeServer,
  method: string,
  headers: object,
  body: string | Uint8Array<ArrayBuffer>,
) {
  return fetch(`http://${server.authority}/procman.v1.ProcmanService/${method}`, {
    method: "POST",
    headers: { Authorization: `Bearer ${server.token}`, ...headers },
    body,
  });
}

test("a deadline longer than timers can take is refused, and is not over at once", async () => {
  const server = await startFakeServer();
  server.procman.addJob("a");
  const headers = { "Content-Type": "application/json", "Connect-Timeout-Ms": "9999999999" };
  const answer = await post(server, "Wait", headers, '{"id":"a"}');
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ code: "invalid_argument" });
});

test("output is not compressed, also for clients that take it compressed", async () => {
  const server = await startFakeServer();
  server.procman.addJob("a");
  server.procman.write("a", Buffer.alloc(1_000_000));
  const headers = {
    "Content-Type": "application/connect+json",
    "Connect-Accept-Encoding": "gzip",
  };
  const answer = await post(
    server,
    "Attach",
    headers,
    new Uint8Array(envelope(Buffer.from('{"id":"a"}'))),
  );
  const bytes = Buffer.from(await answer.arrayBuffer());
  expect(bytes.length).toBeGreaterThan(1_000_000);
  const flags: number[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) {
    flags.push(bytes.readUInt8(at));
  }
  // The last one ends the stream.
  expect(flags).toEqual([0, 0, 0, 2]);
});

test.each(['{"statuses":["STATUS_BOGUS"]}', '{"status":["STATUS_RUNNING"]}', '{"pageSize":"x"}'])(
  "JSON that is misspelt is refused, not read as something else: %s",
  async (body) => {
    const server = await startFakeServer();
    const answer = await post(server, "List", { "Content-Type": "application/json" }, body);
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({ code: "invalid_argument" });
    expect(server.procman.calls).toEqual([]);
  },
);
