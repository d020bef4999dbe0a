import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { type Job, ProcmanService, Status } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import { errorOf } from "../helpers/errors.js";
import { TestServer } from "../helpers/test-server.js";

test("finds jobs by status and by labels, newest first", async () => {
  const server = await TestServer.start();
  const { client } = server;
  const start = async (script: string, labels: Record<string, string>) =>
    (await client.start({ command: "sh", args: ["-c", script], labels })).job!.id;
  const good = await start("exit 0", { team: "a", kind: "x" });
  const bad = await start("exit 1", { team: "a", kind: "y" });
  const long = await start("sleep 1000", { team: "b", kind: "x" });
  await client.wait({ id: good });
  await client.wait({ id: bad });

  const ids = async (filter: Parameters<typeof client.list>[0]) =>
    (await client.list(filter)).jobs.map(({ id }) => id);
  expect(await ids({})).toEqual([long, bad, good]);
  expect(await ids({ statuses: [Status.RUNNING] })).toEqual([long]);
  expect(await ids({ statuses: [Status.COMPLETED, Status.FAILED] })).toEqual([bad, good]);
  expect(await ids({ labels: { team: "a" } })).toEqual([bad, good]);
  expect(await ids({ labels: { team: "a", kind: "x" } })).toEqual([good]);
  expect(await ids({ labels: { team: "" } })).toEqual([]);
  expect(await ids({ statuses: [Status.FAILED], labels: { kind: "x" } })).toEqual([]);
});

test("pages through all jobs once, also while some come and go", async () => {
  const server = await TestServer.start();
  const { client } = server;
  const started: string[] = [];
  for (let n = 0; n < 7; n += 1) started.push((await client.start({ command: "true" })).job!.id);
  const seen: string[] = [];
  let pageToken = "";
  do {
    const page = await client.list({ pageSize: 3, pageToken });
    seen.push(...page.jobs.map(({ id }) => id));
    pageToken = page.nextPageToken;
    // A newer one does not shift the pages.
    await client.start({ command: "true" });
  } while (pageToken !== "");
  expect(seen).toEqual(started.toReversed());
});

test("the total counts what matches, the last page has no token", async () => {
  const server = await TestServer.start();
  for (let n = 0; n < 4; n += 1) await server.client.start({ command: "true" });
  const first = await server.client.list({ pageSize: 2 });
  expect(first).toMatchObject({ totalSize: 4 });
  const second = await server.client.list({ pageSize: 2, pageToken: first.nextPageToken });
  expect(second.jobs).toHaveLength(2);
  expect(second.nextPageToken).toBe("");
});

const shared = TestServer.shared();

test.each([
  [{ pageSize: -1 }, "INVALID_ARGUMENT", "page_size"],
  [{ pageSize: 1001 }, "INVALID_ARGUMENT", "page_size"],
  [{ pageToken: "garbage" }, "INVALID_PAGE_TOKEN", "page_token"],
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- what a newer client may send
  [{ statuses: [99 as Status] }, "INVALID_ARGUMENT", "statuses"],
  [{ statuses: [Status.UNSPECIFIED] }, "INVALID_ARGUMENT", "statuses"],
])("%o is refused", async (request, reason, field) => {
  const error = await errorOf(shared.client.list(request));
  expect(error).toMatchObject({ code: "InvalidArgument", reason });
  expect(error.fields.join()).toContain(field);
});

test("a page token is good for the same filters only", async () => {
  const server = await TestServer.start();
  for (let n = 0; n < 2; n += 1) await server.client.start({ command: "true" });
  const { nextPageToken } = await server.client.list({ pageSize: 1 });
  const error = await errorOf(
    server.client.list({ pageToken: nextPageToken, statuses: [Status.FAILED] }),
  );
  expect(error).toMatchObject({ code: "InvalidArgument", reason: "INVALID_PAGE_TOKEN" });
});

describe("long arguments and labels", () => {
  const long = TestServer.shared();
  const COUNT = 30;
  const args = ["-c", ":", "x".repeat(100_000), "y".repeat(100_000)];
  const label = "z".repeat(60_000);

  /** As most gRPC clients are: they take 4 MiB a message. */
  function usualClient() {
    const transport = createGrpcTransport({
      baseUrl: long.baseUrl,
      readMaxBytes: 4 * 1024 * 1024,
      interceptors: [
        (next) => (request) => {
          request.header.set("Authorization", `Bearer ${long.token}`);
          return next(request);
        },
      ],
    });
    return createClient(ProcmanService, transport);
  }

  test("every answer fits into a client's usual limit, and Get tells all", async () => {
    const client = usualClient();
    const ids: string[] = [];
    for (let n = 0; n < COUNT; n += 1) {
      const { job } = await client.start({ command: "sh", args, labels: { label } });
      // The answer to Start does not say it all back either.
      expect(job?.truncatedFields).toEqual(["args"]);
      ids.unshift(job!.id);
    }
    expect((await client.get({ id: ids[0]! })).job).toMatchObject({ args, truncatedFields: [] });

    const listed: Job[] = [];
    let pages = 0;
    for (let pageToken = ""; pages === 0 || pageToken !== ""; pages += 1) {
      const page = await client.list({ pageSize: 1000, pageToken });
      expect(page.totalSize).toBe(COUNT);
      listed.push(...page.jobs);
      pageToken = page.nextPageToken;
    }
    expect(pages).toBeGreaterThan(1);
    expect(listed.map(({ id }) => id)).toEqual(ids);
    for (const {
      args: [, , cut = ""],
      labels,
      truncatedFields,
    } of listed) {
      expect(truncatedFields).toEqual(["args"]);
      expect(cut).toMatch(/^x{16000,17000}$/);
      expect(labels["label"]).toBe(label);
    }
  });

  test("a snapshot comes in parts, which add up for a client that knows of none", async () => {
    const ids = new Set<string>();
    let parts = 0;
    for await (const { event } of usualClient().watchJobs({})) {
      if (event.case === "snapshot") {
        expect(event.value).toMatchObject({ more: true, revision: "" });
        for (const { id } of event.value.jobs) ids.add(id);
      } else if (event.case === "changed") {
        ids.add(event.value.job!.id);
        parts += 1;
        expect(event.value.revision === "").toBe(event.value.more);
        if (!event.value.more) break;
      }
    }
    expect(ids.size).toBe(COUNT);
    expect(parts).toBeGreaterThan(0);
  });

  test("procman's own client joins the parts", async () => {
    const client = createProcmanClient({ socketPath: long.socketPath });
    for await (const event of client.watchJobs()) {
      expect(event).toMatchObject({ type: "snapshot", revision: expect.stringMatching(/./) });
      if (event.type === "snapshot") expect(event.jobs).toHaveLength(COUNT);
      break;
    }
    await client.close();
  });

  test("labels beyond 64 KiB in all are refused", async () => {
    const labels = { a: "x".repeat(40_000), b: "y".repeat(40_000) };
    const error = await errorOf(long.client.start({ command: "true", labels }));
    expect(error).toMatchObject({ code: "InvalidArgument", reason: "INVALID_ARGUMENT" });
    expect(error.fields.join()).toContain("labels");
  });
});
