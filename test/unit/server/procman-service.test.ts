import { getEventListeners } from "node:events";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import pino from "pino";
import { describe, expect, test } from "vitest";
import { ProcmanService, Status, Stream } from "../../../gen/procman/v1/procman_pb.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import { createProcmanService } from "../../../src/server/procman-service.js";
import { collect, errorOf } from "../../helpers/errors.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

function setUp(heartbeatIntervalMs = 60_000) {
  const procman = new FakeProcman();
  const closing = new AbortController();
  const logger = pino({ enabled: false });
  const service = createProcmanService(procman, { heartbeatIntervalMs, logger });
  const transport = createRouterTransport((router) => router.service(ProcmanService, service), {
    router: { shutdownSignal: closing.signal },
  });
  return { procman, closing, client: createClient(ProcmanService, transport) };
}

describe("every RPC asks its verb and answers with what that says", () => {
  test("Start", async () => {
    const { client, procman } = setUp();
    const { job } = await client.start({ command: "make", requestId: "r" });
    expect(job).toMatchObject({ command: "make" });
    expect(procman.lastCall("start")).toMatchObject([{ command: "make", requestId: "r" }]);
  });

  test("SendInput, ResizeWindow", async () => {
    const { client, procman } = setUp();
    procman.addJob("a");
    const data = new TextEncoder().encode("abc");
    const sent = { id: "a", sender: "me", offset: 0n, data, close: true };
    expect(await client.sendInput(sent)).toMatchObject({ nextOffset: 3n });
    expect(procman.lastCall("sendInput")).toMatchObject([
      "a",
      { sender: "me", offset: 0, data, close: true },
    ]);
    const windowSize = { rows: 24, columns: 80 };
    expect((await client.resizeWindow({ id: "a", windowSize })).job?.id).toBe("a");
    expect(procman.lastCall("resizeWindow").slice(0, 2)).toEqual(["a", windowSize]);
  });

  test("Get of the environment", async () => {
    const { client, procman } = setUp();
    procman.addJob("a");
    for (const includeEnv of [true, false]) {
      await client.get({ id: "a", includeEnv });
      expect(procman.lastCall("get")).toMatchObject(["a", { includeEnv }]);
    }
  });

  test("Get, Wait, Signal, Cancel, Remove", async () => {
    const { client, procman } = setUp();
    procman.addJob("a");
    expect((await client.get({ id: "a" })).job).toMatchObject({ id: "a", status: Status.RUNNING });
    await client.signal({ id: "a", signal: "HUP" });
    expect(procman.lastCall("signal").slice(0, 2)).toEqual(["a", "HUP"]);
    const waiting = client.wait({ id: "a", timeout: { seconds: 60n } });
    await eventually("the wait", () => procman.calls.some(({ method }) => method === "wait"));
    expect(procman.lastCall("wait")).toMatchObject(["a", { timeoutMs: 60_000 }]);
    const gracePeriod = { seconds: 0n };
    const { job } = await client.cancel({ id: "a", gracePeriod });
    expect(job).toMatchObject({ status: Status.CANCELLED, exitCode: 0 });
    expect(procman.lastCall("cancel")).toMatchObject(["a", { gracePeriodMs: 0 }]);
    expect((await waiting).job?.status).toBe(Status.CANCELLED);
    await client.remove({ id: "a" });
    expect(await errorOf(client.remove({ id: "a" }))).toMatchObject({ reason: "JOB_NOT_FOUND" });
  });

  test("Wait for something else than the end", async () => {
    const { client, procman } = setUp();
    procman.addJob("a");
    procman.outcome = { type: "port", port: 3000 };
    const forPort = { case: "port", value: 0 } as const;
    const { job, outcome } = await client.wait({ id: "a", until: forPort });
    expect(job).toMatchObject({ id: "a", status: Status.RUNNING });
    expect(outcome).toEqual({ case: "port", value: 3000 });
    expect(procman.lastCall("wait")).toMatchObject(["a", { until: { type: "port", port: 0 } }]);

    procman.outcome = { type: "searched", stdoutOffset: 7, stderrOffset: 8 };
    const output = { pattern: "ready", streams: [Stream.STDERR], stderrOffset: 3n };
    const searched = await client.wait({ id: "a", until: { case: "output", value: output } });
    expect(searched.outcome).toMatchObject({
      case: "searched",
      value: { stdoutOffset: 7n, stderrOffset: 8n },
    });
    expect(procman.lastCall("wait")).toMatchObject([
      "a",
      { until: { type: "output", pattern: "ready", streams: ["stderr"], stderrOffset: 3 } },
    ]);
  });

  test("CancelJobs, SignalJobs, RemoveJobs", async () => {
    const { client, procman } = setUp();
    procman.addJob("a", { labels: { team: "ml" } });
    const selection = { labels: { team: "ml" } };
    const signalled = await client.signalJobs({ selection, signal: "HUP" });
    expect(signalled).toMatchObject({ results: [{ id: "a", job: { id: "a" } }], doneSize: 1 });
    await client.cancelJobs({ selection: { ids: ["a", "b"] }, gracePeriod: { seconds: 2n } });
    expect(procman.lastCall("cancelJobs")).toMatchObject([
      { ids: ["a", "b"] },
      { gracePeriodMs: 2000 },
    ]);
    const removal = { selection: { all: true }, cancel: true };
    expect((await client.removeJobs(removal)).results).toMatchObject([{ id: "a" }]);
    expect(procman.lastCall("removeJobs")).toMatchObject([{ all: true }, { cancel: true }]);
  });

  test("List, Cleanup, Refresh", async () => {
    const { client, procman } = setUp();
    procman.addJob("a");
    procman.addJob("b");
    const page = await client.list({ statuses: [Status.RUNNING], pageSize: 2, pageToken: "t" });
    expect(page).toMatchObject({ nextPageToken: "next", totalSize: 2 });
    expect(page.jobs.map(({ id }) => id)).toEqual(["b", "a"]);
    expect(procman.lastCall("list")).toMatchObject([
      { statuses: ["running"], pageSize: 2, pageToken: "t" },
    ]);
    expect((await client.cleanup({ olderThan: { seconds: 1n } })).removedIds).toEqual([
      "old1",
      "old2",
    ]);
    expect(procman.lastCall("cleanup")).toMatchObject([{ olderThanMs: 1000 }]);
    expect((await client.refresh({})).jobs.map(({ id }) => id)).toEqual(["a", "b"]);
  });

  test("Refresh tells by their ids of jobs that do not fit into one message", async () => {
    const { client, procman } = setUp();
    const args = ["x".repeat(16_000)];
    for (let n = 0; n < 100; n += 1) procman.addJob(`job${n}`, { args });
    const { jobs, furtherIds } = await client.refresh({});
    expect(jobs.length).toBeGreaterThan(10);
    expect(jobs.length).toBeLessThan(70);
    expect([...jobs.map(({ id }) => id), ...furtherIds]).toEqual(
      Array.from({ length: 100 }, (_, n) => `job${n}`),
    );
  });

  test("Attach, Watch", async () => {
    const { client, procman } = setUp();
    procman.addJob("a");
    procman.write("a", "out\n");
    procman.write("a", "err\n", "stderr");
    const attached = await collect(
      client.attach({ id: "a", streams: [Stream.STDERR], tailLines: 3 }),
    );
    expect(attached.map(({ event }) => event.case)).toEqual(["opened", "chunk", "chunk", "ended"]);
    expect(procman.lastCall("attach")).toMatchObject([
      "a",
      { streams: ["stderr"], tailLines: 3, follow: false },
      { transientData: true },
    ]);
    procman.end("a");
    const watched = await collect(client.watch({ id: "a", stdoutOffset: 4n }));
    expect(watched.map(({ event }) => event.case)).toEqual(["opened", "line", "line", "ended"]);
    expect(watched[1]?.event.value).toMatchObject({
      text: "out",
      nextOffset: 4n,
      progress: { eta: { seconds: 1n, nanos: 500_000_000 } },
    });
    expect(procman.lastCall("watch")).toMatchObject(["a", { stdoutOffset: 4 }]);
  });

  test("WatchJobs", async () => {
    const { client, procman } = setUp();
    procman.addJob("a", { labels: { x: "y" } });
    const events: (string | undefined)[] = [];
    const leave = new AbortController();
    const watching = async () => {
      const { signal } = leave;
      for await (const { event } of client.watchJobs({ labels: { x: "y" } }, { signal })) {
        events.push(event.case);
        if (event.case === "snapshot") procman.end("a");
        if (event.case === "changed") await client.remove({ id: "a" });
        if (event.case === "removed") leave.abort();
      }
    };
    expect(await errorOf(watching())).toMatchObject({ code: "Canceled" });
    expect(events).toEqual(["snapshot", "changed", "removed"]);
    expect(procman.lastCall("watchJobs")).toMatchObject([{ labels: { x: "y" } }]);
    await eventually("the release", () => procman.openStreams === 0);
  });
});

test("heartbeats come on every stream", async () => {
  const { client, procman } = setUp(5);
  procman.addJob("a");
  const streams = [
    client.attach({ id: "a", follow: true }),
    client.watch({ id: "a" }),
    client.watchJobs({}),
  ];
  for (const stream of streams) {
    const cases: (string | undefined)[] = [];
    for await (const { event } of stream) {
      cases.push(event.case);
      if (cases.length === 3) break;
    }
    expect(cases.slice(1)).toEqual(["heartbeat", "heartbeat"]);
  }
});

test("an argument that is wrong asks nobody", async () => {
  const { client, procman } = setUp();
  const calls = [
    client.get({ id: "" }),
    client.wait({ id: "" }),
    client.signal({ id: "", signal: "HUP" }),
    client.cancel({ id: "" }),
    client.remove({ id: "" }),
    collect(client.attach({ id: "" })),
    collect(client.watch({ id: "" })),
  ];
  for (const call of calls) {
    expect(await errorOf(call)).toMatchObject({ reason: "INVALID_ARGUMENT", fields: ["id"] });
  }
  expect(await errorOf(client.list({ pageSize: -1 }))).toMatchObject({ fields: ["page_size"] });
  expect(
    await errorOf(collect(client.watchJobs({ statuses: [Status.UNSPECIFIED] }))),
  ).toMatchObject({ fields: ["statuses"] });
  expect(procman.calls).toEqual([]);
});

test("closing ends what waits, and calls leave nothing behind on its signal", async () => {
  const { client, procman, closing } = setUp();
  procman.addJob("a");
  const listeners = () => getEventListeners(closing.signal, "abort").length;
  await collect(client.attach({ id: "a" }));
  await errorOf(client.wait({ id: "nope" }));
  await errorOf(client.wait({ id: "a" }, { timeoutMs: 5 }));
  await errorOf(collect(client.watch({ id: "a" }, { timeoutMs: 5 })));
  await eventually("no listeners", () => listeners() === 0);

  const calls = [
    errorOf(client.wait({ id: "a" })),
    errorOf(collect(client.attach({ id: "a", follow: true }))),
    errorOf(collect(client.watchJobs({}))),
  ];
  await eventually("all calls", () => listeners() === calls.length);
  closing.abort(new ProcmanError("SHUTTING_DOWN", "the server is shutting down"));
  for (const error of await Promise.all(calls)) {
    expect(error).toMatchObject({ code: "Unavailable", reason: "SHUTTING_DOWN" });
  }
  expect(listeners()).toBe(0);
  // What does not wait is still answered.
  expect((await client.get({ id: "a" })).job).toEqual(expect.objectContaining({ id: "a" }));
});
