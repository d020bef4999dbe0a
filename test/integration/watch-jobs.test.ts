import { execFileSync } from "node:child_process";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Status, type WatchJobsResponse } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import type { Job } from "../../src/contract/job.js";
import { breakablePath } from "../helpers/breakable-path.js";
import { eventually } from "../helpers/eventually.js";
import { JobsPicture } from "../helpers/jobs-picture.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

async function ended(server: TestServer, script = "true"): Promise<string> {
  const { job } = await server.client.start({ command: "sh", args: ["-c", script] });
  await server.client.wait({ id: job!.id });
  return job!.id;
}

async function running(server: TestServer): Promise<string> {
  return (await server.client.start({ command: "sleep", args: ["1000"] })).job!.id;
}

/** The events as they come, until `leave`, which returns the last revision. */
function watchJobs(server: TestServer, request: { sinceRevision?: string } = {}) {
  const stop = new AbortController();
  const events: WatchJobsResponse[] = [];
  const watching = (async () => {
    for await (const message of server.client.watchJobs(request, { signal: stop.signal })) {
      events.push(message);
    }
  })().catch(() => {});
  const leave = async () => {
    stop.abort();
    await watching;
    const { event } = events.at(-1) as WatchJobsResponse;
    return event.case === undefined || event.case === "heartbeat" ? "" : event.value.revision;
  };
  return { events, leave };
}

test("tells a snapshot, then every change in order, then the removal", async () => {
  const server = await TestServer.start();
  const { client } = server;
  const before = await running(server);
  const stop = new AbortController();
  const events: WatchJobsResponse["event"][] = [];
  const watching = (async () => {
    for await (const { event } of client.watchJobs({}, { signal: stop.signal })) {
      events.push(event);
    }
  })();
  await eventually("the snapshot", () => events.length === 1);
  expect(events[0]).toMatchObject({ case: "snapshot", value: { jobs: [{ id: before }] } });
  const id = await ended(server, "sleep 0.1; exit 5");
  await eventually("the end", () =>
    events.some((e) => e.case === "changed" && e.value.job!.status === Status.FAILED),
  );
  await client.remove({ id });
  await eventually("the removal", () => events.some((e) => e.case === "removed"));
  stop.abort();
  await watching.catch(() => {});
  const story = events.slice(1).map((e) => (e.case === "changed" ? e.value.job!.status : e.case));
  expect(story).toEqual([Status.RUNNING, Status.FAILED, "removed"]);
});

test("a job that leaves the filter is told once more", async () => {
  const server = await TestServer.start();
  const { client } = server;
  const stop = new AbortController();
  const seen: string[] = [];
  const request = { statuses: [Status.RUNNING], labels: { mine: "yes" } };
  const watching = (async () => {
    for await (const { event } of client.watchJobs(request, { signal: stop.signal })) {
      if (event.case === "changed") seen.push(Status[event.value.job!.status]);
      else if (event.case) seen.push(event.case);
    }
  })();
  await eventually("the snapshot", () => seen.length === 1);
  await ended(server);
  const { job } = await client.start({
    command: "sleep",
    args: ["1000"],
    labels: { mine: "yes" },
  });
  await eventually("the start", () => seen.length === 2);
  await client.cancel({ id: job!.id });
  await eventually("the end", () => seen.length === 3);
  stop.abort();
  await watching.catch(() => {});
  expect(seen).toEqual(["snapshot", "RUNNING", "CANCELLED"]);
});

test("one who comes back is told what it missed; after a restart, everything", async () => {
  const server = await TestServer.start();
  const first = await ended(server, "exit 3");
  const other = await running(server);
  const { events, leave } = watchJobs(server);
  await eventually("the snapshot", () => events.length === 1);
  await server.client.cancel({ id: other });
  await eventually("the end", () => events.length === 2);
  const sinceRevision = await leave();

  await server.client.remove({ id: first });
  const later = await running(server);
  const again = watchJobs(server, { sinceRevision });
  await eventually("what was missed", () => again.events.length === 3);
  expect(again.events.map(({ event }) => event)).toMatchObject([
    { case: "resumed", value: { revision: sinceRevision } },
    { case: "removed", value: { id: first } },
    { case: "changed", value: { job: { id: later } } },
  ]);
  const lastRevision = await again.leave();

  await server.restart();
  const anew = watchJobs(server, { sinceRevision: lastRevision });
  await eventually("the snapshot", () => anew.events.length === 1);
  expect(anew.events[0]?.event).toMatchObject({
    case: "snapshot",
    value: { jobs: [{ id: later }, { id: other }] },
  });
  await anew.leave();
});

test("tells what a running job writes, with the progress in it", async () => {
  const server = await TestServer.start({
    args: ["--listen", "127.0.0.1:0", "--poll-interval", "20ms"],
  });
  const { events, leave } = watchJobs(server);
  await eventually("the snapshot", () => events.length === 1);
  const script = "echo 10%; read -r line; echo 60% >&2; read -r line";
  const pipe = join(tempDir(), "pipe");
  execFileSync("mkfifo", [pipe]);
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", `exec <"$0"; ${script}`, pipe],
  });
  // Not held up until the job reads.
  const input = await open(pipe, "r+");
  onTestFinished(() => input.close());
  const last = () => {
    const event = events.at(-1)?.event;
    return event?.case === "changed" ? event.value.job : undefined;
  };
  await eventually("10%", () => last()?.progress?.percent === 10);
  expect(last()).toMatchObject({ id: job!.id, stdoutBytes: 4n, stderrBytes: 0n });
  await input.write("\n");
  await eventually("60%", () => last()?.progress?.percent === 60);
  expect(last()).toMatchObject({ id: job!.id, stdoutBytes: 4n, stderrBytes: 4n });
  await input.write("\n");
  await eventually("the end", () => last()?.status === Status.COMPLETED);
  await leave();
});

test("a client's picture stays right: without a gap when connections break, anew after a restart", async () => {
  const server = await TestServer.start();
  const first = await ended(server);
  const { socketPath, cut } = await breakablePath(server);
  const client = createProcmanClient({ socketPath, reconnect: { maxDelayMs: 20 } });
  const stop = new AbortController();
  onTestFinished(() => client.close());
  const picture = new JobsPicture({});
  const watching = (async () => {
    for await (const event of client.watchJobs({ signal: stop.signal })) picture.apply(event);
  })().catch((error: unknown) => error);
  const complete = () =>
    eventually("the whole picture", async () => {
      const { jobs } = await client.list();
      expect([...picture.jobs.values()].sort(newestFirst)).toEqual(jobs);
      return true;
    });

  await complete();
  for (let n = 0; n < 5; n += 1) {
    cut();
    picture.exact = false;
    await ended(server, `exit ${n}`);
    await complete();
  }
  await server.client.remove({ id: first });
  await complete();
  expect(picture.snapshots).toBe(1);

  const goes = await ended(server);
  await complete();
  await server.restart();
  await server.client.remove({ id: goes });
  await complete();
  expect(picture.ids).not.toContain(goes);
  expect(picture.snapshots).toBe(2);
  stop.abort(new Error("enough"));
  expect(await watching).toMatchObject({ message: "enough" });
});

function newestFirst(a: Job, b: Job): number {
  return b.createdTime.getTime() - a.createdTime.getTime();
}
