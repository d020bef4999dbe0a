import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { createProcmanClient } from "../../src/client/index.js";
import type { Procman } from "../../src/contract/procman.js";
import { ProcmanError } from "../../src/contract/errors.js";
import { Manager } from "../../src/manager.js";
import { eventually } from "../helpers/eventually.js";
import { newStateDir, procman } from "../helpers/procman-command.js";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs, TestServer } from "../helpers/test-server.js";

function clientOf(server: TestServer): Procman {
  const client = createProcmanClient({ socketPath: server.socketPath });
  onTestFinished(() => client.close());
  return client;
}

const shared = TestServer.shared();

/** The same program against a manager in this process and against a server. */
describe.each(["manager", "client over the unix socket", "client over TCP"])("%s", (kind) => {
  async function open(): Promise<Procman> {
    if (kind === "manager") {
      const stateDir = tempDir();
      const manager = await Manager.open({ stateDir });
      onTestFinished(async () => {
        await manager.close();
        await endJobs(stateDir);
      });
      return manager;
    }
    if (kind.includes("socket")) return clientOf(shared);
    const client = createProcmanClient({ baseUrl: shared.baseUrl, token: shared.token });
    onTestFinished(() => client.close());
    return client;
  }

  test("runs the whole life of a job", async () => {
    const procman = await open();
    const job = await procman.start({
      command: "sh",
      args: ["-c", "echo one; echo two >&2; exit 3"],
      labels: { kind },
    });
    expect(job).toMatchObject({ status: "running", pid: expect.any(Number) });
    const ended = await procman.wait(job.id);
    expect(ended).toMatchObject({ status: "failed", exitCode: 3, stdoutBytes: 4, stderrBytes: 4 });
    expect(await procman.get(job.id)).toEqual(ended);
    const { jobs, totalSize } = await procman.list({ labels: { kind }, statuses: ["failed"] });
    expect(jobs.map(({ id }) => id)).toEqual([job.id]);
    expect(totalSize).toBe(1);
    const lines: string[] = [];
    for await (const event of procman.watch(job.id)) {
      if (event.type === "line") lines.push(`${event.stream} ${event.text} ${event.terminator}`);
    }
    expect(lines.sort()).toEqual(["stderr two lf", "stdout one lf"]);
    expect(await procman.cleanup({ olderThanMs: 3_600_000 })).toEqual([]);
    expect(await procman.refresh()).toEqual([]);
    await procman.remove(job.id);
    await expect(procman.get(job.id)).rejects.toMatchObject({ reason: "JOB_NOT_FOUND" });
  });

  test("cancels and signals, and tells of every change", async () => {
    const procman = await open();
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of procman.watchJobs({ labels: { w: kind }, signal: stop.signal })) {
        seen.push(event.type === "changed" ? event.job.status : event.type);
      }
    })().catch((error: unknown) => error);
    await eventually("the snapshot", () => seen.length === 1);
    const job = await procman.start({ command: "sleep", args: ["1000"], labels: { w: kind } });
    await procman.signal(job.id, "CONT");
    const ended = await procman.cancel(job.id, { gracePeriodMs: 10_000 });
    expect(ended).toMatchObject({ status: "cancelled", signal: "SIGTERM" });
    await eventually("the changes", () => seen.includes("cancelled"));
    // The signal is a change of a running job too, which may be told together with its start.
    expect([...new Set(seen)]).toEqual(["snapshot", "running", "cancelled"]);
    stop.abort(new Error("enough"));
    expect(await watching).toMatchObject({ message: "enough" });
  });

  test("fails with a ProcmanError that names the fields", async () => {
    const procman = await open();
    const failure = await procman.start({ command: "", workDir: "x" }).catch((e: unknown) => e);
    expect(failure).toBeInstanceOf(ProcmanError);
    expect(failure).toMatchObject({ reason: "INVALID_ARGUMENT" });
    const fields = (failure as ProcmanError).violations.map(({ field }) => field);
    expect(fields).toEqual(["command", "work_dir"]);
  });

  test("waits for a line and for a port", async () => {
    const procman = await open();
    const script = `const server = require("net").createServer();
      server.listen(0, "127.0.0.1", () => console.log("ready on", server.address().port))`;
    const job = await procman.start({ command: process.execPath, args: ["-e", script] });
    const ready = { type: "output", pattern: "^ready on \\d+$" } as const;
    const { outcome, ...waited } = await procman.wait(job.id, { until: ready });
    expect(waited).toMatchObject({ id: job.id, status: "running" });
    const line = outcome?.type === "line" ? outcome.line : undefined;
    expect(line).toMatchObject({ stream: "stdout", offset: 0, terminator: "lf" });
    const port = Number(line?.text.split(" ").at(-1));
    for (const asked of [port, 0]) {
      const listening = await procman.wait(job.id, { until: { type: "port", port: asked } });
      expect(listening.outcome).toEqual({ type: "port", port });
    }
    const never = { type: "output", pattern: "never" } as const;
    const searched = await procman.wait(job.id, { until: never, timeoutMs: 0 });
    expect(searched.outcome).toEqual({
      type: "searched",
      stdoutOffset: line?.nextOffset,
      stderrOffset: 0,
    });
    await procman.cancel(job.id);
    const ended = await procman.wait(job.id, { until: never });
    expect(ended).toMatchObject({ status: "cancelled" });
    expect(ended.outcome).toBeUndefined();
    const wrong = procman.wait(job.id, { until: { type: "output", pattern: "(" } });
    await expect(wrong).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
      violations: [{ field: "output.pattern", description: "missing closing ): `(`" }],
    });
  });

  test("gives up when it is told to", async () => {
    const procman = await open();
    const job = await procman.start({ command: "sleep", args: ["1000"] });
    const stop = new AbortController();
    const waiting = procman.wait(job.id, { signal: stop.signal }).catch((e: unknown) => e);
    stop.abort(new Error("enough"));
    expect(await waiting).toMatchObject({ message: "enough" });
    expect(await procman.wait(job.id, { timeoutMs: 10 })).toMatchObject({ status: "running" });
  });
});

test("attach goes on at the right byte through kills of the server: nothing lost, nothing twice", {
  timeout: 120_000,
}, async () => {
  const kills = Number(process.env["PROCMAN_TEST_ATTACH_KILLS"] ?? 5);
  const megabytes = 100;
  const server = await TestServer.start();
  const client = clientOf(server);
  const program = `const b=Buffer.alloc(1e5);let n=0;(function go(k){if(k===${megabytes * 10})return;for(let i=0;i<1e5;i+=4)b.writeUInt32LE(n++,i);require("fs").writeSync(1,b);setTimeout(go,k%10?0:5,k+1)})(0)`;
  const job = await client.start({ command: process.execPath, args: ["-e", program] });
  const hash = createHash("sha256");
  let next = 0;
  let opened = 0;
  let killed = 0;
  let last = "";
  for await (const event of client.attach(job.id, { follow: true })) {
    if (event.type === "opened") opened += 1;
    if (event.type === "ended") last = event.job.status;
    if (event.type !== "chunk") continue;
    expect(event.offset).toBe(next);
    next += event.data.length;
    hash.update(event.data);
    if (next > ((killed + 1) * megabytes * 1e6) / (kills + 1)) {
      killed += 1;
      await server.restart();
    }
  }
  expect({ next, opened, killed, last }).toEqual({
    next: megabytes * 1e6,
    opened: 1,
    killed: kills,
    last: "completed",
  });
  const expected = createHash("sha256");
  const block = Buffer.alloc(1e5);
  for (let k = 0, n = 0; k < megabytes * 10; k += 1) {
    for (let i = 0; i < 1e5; i += 4) block.writeUInt32LE(n++, i);
    expected.update(block);
  }
  expect(hash.digest("hex")).toBe(expected.digest("hex"));
});

test("watch and wait come back too, and a start is not run twice", async () => {
  const server = await TestServer.start();
  const client = clientOf(server);
  const script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.05; done; exit 4";
  const job = await client.start({ command: "sh", args: ["-c", script] });
  const waiting = client.wait(job.id);
  const lines: string[] = [];
  for await (const event of client.watch(job.id)) {
    if (event.type !== "line") continue;
    lines.push(event.text);
    if (lines.length === 10 || lines.length === 30) {
      await server.kill(lines.length === 10 ? "SIGKILL" : "SIGTERM");
      void server.start();
      // The server is not there yet: this one is repeated until it is.
      await client.start({ command: "true", labels: { repeated: "yes" } });
    }
  }
  expect(lines).toEqual(Array.from({ length: 60 }, (_, n) => `line ${n + 1}`));
  expect(await waiting).toMatchObject({ status: "failed", exitCode: 4 });
  expect((await client.list({ labels: { repeated: "yes" } })).totalSize).toBe(2);
});

test("a server that is not there is UNREACHABLE", async () => {
  const client = createProcmanClient({
    socketPath: "/nonexistent/procman.sock",
    reconnect: false,
  });
  await expect(client.get("x")).rejects.toMatchObject({ reason: "UNREACHABLE" });
  await client.close();
});

describe("a client that may start the server", () => {
  const open = (stateDir: string) => {
    const client = createProcmanClient({ stateDir, startServer: true });
    onTestFinished(() => client.close());
    return client;
  };

  test("starts it at the first call, and again where it has ended", async () => {
    const stateDir = newStateDir();
    const client = open(stateDir);
    const jobs = await Promise.all([1, 2].map(() => client.start({ command: "true" })));
    expect((await procman(stateDir, "stop")).code).toBe(0);
    await expect(
      createProcmanClient({ stateDir, reconnect: false }).get("x"),
    ).rejects.toMatchObject({ reason: "UNREACHABLE" });
    for (const { id } of jobs) expect(await client.get(id)).toMatchObject({ id });
    // With one that runs, no other is started.
    expect((await open(stateDir).list()).totalSize).toBe(2);
  });

  test("fails at once where none can be started, with the reason", async () => {
    const stateDir = join(tempDir(), "file");
    writeFileSync(stateDir, "");
    await expect(open(stateDir).list()).rejects.toMatchObject({
      reason: "UNREACHABLE",
      message: expect.stringContaining("cannot start a server"),
    });
  });
});
