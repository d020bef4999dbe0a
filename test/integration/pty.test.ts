import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Containment, Status, Stream, Terminator } from "../../gen/procman/v1/procman_pb.js";
import { readExitRecord } from "../../src/engine/local/runner/runner-records.js";
import { errorOf, collect } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { linesOf, readOutput } from "../helpers/output.js";
import { TestServer } from "../helpers/test-server.js";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Draws a bar on a terminal, and none elsewhere, as programs do. */
const BAR = `
import os, sys, time
if sys.stderr.isatty():
    columns = os.get_terminal_size(2).columns
    for n in range(0, 101, 25):
        bar = "#" * (n * (columns - 10) // 100)
        sys.stderr.write(f"\\r{bar} {n}%")
        sys.stderr.flush()
        time.sleep(0.02)
    sys.stderr.write("\\n")
print("done")
`;

async function output(server: TestServer, id: string, text: string): Promise<void> {
  await eventually(`output of ${text}`, () =>
    readFileSync(join(server.stateDir, "jobs", id, "stdout.log"), "latin1").includes(text),
  );
}

/** Whether a record of the job's end is whole. */
function recordOf(server: TestServer, id: string, name: "exit" | "ended"): boolean {
  return readExitRecord(join(server.stateDir, "jobs", id, name)) !== undefined;
}

/** The script(1) of a job: /proc names the job's directory among its parent's words. */
function scriptOf(id: string): number {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const found = pids.map(Number).find((pid) => {
    const parent = Number(statOf(pid)[1]);
    return nameOf(pid) === "script" && readProc(parent, "cmdline").includes(`/jobs/${id}`);
  });
  if (found === undefined) throw new Error("no script");
  return found;
}

/** From the state on: see proc_pid_stat(5). */
function statOf(pid: number): string[] {
  return /\) (.*)$/s.exec(readProc(pid, "stat"))?.[1]?.split(" ") ?? [];
}

function nameOf(pid: number): string | undefined {
  return /\((.*)\)/s.exec(readProc(pid, "stat"))?.[1];
}

function readProc(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

function stateOf(pid: number): string | undefined {
  return statOf(pid)[0];
}

describe("a job in a terminal", () => {
  const server = TestServer.shared();

  test("draws its bar, in the width asked for, and its progress is known", async () => {
    const request = { command: "python3", args: ["-c", BAR] };
    const { job } = await server.client.start({
      ...request,
      pty: true,
      windowSize: { rows: 40, columns: 60 },
    });
    expect(job).toMatchObject({ pty: true, mergeOutput: true, stdin: false });
    expect(job!.windowSize).toMatchObject({ rows: 40, columns: 60 });
    const lines = linesOf(await collect(server.client.watch({ id: job!.id })));
    expect(lines.map(({ text }) => text)).toContain(`${"#".repeat(25)} 50%`);
    expect(lines.at(-1)).toMatchObject({ text: "done", terminator: Terminator.CRLF });
    expect(lines.every(({ stream }) => stream === Stream.STDOUT)).toBe(true);
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({ status: Status.COMPLETED, stderrBytes: 0n });
    expect(ended!.progress?.percent).toBe(100);

    const { job: plain } = await server.client.start(request);
    expect((await readOutput(server.client, plain!.id)).toString()).toBe("done\n");
    expect((await readOutput(server.client, plain!.id, Stream.STDERR)).toString()).toBe("");
  });

  test("is of 24 rows and 80 columns unless it is told otherwise, and can be resized", async () => {
    const script =
      "stty size; trap 'stty size' WINCH; echo ready; while ! read -t 0.02 end; do :; done";
    const { job } = await server.client.start({
      command: "bash",
      args: ["-c", script],
      pty: true,
      stdin: true,
    });
    const { id } = job!;
    await output(server, id, "24 80\r\nready");
    const size = { rows: 50, columns: 132 };
    const { job: resized } = await server.client.resizeWindow({ id, windowSize: size });
    expect(resized!.windowSize).toMatchObject({ rows: 24, columns: 80 });
    await output(server, id, "\r\n50 132\r\n");
    await server.client.sendInput({ id, data: bytes("end\n") });
    await server.client.wait({ id });
  });

  test("its pid is the command's own, and the end is that of a shell", async () => {
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", "echo $$; kill -KILL $$"],
      pty: true,
    });
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 137, signal: "SIGKILL" });
    expect((await readOutput(server.client, job!.id)).toString()).toBe(`${job!.pid}\r\n`);
  });

  test("is cancelled and timed out with all that it has started", async () => {
    const script =
      "trap '' TERM HUP; (setsid sh -c 'trap \"\" TERM HUP; sleep 1000; :') & sleep 1000; :";
    const request = { command: "bash", args: ["-c", script], pty: true };
    const { job } = await server.client.start(request);
    const gracePeriod = { seconds: 0n, nanos: 50_000_000 };
    const { job: cancelled } = await server.client.cancel({ id: job!.id, gracePeriod });
    expect(cancelled).toMatchObject({ status: Status.CANCELLED, signal: "SIGKILL" });
    const { job: limited } = await server.client.start({
      command: "sleep",
      args: ["1000"],
      pty: true,
      timeout: { seconds: 0n, nanos: 100_000_000 },
    });
    const { job: timedOut } = await server.client.wait({ id: limited!.id });
    expect(timedOut).toMatchObject({ status: Status.FAILED, signal: "SIGTERM" });
    expect([Containment.SESSION, Containment.CGROUP]).toContain(timedOut!.containment);
  });

  test("ends with its command, also where something left behind goes on writing", async () => {
    const args = ["-c", "set -m; yes & sleep 0.2; exit 3"];
    const { job } = await server.client.start({ command: "bash", args, pty: true });
    const { id } = job!;
    await eventually("the command's end", () => recordOf(server, id, "ended"));
    // Too late: that is how the command ended.
    expect(await errorOf(server.client.cancel({ id }))).toMatchObject({
      reason: "JOB_NOT_RUNNING",
    });
    const { job: ended } = await server.client.wait({ id });
    expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 3 });
    const { job: later } = await server.client.get({ id });
    expect(later!.stdoutBytes).toBe(ended!.stdoutBytes);
  });

  test("goes on after a stop of its whole group, and its end is known", async () => {
    const script = "echo one; kill -STOP 0; echo two; exit 5";
    const { job } = await server.client.start({ command: "sh", args: ["-c", script], pty: true });
    const { id, pid } = job!;
    // Its output may come later: script(1) stops itself with it, whatever it has yet to copy.
    await eventually("the stop", () => stateOf(pid) === "T");
    await server.client.signal({ id, signal: "CONT" });
    const { job: ended } = await server.client.wait({ id });
    expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 5 });
    expect((await readOutput(server.client, id)).toString()).toBe("one\r\ntwo\r\n");
  });

  test.each(["SIGSTOP", "SIGSTOP and SIGCONT to its group"])(
    "is cancelled where what makes it was stopped, by %s",
    async (how) => {
      const script = "trap 'echo bye; exit' TERM; echo ready; while :; do sleep 0.02; done";
      const { job } = await server.client.start({
        command: "bash",
        args: ["-c", script],
        pty: true,
      });
      const { id, pid } = job!;
      await output(server, id, "ready");
      const maker = scriptOf(id);
      const group = Number(statOf(pid)[2]);
      if (how === "SIGSTOP") process.kill(maker, "SIGSTOP");
      else process.kill(-group, "SIGSTOP");
      await eventually("the stop", () => stateOf(maker) === "T");
      if (how !== "SIGSTOP") process.kill(-group, "SIGCONT");
      const { job: ended } = await server.client.cancel({ id });
      expect(ended).toMatchObject({ status: Status.CANCELLED, exitCode: 0 });
      expect((await readOutput(server.client, id)).toString()).toContain("bye");
    },
  );

  test("what cannot be is refused", async () => {
    const { client } = server;
    const start = (rest: object) => errorOf(client.start({ command: "true", ...rest }));
    const size = { rows: 24, columns: 80 };
    expect(await start({ windowSize: size })).toMatchObject({ fields: ["window_size"] });
    for (const windowSize of [
      { rows: 0, columns: 80 },
      { rows: 24, columns: 65_536 },
    ]) {
      expect(await start({ pty: true, windowSize })).toMatchObject({ fields: ["window_size"] });
    }
    const { job: plain } = await client.start({ command: "sleep", args: ["1000"] });
    const resize = (id: string, windowSize = size) =>
      errorOf(client.resizeWindow({ id, windowSize }));
    expect(await resize(plain!.id)).toMatchObject({
      code: "FailedPrecondition",
      reason: "NO_TERMINAL",
    });
    expect(await resize("nonesuch")).toMatchObject({ reason: "JOB_NOT_FOUND" });
    expect(await errorOf(client.resizeWindow({ id: plain!.id }))).toMatchObject({
      fields: ["window_size"],
    });
    const { job: ended } = await client.start({ command: "true", pty: true });
    await client.wait({ id: ended!.id });
    expect(await resize(ended!.id)).toMatchObject({ reason: "JOB_NOT_RUNNING" });
  });

  test("needs nothing of the job's own PATH", async () => {
    const request = { command: "/bin/sh", args: ["-c", "echo $PATH"], env: { PATH: "/none" } };
    const { job } = await server.client.start({ ...request, pty: true, stdin: true });
    expect((await readOutput(server.client, job!.id)).toString()).toBe("/none\r\n");
  });
});

test("a shell in a terminal survives kill -9 of the server, and so does what happens meanwhile", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({
    command: "bash",
    args: ["--norc", "-i"],
    pty: true,
    stdin: true,
    workDir: server.stateDir,
  });
  const { id, pid } = job!;
  await output(server, id, "bash-");
  await server.client.sendInput({ id, data: bytes("x=kept\r") });
  await server.client.sendInput({
    id,
    data: bytes("until [ -e go ]; do sleep 0.02; done; echo mean$((1+1))while\r"),
  });
  await server.kill();
  writeFileSync(join(server.stateDir, "go"), "");
  await output(server, id, "mean2while");
  await server.start();
  const { job: after } = await server.client.get({ id });
  expect(after).toMatchObject({ status: Status.RUNNING, pid });
  await server.client.resizeWindow({ id, windowSize: { rows: 33, columns: 77 } });
  await server.client.sendInput({ id, data: bytes("stty size; echo $x$((1+1))\r") });
  await output(server, id, "33 77");
  await output(server, id, "kept2");
  await server.client.sendInput({ id, data: bytes("sleep 0.3; exit 5\r") });
  await server.restart();
  const { job: ended } = await server.client.wait({ id });
  expect(ended).toMatchObject({ status: Status.FAILED, exitCode: 5, pid });
  expect((await readOutput(server.client, id)).toString()).toContain("exit 5");
});
