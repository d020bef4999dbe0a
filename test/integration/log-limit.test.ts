import { mkdtempSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Job, Status, Stream } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import { Manager } from "../../src/manager.js";
import { collect, errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { checkNumbered, linesIn, writeLines } from "../helpers/numbered-lines.js";
import { linesOf } from "../helpers/output.js";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs, TestServer } from "../helpers/test-server.js";

/** Whole lines, as all that is written here. */
const LIMIT = 1_000_000;
const LINE = 16;
/** By how much a log may grow beyond its limit before it is cut. */
const SLACK = 1024 * 1024;

const shared = TestServer.shared();

const ROUND_BYTES = 2_400_000;

interface Written {
  readonly rounds?: number;
  readonly logLimitBytes?: bigint;
  readonly requestId?: string;
}

/** A job that writes numbered output, 2.4 MB for each file `go<n>` that it finds. */
async function startWriting(
  { client, stateDir }: TestServer,
  { rounds = 1, logLimitBytes = BigInt(LIMIT), requestId = "" }: Written = {},
): Promise<Job> {
  const lines = linesIn(ROUND_BYTES);
  const write = writeLines(`$((i * ${lines} + 1))`, `$(((i + 1) * ${lines}))`);
  const round = `until [ -e go$i ]; do sleep 0.01; done; ${write}; i=$((i + 1))`;
  const { job } = await client.start({
    command: "sh",
    args: ["-c", `i=0; while [ $i -lt ${rounds} ]; do ${round}; done`],
    workDir: mkdtempSync(join(stateDir, "work-")),
    logLimitBytes,
    requestId,
  });
  return job!;
}

function goOn({ workDir }: Job, round = 0): void {
  writeFileSync(join(workDir, `go${round}`), "");
}

async function jobOf({ client }: TestServer, id: string): Promise<Job> {
  return (await client.get({ id })).job!;
}

function logOf({ stateDir }: TestServer, id: string): string {
  return join(stateDir, "jobs", id, "stdout.log");
}

function allocated(path: string): number {
  return statSync(path).blocks * 512;
}

function exitWritten({ stateDir }: TestServer, id: string): Promise<boolean> {
  return eventually("the command's end", () =>
    readFileSync(join(stateDir, "jobs", id, "exit"), "utf8").endsWith("\n"),
  );
}

/** Waits until no more is kept than that, nor takes space where that can be given back. */
async function cutTo(server: TestServer, id: string, bytes: number): Promise<Job> {
  const log = logOf(server, id);
  if (process.platform === "linux") {
    await eventually("the disk space", () => allocated(log) <= bytes + 16_384);
  }
  return eventually("the cut", async () => {
    const job = await jobOf(server, id);
    return Number(job.stdoutBytes - job.stdoutFirstOffset) <= bytes ? job : undefined;
  });
}

/** Reads all there is, and checks each byte; returns where it began and ended. */
async function readAll({ client }: TestServer, id: string) {
  let from: number | undefined;
  let next = 0;
  for await (const { event } of client.attach({ id, streams: [Stream.STDOUT] })) {
    if (event.case !== "chunk") continue;
    const offset = Number(event.value.offset);
    from ??= offset;
    expect(offset).toBeGreaterThanOrEqual(next);
    checkNumbered(offset, event.value.data);
    next = offset + event.value.data.length;
  }
  return { from, next };
}

describe("a job with a log limit", () => {
  test("keeps the end of its output through kills of the server, every byte of it right", {
    timeout: 120_000,
  }, async () => {
    const server = await TestServer.start();
    const rounds = 4;
    const { id, ...job } = await startWriting(server, { rounds });
    let first = 0;
    for (let round = 0; round < rounds; round += 1) {
      const size = (round + 1) * ROUND_BYTES;
      const last = round === rounds - 1;
      // In every other round, and the last one, the job writes (and ends) while no server runs.
      const alone = round % 2 === 1;
      if (alone) await server.kill();
      goOn(job as Job, round);
      await eventually("the output", () => statSync(logOf(server, id)).size === size);
      if (last) await exitWritten(server, id);
      if (alone) await server.start();
      const now = await cutTo(server, id, LIMIT + (last ? 0 : SLACK));
      expect(now).toMatchObject({
        status: last ? Status.COMPLETED : Status.RUNNING,
        logLimitBytes: BigInt(LIMIT),
        stdoutBytes: BigInt(size),
      });
      const next = Number(now.stdoutFirstOffset);
      expect(next).toBeGreaterThan(first);
      expect(next).toBeLessThanOrEqual(size - LIMIT);
      expect(next % LINE).toBe(0);
      first = next;
      expect(await readAll(server, id)).toEqual({ from: first, next: size });
      if (round > 0) continue;
      await server.restart();
      expect(await readAll(server, id)).toEqual({ from: first, next: size });
    }
    expect(statSync(logOf(server, id)).size).toBe(rounds * ROUND_BYTES);
  });

  test("tells readers where its output begins", async () => {
    const { client } = shared;
    const limit = 100_000;
    const job = await startWriting(shared, { logLimitBytes: BigInt(limit) });
    const { id } = job;
    goOn(job);
    await client.wait({ id });
    const { stdoutFirstOffset: first } = await cutTo(shared, id, limit);
    const events = await collect(client.attach({ id, stdoutOffset: 5n }));
    expect(events[0]!.event).toMatchObject({ value: { job: { stdoutFirstOffset: first } } });
    expect(events[1]!.event).toMatchObject({ case: "chunk", value: { offset: first } });
    const lines = linesOf(await collect(client.watch({ id, stdoutOffset: 5n })));
    expect(lines[0]).toMatchObject({ offset: first, stream: Stream.STDOUT });
    const few = linesOf(await collect(client.watch({ id, tailLines: 2 })));
    expect(few.map(({ text }) => Number(text))).toEqual([149_999, 150_000]);
    const many = linesOf(await collect(client.watch({ id, tailLines: 1_000_000 })));
    expect(many).toEqual(lines);
    const beyond = client.attach({ id, stdoutOffset: BigInt(ROUND_BYTES + 1) });
    expect(await errorOf(collect(beyond))).toMatchObject({ reason: "OFFSET_OUT_OF_RANGE" });
  });

  test("tells those who watch jobs where its output begins in the end", async () => {
    const leave = new AbortController();
    const events = shared.client.watchJobs({ labels: { cut: "late" } }, { signal: leave.signal });
    const told = (async () => {
      for await (const { event } of events) {
        if (event.case !== "changed") continue;
        const { status, stdoutFirstOffset } = event.value.job!;
        if (status === Status.COMPLETED && stdoutFirstOffset > 0n) return stdoutFirstOffset;
      }
      throw new Error("the stream ended");
    })();
    // Not enough to be cut while it runs.
    const { job } = await shared.client.start({
      command: "sh",
      args: ["-c", writeLines(1, 10_000)],
      labels: { cut: "late" },
      logLimitBytes: 65_536n,
    });
    expect(await told).toBe(160_000n - 65_536n);
    leave.abort();
    expect(await jobOf(shared, job!.id)).toMatchObject({ stdoutFirstOffset: 94_464n });
  });

  test("tells its progress", async () => {
    const { job } = await shared.client.start({
      command: "sh",
      args: ["-c", `echo 10%; ${writeLines(1, 200_000)}; echo 20%`],
      logLimitBytes: 65_536n,
    });
    await shared.client.wait({ id: job!.id });
    const ended = await cutTo(shared, job!.id, 65_536 + LINE);
    expect(ended).toMatchObject({ progress: { percent: 20 } });
  });

  test("is followed by a client that comes back, over a gap", async () => {
    const server = await TestServer.start();
    const client = createProcmanClient({ socketPath: server.socketPath });
    onTestFinished(() => client.close());
    const job = await startWriting(server, { rounds: 3, logLimitBytes: 65_536n });
    const { id } = job;
    goOn(job);
    let next = 0;
    let gap = 0;
    for await (const event of client.attach(id, { follow: true })) {
      if (event.type !== "chunk") continue;
      checkNumbered(event.offset, event.data);
      gap += event.offset - next;
      next = event.offset + event.data.length;
      if (next !== ROUND_BYTES) continue;
      await server.kill();
      goOn(job, 1);
      goOn(job, 2);
      await exitWritten(server, id);
      await server.start();
      await cutTo(server, id, 65_536);
    }
    expect(next).toBe(3 * ROUND_BYTES);
    // At least what came and went while no server ran.
    const { stdoutFirstOffset } = await jobOf(server, id);
    expect(gap).toBeGreaterThanOrEqual(Number(stdoutFirstOffset) - ROUND_BYTES);
  });

  test.each(["trim:recorded", "trim:punched"])(
    "is right after a server that dies while it cuts, at %s",
    async (point) => {
      const server = TestServer.prepare();
      await server.start({ env: { PROCMAN_CRASH_AT: point } });
      const job = await startWriting(server, { rounds: 2 });
      const { id } = job;
      goOn(job);
      goOn(job, 1);
      expect(await server.ended()).toBe("SIGKILL");
      await server.start();
      const size = 2 * ROUND_BYTES;
      await exitWritten(server, id);
      await server.client.wait({ id });
      const { stdoutFirstOffset } = await cutTo(server, id, LIMIT);
      expect(stdoutFirstOffset).toBe(BigInt(size - LIMIT));
      expect(await readAll(server, id)).toEqual({ from: size - LIMIT, next: size });
    },
  );
});

describe("the server's default", () => {
  test("counts for jobs that ask for none, as it was at their start", async () => {
    const server = TestServer.prepare({ args: ["--listen", "127.0.0.1:0", "--log-limit", "1MB"] });
    await server.start();
    const byDefault = await startWriting(server, { logLimitBytes: 0n, requestId: "once" });
    const own = await startWriting(server, { logLimitBytes: 70_000n });
    expect(byDefault).toMatchObject({ logLimitBytes: 1_000_000n });
    expect(own).toMatchObject({ logLimitBytes: 70_000n });
    await server.kill();
    const other = TestServer.prepare({ stateDir: server.stateDir });
    await other.start();
    const { id, command, args, workDir } = byDefault;
    expect(await jobOf(other, id)).toMatchObject({ logLimitBytes: 1_000_000n });
    // The same request, whatever the default has become.
    const again = { command, args, workDir, requestId: "once" };
    expect((await other.client.start(again)).job!.id).toBe(id);
    const different = other.client.start({ ...again, logLimitBytes: 1_000_000n });
    expect(await errorOf(different)).toMatchObject({ reason: "REQUEST_ID_CONFLICT" });
  });

  test("is an option of a manager in one's own process as well", async () => {
    const stateDir = tempDir();
    await expect(Manager.open({ stateDir, logLimitBytes: 1000 })).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
      violations: [{ field: "logLimitBytes" }],
    });
    const manager = await Manager.open({ stateDir, logLimitBytes: 65_536 });
    onTestFinished(async () => {
      await manager.close();
      await endJobs(stateDir);
    });
    const lines = writeLines(1, 10_000);
    const { id, logLimitBytes } = await manager.start({ command: "sh", args: ["-c", lines] });
    expect(logLimitBytes).toBe(65_536);
    await manager.wait(id);
    await eventually("the cut", async () => {
      const { stdoutFirstOffset } = await manager.get(id);
      return stdoutFirstOffset === 160_000 - 65_536;
    });
  });

  test("that can be none is refused", async () => {
    const server = TestServer.prepare({ args: ["--log-limit", "10kB"] });
    await server.start({ ready: false });
    expect(await server.ended()).toBe(1);
    expect(server.log).toContain("--log-limit: must be at least 65536");
  });
});

test.each([
  [-1n, "must not be negative"],
  [1n, "must be at least 65536"],
  [65_535n, "must be at least 65536"],
  [2n ** 60n, "must be a whole number below 2^53"],
])("a limit of %s is refused", async (logLimitBytes, why) => {
  const error = await errorOf(shared.client.start({ command: "true", logLimitBytes }));
  expect(error).toMatchObject({
    code: "InvalidArgument",
    reason: "INVALID_ARGUMENT",
    fields: ["log_limit_bytes"],
    message: `log_limit_bytes: ${why}`,
  });
});
