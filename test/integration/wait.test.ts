import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { Status, Stream, type WaitResponse } from "../../gen/procman/v1/procman_pb.js";
import { createProcmanClient } from "../../src/client/index.js";
import { errorOf } from "../helpers/errors.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

/** For tests that mind only the jobs they start. */
const shared = TestServer.shared();

async function started(command: string, ...args: string[]): Promise<string> {
  return (await shared.client.start({ command, args })).job!.id;
}

function forOutput(pattern: string, rest: { streams?: Stream[]; stdoutOffset?: bigint } = {}) {
  return { case: "output", value: { pattern, ...rest } } as const;
}

function forPort(port: number) {
  return { case: "port", value: port } as const;
}

const HTTP_SERVER = ["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"];
const soon = { seconds: 0n, nanos: 50_000_000 };
const noTime = { seconds: 0n, nanos: 0 };

describe("Wait for a line", () => {
  test("returns as soon as the server that was started says that it serves", async () => {
    const id = await started("python3", ...HTTP_SERVER);
    const answer = await shared.client.wait({ id, until: forOutput("^Serving HTTP on .* port") });
    expect(answer.job).toMatchObject({ id, status: Status.RUNNING });
    const text = lineOf(answer)?.text ?? "";
    const port = /port (\d+)/.exec(text)?.[1];
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  });

  test("finds a prompt, and goes on from where it was found", async () => {
    const script = `printf 'name> '; while [ ! -e "$0" ]; do sleep 0.01; done
      printf '\\nname> again\\nname> '; sleep 1000`;
    const go = join(tempDir(), "go");
    const id = await started("sh", "-c", script, go);
    const first = lineOf(await shared.client.wait({ id, until: forOutput("^name> ") }));
    expect(first).toMatchObject({ text: "name> ", offset: 0n, nextOffset: 6n });
    writeFileSync(go, "");
    const next = forOutput("name> ", { stdoutOffset: first!.nextOffset });
    expect(lineOf(await shared.client.wait({ id, until: next }))?.text).toBe("name> again");
    await shared.client.wait({ id, until: forOutput("^name> ", { stdoutOffset: 19n }) });
    // What may follow the last prompt is not known; the first one's line is over.
    const end = forOutput("> $");
    expect((await shared.client.wait({ id, until: end, timeout: noTime })).outcome).toMatchObject({
      case: "line",
      value: { text: "name> ", nextOffset: 7n },
    });
  });

  test("looks at the streams that it is told to", async () => {
    const id = await started("sh", "-c", "echo out ready; echo err ready >&2; sleep 1000");
    for (const [stream, text] of [
      [Stream.STDOUT, "out ready"],
      [Stream.STDERR, "err ready"],
    ] as const) {
      const until = forOutput("ready", { streams: [stream] });
      expect(lineOf(await shared.client.wait({ id, until }))).toMatchObject({ stream, text });
    }
  });

  test("returns the job that ended without it, and one that did with it", async () => {
    const id = await started("sh", "-c", "echo one; printf two; exit 3");
    const until = forOutput("never");
    const ended = await shared.client.wait({ id, until });
    expect(ended.job).toMatchObject({ status: Status.FAILED, exitCode: 3 });
    expect(ended.outcome.case).toBeUndefined();
    const last = await shared.client.wait({ id, until: forOutput("^two$") });
    expect(last.job).toMatchObject({ status: Status.FAILED, exitCode: 3 });
    expect(lineOf(last)).toMatchObject({ text: "two" });
    // Looking once sees the end of it too.
    const look = await shared.client.wait({ id, until: forOutput("^two$"), timeout: noTime });
    expect(lineOf(look)).toMatchObject({ text: "two" });
  });

  test("tells how far it came when the timeout passes first", async () => {
    const id = await started("sh", "-c", "echo one; printf two; sleep 1000");
    await shared.client.wait({ id, until: forOutput("two") });
    for (const timeout of [noTime, soon]) {
      const { job, outcome } = await shared.client.wait({ id, until: forOutput("never"), timeout });
      expect(job!.status).toBe(Status.RUNNING);
      expect(outcome.case).toBe("searched");
      // In a little time it may have come less far; looking once is to see it all.
      if (timeout !== noTime) continue;
      expect(outcome.value).toMatchObject({ stdoutOffset: 4n, stderrOffset: 0n });
    }
  });

  test.each([
    [forOutput(""), "output.pattern", "must not be empty"],
    [forOutput("(a"), "output.pattern", "missing closing ): `(a`"],
    [forOutput("(?=a)"), "output.pattern", "invalid or unsupported Perl syntax: `(?=`"],
    [forOutput("(.{100}){10}"), "output.pattern", "too large"],
    [forOutput("a".repeat(1025)), "output.pattern", "1024 bytes"],
    [forOutput("a", { stdoutOffset: -1n }), "output.stdout_offset", "negative"],
    [forOutput("a", { streams: [Stream.UNSPECIFIED] }), "output.streams", "0 is not a stream"],
    [forPort(-1), "port", "negative"],
    [forPort(65_536), "port", "from 0 to 65535"],
  ])("refuses %o", async (until, field, complaint) => {
    const id = await started("sleep", "1000");
    const error = await errorOf(shared.client.wait({ id, until }));
    expect(error).toMatchObject({
      code: "InvalidArgument",
      reason: "INVALID_ARGUMENT",
      fields: [field],
      message: expect.stringContaining(complaint),
    });
  });

  test("refuses an offset beyond the end", async () => {
    const id = await started("sleep", "1000");
    const until = forOutput("a", { stdoutOffset: 1n });
    expect(await errorOf(shared.client.wait({ id, until }))).toMatchObject({
      code: "OutOfRange",
      reason: "OFFSET_OUT_OF_RANGE",
    });
  });

  test.each([
    ["a log of many lines", "a line of output as programs write it", 300_000, "never [0-9]+"],
    ["lines that are made for the pattern", `${"a".repeat(9000)}!`, 1000, "(a+)+$"],
  ])("serves others meanwhile: %s", async (_name, line, count, pattern) => {
    const script = 'yes "$0" | head -n "$1"; echo ready; sleep 1000';
    const id = await started("sh", "-c", script, line, String(count));
    await shared.client.wait({ id, until: forOutput("^ready$") });
    const until = forOutput(`(?:${pattern})|^ready$`);
    const state = { isOver: false };
    const waiting = shared.client.wait({ id, until }).finally(() => (state.isOver = true));
    let served = 0;
    for (; !state.isOver; served += 1) await shared.client.get({ id });
    expect(lineOf(await waiting)).toMatchObject({
      text: "ready",
      offset: BigInt((line.length + 1) * count),
    });
    expect(served).toBeGreaterThan(5);
  });
});

describe("Wait for a port", () => {
  test("returns as soon as the job listens on it, or on any", async () => {
    const id = await started("sh", "-c", `sleep 0.5; exec python3 ${HTTP_SERVER.join(" ")}`);
    const { outcome } = await shared.client.wait({ id, until: forPort(0) });
    expect(outcome.case).toBe("port");
    const port = outcome.value as number;
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    const same = await shared.client.wait({ id, until: forPort(port), timeout: noTime });
    expect(same.outcome).toEqual({ case: "port", value: port });
  });

  test("does not count one of another process, or of another job", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const other = await started("python3", ...HTTP_SERVER);
    const { outcome: others } = await shared.client.wait({ id: other, until: forPort(0) });

    const id = await started("sleep", "1000");
    for (const until of [forPort(port), forPort(others.value as number), forPort(0)]) {
      const { job, outcome } = await shared.client.wait({ id, until, timeout: soon });
      expect(job!.status).toBe(Status.RUNNING);
      expect(outcome.case).toBeUndefined();
    }
  });

  test("returns the job that ended without it", async () => {
    const id = await started("sh", "-c", "sleep 0.2; exit 5");
    const { job, outcome } = await shared.client.wait({ id, until: forPort(0) });
    expect(job).toMatchObject({ status: Status.FAILED, exitCode: 5 });
    expect(outcome.case).toBeUndefined();
  });
});

test.each(["SIGKILL", "SIGTERM"] as const)(
  "a client's waits go on after the server's %s",
  async (signal) => {
    const server = await TestServer.start();
    const client = createProcmanClient({ socketPath: server.socketPath });
    onTestFinished(() => client.close());
    const script = `const { existsSync } = require("fs");
      const server = require("net").createServer();
      console.log("waiting");
      const poll = setInterval(() => {
        if (!existsSync("go")) return;
        clearInterval(poll);
        server.listen(0, "127.0.0.1", () => console.log("ready on " + server.address().port));
      }, 10)`;
    const { id } = await client.start({
      command: process.execPath,
      args: ["-e", script],
      workDir: server.stateDir,
    });
    const waits = [
      client.wait(id, { until: { type: "output", pattern: "ready on" } }),
      client.wait(id, { until: { type: "port", port: 0 } }),
      client.wait(id, { until: { type: "output", pattern: "never" } }),
    ];
    await client.wait(id, { until: { type: "output", pattern: "waiting" } });
    await server.kill(signal);
    await server.start();
    writeFileSync(join(server.stateDir, "go"), "");
    const [line, port] = await Promise.all(waits.slice(0, 2));
    const listening = port?.outcome?.type === "port" ? port.outcome.port : 0;
    expect(line?.outcome).toMatchObject({
      type: "line",
      line: { text: `ready on ${listening}`, offset: 8 },
    });
    await server.kill(signal);
    await server.start();
    await client.cancel(id);
    const ended = await waits[2];
    expect(ended).toMatchObject({ status: "cancelled" });
    expect(ended?.outcome).toBeUndefined();
  },
);

function lineOf({ outcome }: WaitResponse) {
  return outcome.case === "line" ? outcome.value : undefined;
}
