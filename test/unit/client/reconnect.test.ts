import { Code, ConnectError, createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type AttachRequest,
  ProcmanService,
  Stream as StreamName,
  Terminator,
} from "../../../gen/procman/v1/procman_pb.js";
import {
  createProcmanClientFromTransport,
  type TransportClientOptions,
} from "../../../src/client/index.js";
import type {
  AttachEvent,
  JobsEvent,
  Procman,
  WatchJobsOptions,
} from "../../../src/contract/procman.js";
import { jobNotFound, ProcmanError } from "../../../src/contract/errors.js";
import type { Job, Stream } from "../../../src/contract/job.js";
import { encodeError } from "../../../src/wire/error-map.js";
import { encodeJob } from "../../../src/wire/job.js";
import { encodeJobsEvent, type JobsMessage } from "../../../src/wire/jobs.js";
import { encodeAttachEvent } from "../../../src/wire/output.js";
import { endedJob, runningJob } from "./some-job.js";

type AttachResponseInit = ReturnType<typeof encodeAttachEvent>;

/** A client of a server that does what the test says. */
function clientOf(
  implementation: Partial<ServiceImpl<typeof ProcmanService>>,
  options: TransportClientOptions = {},
): Procman {
  const transport = createRouterTransport(({ service }) => service(ProcmanService, implementation));
  const client = createProcmanClientFromTransport(transport, {
    reconnect: { maxDelayMs: 2 },
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** As a broken connection looks to a client. */
const lost = () => new ConnectError("aborted", Code.Aborted);
const closing = () => encodeError(new ProcmanError("SHUTTING_DOWN", "closing"));

const opened = (job: Job = runningJob()) => encodeAttachEvent({ type: "opened", job });
const ended = () => encodeAttachEvent({ type: "ended", job: endedJob() });
const heartbeat = { event: { case: "heartbeat", value: {} } } as const;
function chunk(offset: number, text: string, stream: Stream = "stdout"): AttachResponseInit {
  return encodeAttachEvent({ type: "chunk", stream, offset, data: Buffer.from(text) });
}

/** An attach that says something else over every connection; and the requests that came. */
function connections(...scripts: (AttachResponseInit | Error)[][]) {
  const requests: AttachRequest[] = [];
  return {
    requests,
    async *attach(request: AttachRequest) {
      requests.push(request);
      const script = scripts[requests.length - 1];
      if (!script) throw new Error(`connection ${requests.length} was not expected`);
      for (const step of script) {
        if (step instanceof Error) throw step;
        yield step;
      }
    },
  };
}

async function shown(events: AsyncIterable<AttachEvent>): Promise<string[]> {
  const all: string[] = [];
  for await (const event of events) {
    all.push(
      event.type === "chunk"
        ? `${event.stream}@${event.offset} ${Buffer.from(event.data).toString()}`
        : event.type,
    );
  }
  return all;
}

describe("attach", () => {
  test("goes on at the next byte of each stream, after whatever breaks the connection", async () => {
    const server = connections(
      [lost()],
      [opened(), chunk(0, "ab"), lost()],
      [opened(), chunk(2, "cd"), chunk(0, "E", "stderr"), heartbeat, closing()],
      // Ended by something between, without an error and without the last event.
      [opened()],
      [opened(), chunk(4, "f"), ended()],
    );
    const client = clientOf(server);
    expect(await shown(client.attach("job1", { follow: true }))).toEqual([
      "opened",
      "stdout@0 ab",
      "stdout@2 cd",
      "stderr@0 E",
      "stdout@4 f",
      "ended",
    ]);
    const offsets = server.requests.map((request) => [request.stdoutOffset, request.stderrOffset]);
    expect(offsets).toEqual([
      [0n, 0n],
      [0n, 0n],
      [2n, 0n],
      [4n, 1n],
      [4n, 1n],
    ]);
    expect(server.requests.every(({ follow, id }) => follow && id === "job1")).toBe(true);
  });

  test("goes on after output that a log limit has taken meanwhile", async () => {
    const server = connections(
      [opened(), chunk(0, "ab"), lost()],
      [opened(), chunk(100, "cd"), chunk(200, "E", "stderr"), lost()],
      [opened(), chunk(102, "f"), ended()],
    );
    expect(await shown(clientOf(server).attach("job1", { follow: true }))).toEqual([
      "opened",
      "stdout@0 ab",
      "stdout@100 cd",
      "stderr@200 E",
      "stdout@102 f",
      "ended",
    ]);
    const offsets = server.requests.map((request) => [request.stdoutOffset, request.stderrOffset]);
    expect(offsets).toEqual([
      [0n, 0n],
      [2n, 0n],
      [102n, 201n],
    ]);
  });

  test("after a tail, goes on by offsets, and finds the tail of a stream that was silent", async () => {
    const job = runningJob({ stdoutBytes: 100, stderrBytes: 50 });
    const server = connections(
      [opened(job), chunk(90, "0123456789"), lost()],
      // Where does the tail of stderr begin now?
      [opened(job), chunk(40, "tail", "stderr"), ended()],
      [opened(job), chunk(40, "tail", "stderr"), ended()],
    );
    const client = clientOf(server);
    expect(await shown(client.attach("job1", { follow: true, tailLines: 2 }))).toEqual([
      "opened",
      "stdout@90 0123456789",
      "stderr@40 tail",
      "ended",
    ]);
    const [first, locate, second] = server.requests;
    expect(first).toMatchObject({ tailLines: 2, follow: true });
    expect(locate).toMatchObject({ tailLines: 2, follow: false, streams: [2] });
    expect(second).toMatchObject({ stdoutOffset: 100n, stderrOffset: 40n, follow: true });
    expect(second?.tailLines).toBeUndefined();
  });

  test("a connection lost after the last event does not matter", async () => {
    const server = connections([opened(), ended(), lost()]);
    expect(await shown(clientOf(server).attach("job1"))).toEqual(["opened", "ended"]);
  });

  test("an error that the server explains is final", async () => {
    const server = connections(
      [opened(), chunk(0, "a"), lost()],
      [encodeError(jobNotFound("job1"))],
    );
    const events = clientOf(server).attach("job1", { follow: true });
    await expect(shown(events)).rejects.toMatchObject({ reason: "JOB_NOT_FOUND", jobId: "job1" });
  });

  test("gives up with the last error, after the time it was given", async () => {
    let calls = 0;
    const client = clientOf(
      {
        // oxlint-disable-next-line require-yield
        async *attach() {
          calls += 1;
          throw new ConnectError(`attempt ${calls}`, Code.Unavailable);
        },
      },
      { reconnect: { maxDelayMs: 5, giveUpAfterMs: 50 }, server: "/run/x.sock" },
    );
    const error = (await shown(client.attach("job1")).catch((e: unknown) => e)) as ProcmanError;
    expect(error).toMatchObject({ reason: "UNREACHABLE" });
    expect(calls).toBeGreaterThan(1);
    expect(error.message).toContain("/run/x.sock");
    expect(error.message).toContain(`attempt ${calls}`);
  });

  test("does not reconnect where it is told not to", async () => {
    const server = connections([opened(), lost()]);
    const events = clientOf(server, { reconnect: false }).attach("job1");
    await expect(shown(events)).rejects.toMatchObject({ reason: "UNREACHABLE" });
    expect(server.requests).toHaveLength(1);
  });

  test("silence is a lost connection; heartbeats are none", async () => {
    let calls = 0;
    let aborted = 0;
    const client = clientOf(
      {
        async *attach(_request, { signal }) {
          calls += 1;
          yield opened();
          if (calls > 1) {
            for (let beat = 0; beat < 10; beat += 1) {
              await new Promise((resolve) => setTimeout(resolve, 20));
              yield heartbeat;
            }
            yield ended();
          } else {
            await new Promise<void>((resolve) => {
              signal.addEventListener("abort", () => resolve());
            });
            aborted += 1;
          }
        },
      },
      // Far longer than from one heartbeat to the next, and shorter than all of them.
      { silenceMs: 150 },
    );
    expect(await shown(client.attach("job1", { follow: true }))).toEqual(["opened", "ended"]);
    expect(aborted).toBe(1);
  });

  test("is pulled: what a consumer does not ask for is not fetched", async () => {
    let given = 0;
    const client = clientOf({
      async *attach() {
        yield opened();
        for (; given < 1000; given += 1) yield chunk(given, "x");
        yield ended();
      },
    });
    let seen = 0;
    for await (const event of client.attach("job1")) {
      if (event.type !== "chunk") continue;
      seen += 1;
      if (seen !== 3) continue;
      await new Promise((resolve) => setTimeout(resolve, 50));
      // A little is under way; a thousand are not.
      expect(given).toBeLessThan(50);
    }
    expect(seen).toBe(1000);
  });

  test("a consumer that leaves ends the call", async () => {
    let signal: AbortSignal | undefined;
    const client = clientOf({
      async *attach(_request, context) {
        signal = context.signal;
        yield opened();
        await new Promise<void>((resolve) => {
          context.signal.addEventListener("abort", () => resolve());
        });
      },
    });
    for await (const event of client.attach("job1", { follow: true })) {
      expect(event.type).toBe("opened");
      break;
    }
    expect(signal?.aborted).toBe(true);
  });

  test("fails with the reason of its signal, also between two attempts", async () => {
    const stop = new AbortController();
    const enough = new Error("enough");
    const client = clientOf(
      {
        // oxlint-disable-next-line require-yield
        async *attach() {
          setTimeout(() => stop.abort(enough), 10);
          throw lost();
        },
      },
      { reconnect: { maxDelayMs: 60_000 } },
    );
    const events = client.attach("job1", { signal: stop.signal });
    await expect(shown(events)).rejects.toBe(enough);
    // Before anything is sent, too.
    await expect(shown(client.attach("job1", { signal: stop.signal }))).rejects.toBe(enough);
    await expect(client.get("job1", { signal: stop.signal })).rejects.toBe(enough);
  });
});

describe("a job that is asked for by its name", () => {
  test("is the same job over every connection, also where another one bears the name", async () => {
    const server = connections(
      [lost()],
      [opened(), chunk(0, "ab"), lost()],
      [opened(), chunk(2, "cd"), ended()],
    );
    await shown(clientOf(server).attach("web", { follow: true }));
    expect(server.requests.map(({ id }) => id)).toEqual(["web", "web", "job1"]);
  });

  test("is waited for by its id from the first answer on", async () => {
    const ids: string[] = [];
    const client = clientOf(
      {
        wait: ({ id }) => {
          ids.push(id);
          return { job: encodeJob(ids.length < 3 ? runningJob() : endedJob()) };
        },
      },
      { silenceMs: 5 },
    );
    expect((await client.wait("web")).status).toBe("completed");
    expect(ids).toEqual(["web", "job1", "job1"]);
  });
});

describe("watch", () => {
  test("goes on at next_offset", async () => {
    const offsets: bigint[] = [];
    const job = encodeJob(runningJob());
    const line = (offset: number, text: string) =>
      ({
        event: {
          case: "line",
          value: {
            stream: 1,
            text,
            offset: BigInt(offset),
            nextOffset: BigInt(offset + text.length + 2),
            terminator: 2,
          },
        },
      }) as const;
    const client = clientOf({
      async *watch(request) {
        offsets.push(request.stdoutOffset);
        yield { event: { case: "opened", value: { job } } };
        if (offsets.length === 1) {
          yield line(0, "one");
          throw lost();
        }
        yield line(5, "two");
        yield { event: { case: "ended", value: { job } } };
      },
    });
    const seen: string[] = [];
    for await (const event of client.watch("job1")) {
      seen.push(event.type === "line" ? event.text : event.type);
    }
    expect(seen).toEqual(["opened", "one", "two", "ended"]);
    expect(offsets).toEqual([0n, 5n]);
  });
});

describe("watchJobs", () => {
  /** A server that says something else over every connection; what it was asked for; what came. */
  function jobsServer(...scripts: (JobsMessage | Error)[][]) {
    const asked: string[] = [];
    const client = clientOf({
      async *watchJobs({ sinceRevision }) {
        asked.push(sinceRevision);
        const script = scripts[asked.length - 1];
        if (!script) throw new Error(`connection ${asked.length} was not expected`);
        for (const step of script) {
          if (step instanceof Error) throw step;
          yield encodeJobsEvent(step);
          yield heartbeat;
        }
      },
    });
    const seen = async (count: number, options: WatchJobsOptions = {}) => {
      const events: JobsEvent[] = [];
      for await (const event of client.watchJobs(options)) {
        events.push(event);
        if (events.length === count) break;
      }
      return events;
    };
    return { asked, seen };
  }

  const snapshot = (revision: string) =>
    ({ type: "snapshot", jobs: [runningJob()], revision }) as const;
  const changed = (revision: string) => ({ type: "changed", job: endedJob(), revision }) as const;
  const removed = (revision: string) => ({ type: "removed", id: "job1", revision }) as const;
  const resumed = (revision: string) => ({ type: "resumed", revision }) as const;

  test("goes on from the last event that came, as if nothing had happened", async () => {
    const { asked, seen } = jobsServer(
      [lost()],
      [snapshot("a.1"), changed("a.2"), lost()],
      [resumed("a.2"), closing()],
      // This one just ends; another follows.
      [resumed("a.2"), removed("a.5")],
      [resumed("a.5"), changed("a.6")],
    );
    const events = [snapshot("a.1"), changed("a.2"), removed("a.5"), changed("a.6")];
    expect(await seen(4)).toEqual(events);
    expect(asked).toEqual(["", "", "a.2", "a.2", "a.5"]);
  });

  test("tells the whole state again where the server cannot go on", async () => {
    const { asked, seen } = jobsServer(
      [snapshot("a.1"), changed("a.2"), lost()],
      [snapshot("b.1"), lost()],
      [resumed("b.1"), removed("b.2")],
    );
    expect(await seen(4)).toEqual([
      snapshot("a.1"),
      changed("a.2"),
      snapshot("b.1"),
      removed("b.2"),
    ]);
    expect(asked).toEqual(["", "a.2", "b.1"]);
  });

  test("joins the parts of a snapshot, and takes one that broke off for none", async () => {
    const begin = { ...snapshot(""), more: true };
    const part = (id: string, more: boolean) =>
      ({ type: "changed", job: runningJob({ id }), revision: more ? "" : "a.1", more }) as const;
    const { asked, seen } = jobsServer(
      [begin, part("b", true), lost()],
      [begin, part("b", true), part("c", false), changed("a.2"), lost()],
      [begin, begin, part("d", false)],
    );
    const jobs = (...ids: string[]) => ids.map((id) => runningJob({ id }));
    expect(await seen(3)).toEqual([
      { type: "snapshot", jobs: jobs("job1", "b", "c"), revision: "a.1" },
      changed("a.2"),
      { type: "snapshot", jobs: jobs("job1", "d"), revision: "a.1" },
    ]);
    expect(asked).toEqual(["", "", "a.2"]);
  });

  test("goes on from where the caller says, who is told whether that worked", async () => {
    const { asked, seen } = jobsServer(
      [lost()],
      [resumed("a.7"), lost()],
      [resumed("a.7"), changed("a.8")],
    );
    expect(await seen(2, { sinceRevision: "a.7" })).toEqual([resumed("a.7"), changed("a.8")]);
    expect(asked).toEqual(["a.7", "a.7", "a.7"]);
  });

  test("an older server, which gives no revisions, is asked for the whole state", async () => {
    const { asked, seen } = jobsServer([snapshot(""), changed(""), lost()], [snapshot("")]);
    expect(await seen(3)).toEqual([snapshot(""), changed(""), snapshot("")]);
    expect(asked).toEqual(["", ""]);
  });
});

describe("calls", () => {
  test("what only reads is asked again", async () => {
    let calls = 0;
    const client = clientOf({
      get: () => {
        calls += 1;
        if (calls < 3) throw calls === 1 ? lost() : closing();
        return { job: encodeJob(runningJob()) };
      },
    });
    expect(await client.get("job1")).toEqual(runningJob());
    expect(calls).toBe(3);
  });

  test("calls are repeated where nothing was said about it", async () => {
    let calls = 0;
    const implementation: Partial<ServiceImpl<typeof ProcmanService>> = {
      get: () => {
        calls += 1;
        if (calls === 1) throw lost();
        return { job: encodeJob(runningJob()) };
      },
    };
    const client = createProcmanClientFromTransport(
      createRouterTransport(({ service }) => service(ProcmanService, implementation)),
    );
    onTestFinished(() => client.close());
    await client.get("job1");
    expect(calls).toBe(2);
  });

  test("get passes on what it was asked for", async () => {
    const asked: unknown[] = [];
    const client = clientOf({
      get: ({ id, includeEnv }) => {
        asked.push([id, includeEnv]);
        return { job: encodeJob(runningJob()) };
      },
    });
    await client.get("job1", { includeEnv: true });
    await client.get("job2");
    expect(asked).toEqual([
      ["job1", true],
      ["job2", false],
    ]);
  });

  test("start makes no request id where it is not repeated", async () => {
    const ids: string[] = [];
    const start = ({ requestId }: { requestId: string }) => {
      ids.push(requestId);
      return { job: encodeJob(runningJob()) };
    };
    await clientOf({ start }, { reconnect: false }).start({ command: "true" });
    expect(ids).toEqual([""]);
  });

  test("start is repeated with the same request id, its own or the caller's", async () => {
    const ids: string[] = [];
    const client = clientOf({
      start: ({ requestId }) => {
        ids.push(requestId);
        if (ids.length % 2 === 1) throw lost();
        return { job: encodeJob(runningJob()) };
      },
    });
    await client.start({ command: "true" });
    await client.start({ command: "true" });
    await client.start({ command: "true", requestId: "mine" });
    expect(ids[0]).not.toBe("");
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    expect(ids[3]).toBe(ids[2]);
    expect(ids.slice(4)).toEqual(["mine", "mine"]);
  });

  test("restart is too, and may take as long as the old job's grace", async () => {
    const requests: { id: string; requestId: string }[] = [];
    const client = clientOf(
      {
        restart: async ({ id, requestId }) => {
          requests.push({ id, requestId });
          if (requests.length === 1) throw lost();
          await new Promise((resolve) => setTimeout(resolve, 40));
          return { job: encodeJob(runningJob()) };
        },
      },
      { silenceMs: 5 },
    );
    await client.restart("web", { gracePeriodMs: 60_000 });
    expect(requests).toHaveLength(2);
    expect(requests[1]).toEqual(requests[0]);
    expect(requests[0]).toMatchObject({
      id: "web",
      requestId: expect.stringMatching(/./) as string,
    });
  });

  test("cleanup goes on until nothing is left; refresh gets what did not fit", async () => {
    const removals = [["a", "b"], ["c"]];
    const client = clientOf({
      cleanup: () => ({ removedIds: removals.shift() ?? [], more: removals.length > 0 }),
      refresh: () => ({ jobs: [encodeJob(endedJob({ id: "a" }))], furtherIds: ["b", "gone", "c"] }),
      get: ({ id }) => {
        if (id === "gone") throw encodeError(jobNotFound(id));
        return { job: encodeJob(endedJob({ id })) };
      },
    });
    expect(await client.cleanup()).toEqual(["a", "b", "c"]);
    expect((await client.refresh()).map(({ id }) => id)).toEqual(["a", "b", "c"]);
  });

  test.each([
    ["signal", (client: Procman) => client.signal("job1", "TERM")],
    ["cancel", (client: Procman) => client.cancel("job1")],
    // Without an offset the server could not tell that it has it already.
    ["sendInput", (client: Procman) => client.sendInput("job1", { data: Buffer.from("x") })],
    [
      "sendInput",
      (client: Procman) => client.sendInput("job1", { data: Buffer.from("x"), sender: "me" }),
    ],
    ["remove", (client: Procman) => client.remove("job1")],
    ["cancelJobs", (client: Procman) => client.cancelJobs({ all: true })],
    ["signalJobs", (client: Procman) => client.signalJobs({ all: true }, "HUP")],
    ["removeJobs", (client: Procman) => client.removeJobs({ all: true })],
    ["cleanup", (client: Procman) => client.cleanup()],
    ["refresh", (client: Procman) => client.refresh()],
  ] as const)("%s is made once", async (name, call) => {
    let calls = 0;
    const client = clientOf({
      [name]: () => {
        calls += 1;
        throw lost();
      },
    });
    await expect(call(client)).rejects.toMatchObject({ reason: "UNREACHABLE" });
    expect(calls).toBe(1);
  });

  test.each([
    ["list", (client: Procman) => client.list(), {}],
    ["resizeWindow", (client: Procman) => client.resizeWindow("job1", { rows: 1, columns: 2 }), {}],
    [
      "sendInput",
      (client: Procman) => client.sendInput("job1", { data: Buffer.from("x"), offset: 0 }),
      { offset: 0n },
    ],
    ["sendInput", (client: Procman) => client.sendInput("job1", { data: Buffer.alloc(0) }), {}],
    ["sendInput", (client: Procman) => client.sendInput("job1", { close: true }), { close: true }],
  ] as const)("%s is repeated where that does no harm", async (name, call, expected) => {
    const requests: unknown[] = [];
    const client = clientOf({
      [name]: (request: unknown) => {
        requests.push(request);
        if (requests.length === 1) throw lost();
        return { job: encodeJob(runningJob()), jobs: [], nextOffset: 1n };
      },
    });
    await call(client);
    expect(requests).toHaveLength(2);
    expect(requests[1]).toEqual(requests[0]);
    expect(requests[1]).toMatchObject(expected);
  });

  test("wait asks in slices until the job has ended, or its time is over", async () => {
    const timeouts: number[] = [];
    const client = clientOf(
      {
        wait: ({ timeout }) => {
          timeouts.push(Number(timeout?.seconds) * 1000 + (timeout?.nanos ?? 0) / 1e6);
          if (timeouts.length === 2) throw lost();
          return { job: encodeJob(timeouts.length < 4 ? runningJob() : endedJob()) };
        },
      },
      { silenceMs: 45_000 },
    );
    expect(await client.wait("job1")).toEqual(endedJob());
    expect(timeouts).toEqual([30_000, 30_000, 30_000, 30_000]);

    timeouts.length = 0;
    expect(await client.wait("job1", { timeoutMs: 0 })).toEqual(runningJob());
    expect(timeouts).toEqual([0]);
  });

  test("wait goes on searching output from where the last slice left off", async () => {
    const asked: unknown[] = [];
    const job = encodeJob(runningJob());
    const searched = (stdoutOffset: bigint, stderrOffset: bigint) =>
      ({ case: "searched", value: { stdoutOffset, stderrOffset } }) as const;
    const line = {
      stream: StreamName.STDOUT,
      text: "ready",
      offset: 9n,
      nextOffset: 15n,
      terminator: Terminator.LF,
    };
    const client = clientOf({
      wait: ({ until }) => {
        if (until.case !== "output") throw new Error(`it is asked for ${until.case}`);
        const { pattern, streams, stdoutOffset, stderrOffset } = until.value;
        expect({ pattern, streams }).toEqual({ pattern: "ready", streams: [1, 2] });
        asked.push([Number(stdoutOffset), Number(stderrOffset)]);
        switch (asked.length) {
          case 1:
            return { job, outcome: searched(100n, 5n) };
          case 2:
            throw lost();
          case 3:
            // It has ended, and there is output that was not looked at yet.
            return { job: encodeJob(endedJob()), outcome: searched(200n, 5n) };
          default:
            return { job: encodeJob(endedJob()), outcome: { case: "line", value: line } };
        }
      },
    });
    const until = {
      type: "output",
      pattern: "ready",
      streams: ["stdout", "stderr"],
      stderrOffset: 1,
    } as const;
    expect(await client.wait("job1", { until })).toMatchObject({
      status: "completed",
      outcome: { type: "line", line: { text: "ready" } },
    });
    expect(asked).toEqual([
      [0, 1],
      [100, 5],
      [100, 5],
      [200, 5],
    ]);
  });

  test("wait for a port ends with it, with the job or with the time", async () => {
    let calls = 0;
    const running = { job: encodeJob(runningJob()) };
    const client = clientOf({
      wait: ({ until }) => {
        expect(until).toEqual({ case: "port", value: 3000 });
        calls += 1;
        if (calls === 2) return { ...running, outcome: { case: "port", value: 3000 } };
        return calls === 4 ? { job: encodeJob(endedJob()) } : running;
      },
    });
    const until = { type: "port", port: 3000 } as const;
    const outcome = { type: "port", port: 3000 };
    expect(await client.wait("job1", { until })).toEqual({ ...runningJob(), outcome });
    expect(await client.wait("job1", { until })).toEqual(endedJob());
    expect(await client.wait("job1", { until, timeoutMs: 10 })).toEqual(runningJob());
    expect(calls).toBe(5);
  });

  test("a server that does not answer is asked again, where that does no harm", async () => {
    let calls = 0;
    const client = clientOf(
      {
        get: async (_request, { signal }) => {
          calls += 1;
          if (calls === 1) {
            await new Promise<void>((resolve) => {
              signal.addEventListener("abort", () => resolve());
            });
          }
          return { job: encodeJob(runningJob()) };
        },
      },
      { silenceMs: 30 },
    );
    expect(await client.get("job1")).toEqual(runningJob());
    expect(calls).toBeGreaterThan(1);
  });

  test("close ends what is under way and what comes after", async () => {
    let closed = 0;
    const client = clientOf(
      {
        cancel: (_request, { signal }) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener("abort", () => reject(lost()));
          }),
      },
      { onClose: () => (closed += 1) },
    );
    const cancelling = client.cancel("job1").catch((e: unknown) => e);
    await client.close();
    await client.close();
    expect(await cancelling).toMatchObject({ reason: "SHUTTING_DOWN" });
    await expect(client.get("job1")).rejects.toMatchObject({ reason: "SHUTTING_DOWN" });
    expect(closed).toBe(1);
  });
});
