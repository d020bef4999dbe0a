import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { errorOf } from "../helpers/errors.js";
import { readOutput } from "../helpers/output.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

test("returns the running job with the command's real pid, and keeps private files", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({
    command: "sleep",
    args: ["1000"],
    env: { A: "1" },
    labels: { team: "x" },
    workDir: "/",
  });
  expect(job).toMatchObject({ status: Status.RUNNING, command: "sleep", args: ["1000"] });
  expect(job).toMatchObject({ workDir: "/", labels: { team: "x" }, requestId: "" });
  expect(job!.exitCode).toBeUndefined();
  expect(readFileSync(`/proc/${job!.pid}/cmdline`, "latin1")).toBe("sleep\x001000\0");
  const dir = join(server.stateDir, "jobs", job!.id);
  expect(statSync(server.stateDir).mode & 0o777).toBe(0o700);
  expect(statSync(dir).mode & 0o777).toBe(0o700);
  for (const name of readdirSync(dir)) {
    expect(statSync(join(dir, name)).mode & 0o777, name).toBe(0o600);
  }
  expect(statSync(server.socketPath).mode & 0o777).toBe(0o600);
});

test("merge_output puts both outputs into stdout in the order written", async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({
    command: "sh",
    args: ["-c", "echo a; echo b >&2; echo c"],
    mergeOutput: true,
  });
  expect((await readOutput(server.client, job!.id)).toString()).toBe("a\nb\nc\n");
  const ended = await server.client.get({ id: job!.id });
  expect(ended.job).toMatchObject({ stdoutBytes: 6n, stderrBytes: 0n, mergeOutput: true });
});

test("the command's CPU time is known afterwards", async () => {
  const server = await TestServer.start();
  const loop = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
  const { job } = await server.client.start({ command: "sh", args: ["-c", loop] });
  const ended = (await server.client.wait({ id: job!.id })).job!;
  expect(ended.status).toBe(Status.COMPLETED);
  expect(ended.cpuTime!.seconds * 1_000_000_000n + BigInt(ended.cpuTime!.nanos)).toBeGreaterThan(
    0n,
  );
});

describe("request_id", () => {
  test("makes a repeated Start return the first job, also at once and after a restart", async () => {
    const server = await TestServer.start();
    const request = { command: "sleep", args: ["1000"], requestId: "once" };
    const { client } = server;
    const answers = await Promise.all(Array.from({ length: 10 }, () => client.start(request)));
    const ids = new Set(answers.map(({ job }) => job!.id));
    expect(ids.size).toBe(1);
    await server.restart();
    const { job } = await server.client.start(request);
    expect([...ids]).toEqual([job!.id]);
    expect((await server.client.list({})).totalSize).toBe(1);
  });

  test("with another request is a conflict", async () => {
    const server = await TestServer.start();
    await server.client.start({ command: "true", requestId: "r" });
    const error = await errorOf(server.client.start({ command: "false", requestId: "r" }));
    expect(error).toMatchObject({ code: "AlreadyExists", reason: "REQUEST_ID_CONFLICT" });
  });

  test("of a Start that failed is free again", async () => {
    const server = await TestServer.start();
    await errorOf(server.client.start({ command: "nonesuch", requestId: "r" }));
    await server.client.start({ command: "true", requestId: "r" });
  });
});

describe("a Start that fails leaves nothing behind", () => {
  const server = TestServer.shared();

  test.each([
    ["empty command", { command: "" }, "InvalidArgument", "INVALID_ARGUMENT", ["command"]],
    ["NUL in the command", { command: "a\0b" }, "InvalidArgument", "INVALID_ARGUMENT", ["command"]],
    [
      "NUL in an argument",
      { command: "true", args: ["x", "a\0b"] },
      "InvalidArgument",
      "INVALID_ARGUMENT",
      ["args[1]"],
    ],
    [
      "bad variable names",
      { command: "true", env: { "A=B": "1" } },
      "InvalidArgument",
      "INVALID_ARGUMENT",
      ["env"],
    ],
    [
      "relative work_dir",
      { command: "true", workDir: "tmp" },
      "InvalidArgument",
      "INVALID_ARGUMENT",
      ["work_dir"],
    ],
    [
      "missing work_dir",
      { command: "true", workDir: "/nonexistent" },
      "InvalidArgument",
      "WORK_DIR_NOT_FOUND",
      ["work_dir"],
    ],
    [
      "a file as work_dir",
      { command: "true", workDir: "/etc/passwd" },
      "InvalidArgument",
      "WORK_DIR_NOT_FOUND",
      ["work_dir"],
    ],
    [
      "unknown command",
      { command: "no-such-command" },
      "InvalidArgument",
      "COMMAND_NOT_FOUND",
      ["command"],
    ],
    [
      "unknown path",
      { command: "/no/such/command" },
      "InvalidArgument",
      "COMMAND_NOT_FOUND",
      ["command"],
    ],
    [
      "command that may not be executed",
      { command: "/etc/passwd" },
      "PermissionDenied",
      "COMMAND_NOT_EXECUTABLE",
      ["command"],
    ],
    [
      "a directory as command",
      { command: "/etc" },
      "PermissionDenied",
      "COMMAND_NOT_EXECUTABLE",
      ["command"],
    ],
    [
      "an argument too long",
      { command: "true", args: ["x".repeat(200_000)] },
      "InvalidArgument",
      "INVALID_ARGUMENT",
      ["args"],
    ],
    [
      "negative timeout",
      { command: "true", timeout: { seconds: -1n, nanos: 0 } },
      "InvalidArgument",
      "INVALID_ARGUMENT",
      ["timeout"],
    ],
    [
      "zero timeout",
      { command: "true", timeout: { seconds: 0n, nanos: 0 } },
      "InvalidArgument",
      "INVALID_ARGUMENT",
      ["timeout"],
    ],
  ] as const)("%s", async (_name, request, code, reason, fields) => {
    const call = server.client.start(request as Parameters<typeof server.client.start>[0]);
    expect(await errorOf(call)).toMatchObject({ code, reason, domain: "procman", fields });
    expect((await server.client.list({})).totalSize).toBe(0);
    expect(readdirSync(join(server.stateDir, "jobs"))).toEqual([]);
  });

  test("a script whose interpreter is missing", async () => {
    const script = join(tempDir(), "script");
    writeFileSync(script, "#!/no/such/interpreter -x\n", { mode: 0o755 });
    const error = await errorOf(server.client.start({ command: script }));
    expect(error).toMatchObject({ code: "PermissionDenied", reason: "COMMAND_NOT_EXECUTABLE" });
    expect(error.message).toContain("/no/such/interpreter");
    expect((await server.client.list({})).totalSize).toBe(0);
  });

  test("what only execution shows ends the job as failed, with the reason, and no output", async ({
    skip,
  }) => {
    const server = await TestServer.start();
    // An ELF file whose loader does not exist.
    const program = join(tempDir(), "program");
    const elf = readFileSync("/bin/true");
    const loader = Buffer.from("/lib64/ld-linux-x86-64.so.2");
    const at = elf.indexOf(loader);
    skip(at < 0, "this machine's programs have another loader");
    elf.write("/nope64", at);
    writeFileSync(program, elf, { mode: 0o755 });
    const { job } = await server.client.start({ command: program });
    const { job: ended } = await server.client.wait({ id: job!.id });
    expect(ended).toMatchObject({ status: Status.FAILED, stdoutBytes: 0n, stderrBytes: 0n });
    expect(ended!.error).toContain("could not be executed");
  });
});

test("the command is looked up on the job's own PATH, relative ones from work_dir", async () => {
  const server = await TestServer.start();
  const bin = tempDir();
  mkdirSync(join(bin, "sub"));
  writeFileSync(join(bin, "sub", "tool"), "#!/bin/sh\necho $0\n", { mode: 0o755 });
  const byPath = await server.client.start({
    command: "tool",
    env: { PATH: `${bin}/sub:/bin:/usr/bin` },
  });
  expect((await readOutput(server.client, byPath.job!.id)).toString()).toBe(`${bin}/sub/tool\n`);
  const relative = await server.client.start({ command: "sub/tool", workDir: bin });
  expect((await readOutput(server.client, relative.job!.id)).toString()).toBe("sub/tool\n");
});
