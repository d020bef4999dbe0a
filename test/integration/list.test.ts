import { expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
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
