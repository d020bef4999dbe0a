import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type Job,
  Output,
  type StartRequestSchema,
  Status,
  Stream,
} from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { readOutput } from "../helpers/output.js";
import { tempDir } from "../helpers/temp-dir.js";
import { MAIN, TestServer } from "../helpers/test-server.js";

/* Jobs whose stdout and stderr are pipes. What their scripts do is tested with all shells in test/unit/engine. */

const MIB = 1024 * 1024;

/** As of a client that is newer than this server. */
const UNKNOWN_OUTPUT = 9 as unknown as Output;

const shared = TestServer.shared();

/** Runs a shell script that finds the test's files in its directory. */
async function start(
  { client }: TestServer,
  script: string,
  options: MessageInitShape<typeof StartRequestSchema> = {},
): Promise<Job> {
  const { job } = await client.start({
    command: "sh",
    args: ["-c", script],
    workDir: tempDir(),
    output: Output.PIPE,
    ...options,
  });
  return job!;
}

function make({ workDir }: Job, name: string): void {
  writeFileSync(join(workDir, name), "");
}

/** Waits for a file; also ends once the directory is gone with its test. */
function until(name: string): string {
  return `until [ -e ${name} ] || [ ! -e "$PWD" ]; do sleep 0.01; done`;
}

/** The pids of what copies the job's output, as it was started. */
function carriersOf({ stateDir }: TestServer, { id }: Job): number[] {
  const text = readFileSync(join(stateDir, "jobs", id, "process"), "utf8");
  return [...text.matchAll(/^carrier std(?:out|err) (\d+)/gm)].map(([, pid]) => Number(pid));
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Returns once they are gone: until then, each may read what it does not write any more. */
async function kill(carriers: readonly number[]): Promise<void> {
  for (const pid of carriers) process.kill(pid, "SIGKILL");
  await eventually("their end", () => !carriers.some(exists));
}

async function ended({ client }: TestServer, { id }: Job): Promise<Job> {
  return (await client.wait({ id })).job!;
}

async function outputs({ client }: TestServer, { id }: Job): Promise<[string, string]> {
  const [stdout, stderr] = await Promise.all(
    [Stream.STDOUT, Stream.STDERR].map((stream) => readOutput(client, id, stream)),
  );
  return [stdout!.toString(), stderr!.toString()];
}

test("run --pipe loses nothing of what opens its own output anew", async () => {
  const script =
    "echo one; echo warn >/dev/stdout; echo a >&2; echo b >/dev/stderr; echo end; exit 3";
  const run = spawn(process.execPath, [MAIN, "run", "--pipe", "--", "sh", "-c", script], {
    env: { ...process.env, PROCMAN_STATE_DIR: shared.stateDir },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const seen = { stdout: "", stderr: "" };
  run.stdout.on("data", (data: Buffer) => (seen.stdout += data.toString()));
  run.stderr.on("data", (data: Buffer) => (seen.stderr += data.toString()));
  expect(await once(run, "close")).toEqual([3, null]);
  expect(seen).toEqual({ stdout: "one\nwarn\nend\n", stderr: "a\nb\n" });
});

test("the job tells of it, and nothing is truncated", async () => {
  const job = await start(shared, "echo one; echo two >/dev/stdout");
  expect(job.output).toBe(Output.PIPE);
  expect(await ended(shared, job)).toMatchObject({
    status: Status.COMPLETED,
    output: Output.PIPE,
    stdoutBytes: 8n,
    stdoutTruncations: 0,
  });
  const file = await start(shared, "true", { output: Output.UNSPECIFIED });
  expect((await ended(shared, file)).output).toBe(Output.FILE);
});

test("a terminal and pipes, or a kind of output that is unknown, are refused", async () => {
  for (const options of [{ pty: true }, { output: UNKNOWN_OUTPUT }]) {
    expect(await errorOf(start(shared, "true", options))).toMatchObject({
      reason: "INVALID_ARGUMENT",
      fields: ["output"],
    });
  }
});

test("a program that seeks in what is a file writes what it should", async () => {
  // As zip and sox do: a header that is written again in the end, where that can be done.
  const script = `
    import os, sys
    def write(): os.write(1, b"body")
    os.write(1, b"head")
    write()
    try: os.lseek(1, 0, 0); os.write(1, b"HEAD")
    except OSError: pass
  `.replaceAll(/^ {4}/gm, "");
  const job = await start(shared, "", { command: "python3", args: ["-c", script] });
  await ended(shared, job);
  expect((await outputs(shared, job))[0]).toBe("headbody");
});

test("with input, in one log", async () => {
  const job = await start(shared, "echo first >&2; cat; echo last >&2", {
    stdin: true,
    mergeOutput: true,
  });
  const { client } = shared;
  await client.sendInput({ id: job.id, data: Buffer.from("input\n"), close: true });
  expect(await ended(shared, job)).toMatchObject({ exitCode: 0 });
  expect(await outputs(shared, job)).toEqual(["first\ninput\nlast\n", ""]);
});

test("a log limit holds as for a file", async () => {
  const job = await start(shared, `yes | head -c ${16 * MIB}; echo last`, {
    logLimitBytes: BigInt(MIB),
  });
  expect(await ended(shared, job)).toMatchObject({ stdoutBytes: BigInt(16 * MIB + 5) });
  const first = await eventually("the last cut", async () => {
    const { stdoutFirstOffset } = (await shared.client.get({ id: job.id })).job!;
    return stdoutFirstOffset >= BigInt(15 * MIB) ? stdoutFirstOffset : undefined;
  });
  const rest = await readOutput(shared.client, job.id, Stream.STDOUT, first);
  expect(rest.toString()).toMatch(/^(?:y\n)+last\n$/);
});

describe("a job's processes", () => {
  test("the command's end is the job's, and what it leaves writes on", async () => {
    const job = await start(shared, `{ ${until("go")}; echo late; } & echo done`);
    expect(await ended(shared, job)).toMatchObject({ status: Status.COMPLETED, stdoutBytes: 5n });
    make(job, "go");
    await eventually(
      "what it left",
      async () => (await outputs(shared, job))[0] === "done\nlate\n",
    );
    await eventually("their end", () => !carriersOf(shared, job).some(exists));
  });

  test("a Cancel ends all that ignores it, loses no output, and leaves no process", async () => {
    const job = await start(
      shared,
      `trap "" TERM; seq 1 50000; >written; sh -c 'trap "" TERM; sleep 1000' & sleep 1000; sleep 1000`,
    );
    await eventually("its output", () => existsSync(join(job.workDir, "written")));
    const cancelled = await shared.client.cancel({
      id: job.id,
      gracePeriod: { seconds: 0n, nanos: 50_000_000 },
    });
    expect(cancelled.job).toMatchObject({ status: Status.CANCELLED, signal: "SIGKILL" });
    expect((await outputs(shared, job))[0]).toMatch(/\n50000\n$/);
    await eventually("their end", () => !carriersOf(shared, job).some(exists));
  });

  test("what carries the output is killed: the server puts it on again, also the next server", async () => {
    const server = await TestServer.start();
    const write = (name: string) => `${until(name)}; seq 1 100000; echo ${name} >&2`;
    const job = await start(server, `${write("a")}; ${write("b")}; ${write("c")}`);
    const path = (name: string) => join(server.stateDir, "jobs", job.id, name);
    const written = (size: number, errors: string) =>
      eventually("the output", () => {
        expect(readFileSync(path("stderr.log"), "utf8")).toBe(errors);
        return statSync(path("stdout.log")).size === size;
      });
    const bytes = 588_895;
    await kill(carriersOf(server, job));
    make(job, "a");
    await written(bytes, "a\n");
    await server.kill();
    const identities = ["stdout", "stderr"].map((stream) =>
      readFileSync(path(`${stream}.carrier`), "utf8"),
    );
    await kill(identities.map((identity) => Number.parseInt(identity, 10)));
    make(job, "b");
    await server.start();
    await written(2 * bytes, "a\nb\n");
    make(job, "c");
    expect(await ended(server, job)).toMatchObject({ exitCode: 0, stdoutBytes: BigInt(3 * bytes) });
    const numbers = Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join("");
    expect((await outputs(server, job))[0] === numbers.repeat(3)).toBe(true);
  });

  test("the server is killed in between, and the job ends without one", async () => {
    const server = await TestServer.start();
    const job = await start(
      server,
      `seq 1 1000; ${until("go")}; seq 1 100000; echo end >&2; exit 7`,
    );
    await server.kill();
    make(job, "go");
    await eventually("the exit record", () =>
      /^7\n(.*\n){2}/.test(readFileSync(join(server.stateDir, "jobs", job.id, "exit"), "utf8")),
    );
    await server.start();
    expect(await ended(server, job)).toMatchObject({
      status: Status.FAILED,
      exitCode: 7,
      stdoutBytes: 588_895n + 3893n,
      stderrBytes: 4n,
    });
  });

  test("the runner is killed: the output is whole, and the job orphaned", async () => {
    const job = await start(shared, `${until("go")}; seq 1 100000; echo end >&2`);
    const runner = readFileSync(join(shared.stateDir, "jobs", job.id, "process"), "utf8");
    process.kill(Number.parseInt(runner.split("\n")[1]!, 10), "SIGKILL");
    make(job, "go");
    expect(await ended(shared, job)).toMatchObject({ status: Status.ORPHANED });
    await eventually("its output", async () => {
      const [stdout, stderr] = await outputs(shared, job);
      return stdout.length === 588_895 && stderr === "end\n";
    });
  });

  test("a job that has left something can be removed with that", async () => {
    const job = await start(shared, `{ ${until("go")}; echo late; } & echo done`);
    await ended(shared, job);
    await shared.client.remove({ id: job.id, includeRemaining: true });
    expect(existsSync(join(shared.stateDir, "jobs", job.id))).toBe(false);
  });
});
