import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { parseListeners } from "../../../src/engine/local/process/listeners-darwin.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { eventually } from "../../helpers/eventually.js";
import { someSpec } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

const never = new AbortController().signal;

/** Listens where it is told, then says on which port. */
const LISTEN = `require("net").createServer().listen(0, process.argv[1], function () {
  console.log(this.address().port);
})`;

/** A job that runs a command; ended with all that it began when the test is over. */
async function startJob(command: string, ...args: string[]) {
  const engine = new LocalEngine({ pollIntervalMs: 50 });
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path, { mode: 0o700 });
  for (const stream of ["stdout", "stderr"]) writeFileSync(join(dir.path, `${stream}.log`), "");
  const id = `test-${Math.random().toString(36).slice(2)}`;
  const prepared = await engine.prepare(someSpec({ id, command, args }));
  const { started } = await prepared.start(dir);
  onTestFinished(async () => {
    await engine.open(dir).stop(0, never);
    await eventually(
      "the job's end",
      async () => (await engine.open(dir).inspect()).kind !== "alive",
    );
    engine.open(dir).release();
  });
  return {
    engine,
    containment: started.containment,
    listeningPort: (port: number) => engine.open(dir).listeningPort(port),
    /** The first number that it prints. */
    printed: async () =>
      Number(
        await eventually("its word", () => {
          const text = readFileSync(join(dir.path, "stdout.log"), "utf8");
          return text.endsWith("\n") && text;
        }),
      ),
  };
}

describe("a port that the job listens on", () => {
  test.for(["127.0.0.1", "0.0.0.0", "::1", "::"])("on %s", async (host, { skip }) => {
    skip(host.includes("::") && !hasIpv6(), "this machine has no IPv6");
    const job = await startJob(process.execPath, "-e", LISTEN, host);
    const port = await job.printed();
    expect(await job.listeningPort(port)).toBe(port);
    expect(await job.listeningPort(0)).toBe(port);
    expect(await job.listeningPort(port === 65_535 ? 1 : port + 1)).toBeUndefined();
  });

  test("by a child in a process group of its own", async () => {
    const script = `set -m; "$0" -e "$1" 127.0.0.1 & wait`;
    const job = await startJob("bash", "-c", script, process.execPath, LISTEN);
    const port = await job.printed();
    expect(await job.listeningPort(port)).toBe(port);
  });

  test("by a child that has left the session counts where a cgroup holds it", async () => {
    const pidFile = join(tempDir(), "pid");
    const script = `setsid sh -c 'echo $$ >"$0"; exec "$@"' "$0" "$1" -e "$2" 127.0.0.1 & wait`;
    const job = await startJob("bash", "-c", script, pidFile, process.execPath, LISTEN);
    const port = await job.printed();
    // A session alone does not end it.
    onTestFinished(() => killIfAny(Number(readFileSync(pidFile, "utf8"))));
    expect(await job.listeningPort(port)).toBe(job.containment === "cgroup" ? port : undefined);
  });

  test("the lowest of them, where any will do", async () => {
    const script = `const { createServer } = require("net");
      const ports = [];
      for (const _ of "123") createServer().listen(0, "127.0.0.1", function () {
        ports.push(this.address().port);
        if (ports.length === 3) console.log(Math.min(...ports));
      })`;
    const job = await startJob(process.execPath, "-e", script);
    const lowest = await job.printed();
    expect(await job.listeningPort(0)).toBe(lowest);
  });
});

describe("a port that it does not listen on", () => {
  test("though this process does", async () => {
    const job = await startJob("sleep", "1000");
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    expect(await job.listeningPort(port)).toBeUndefined();
    expect(await job.listeningPort(0)).toBeUndefined();
  });

  test("but is connected to, or from", async () => {
    const server = createServer((socket) => void socket.resume()).listen(0, "127.0.0.1");
    await once(server, "listening");
    const accepted = once(server, "connection");
    onTestFinished(() => void server.close());
    const { port } = server.address() as { port: number };
    const script = `const socket = require("net").connect(${port}, "127.0.0.1", () => console.log(socket.localPort))`;
    const job = await startJob(process.execPath, "-e", script);
    const localPort = await job.printed();
    await accepted;
    expect(await job.listeningPort(port)).toBeUndefined();
    expect(await job.listeningPort(localPort)).toBeUndefined();
    expect(await job.listeningPort(0)).toBeUndefined();
  });

  test("but did, before the listener was closed", async () => {
    const script = `const server = require("net").createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => console.log(port));
      setInterval(() => {}, 1000);
    })`;
    const job = await startJob(process.execPath, "-e", script);
    expect(await job.listeningPort(await job.printed())).toBeUndefined();
  });

  test("here, but in a network namespace of its own", async ({ skip }) => {
    const { status } = await canUnshare();
    skip(status !== 0, "this user may not make network namespaces");
    const script = `ip link set lo up 2>/dev/null; exec "$0" -e "$1" 0.0.0.0`;
    const job = await startJob("unshare", "-n", "sh", "-c", script, process.execPath, LISTEN);
    const port = await job.printed();
    expect(await job.listeningPort(port)).toBeUndefined();
    expect(await job.listeningPort(0)).toBeUndefined();
  });

  test("since there is no job", async () => {
    const engine = new LocalEngine({ pollIntervalMs: 50 });
    expect(await engine.open(new JobDir("/nonexistent")).listeningPort(0)).toBeUndefined();
  });
});

test("what lsof prints is read", () => {
  const text = "p123\nf12\nn*:3000\nf13\nn127.0.0.1:8080\np4567\nf3\nn[::1]:65535\n";
  expect(parseListeners(text)).toEqual([
    { pid: 123, port: 3000 },
    { pid: 123, port: 8080 },
    { pid: 4567, port: 65_535 },
  ]);
  expect(parseListeners("")).toEqual([]);
});

function hasIpv6(): boolean {
  return Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === "::1"),
  );
}

function killIfAny(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

async function canUnshare(): Promise<{ status: number | null }> {
  const child = spawn("unshare", ["-n", "true"], { stdio: "ignore" });
  const [status] = (await once(child, "exit").catch(() => [1])) as [number | null];
  return { status };
}
