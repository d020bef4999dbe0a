import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type Job, Output, Status } from "../../gen/procman/v1/procman_pb.js";
import { readProcessRecord } from "../../src/engine/local/runner/runner-records.js";
import { JobDir } from "../../src/core/job-dir.js";
import { errorOf } from "../helpers/errors.js";
import { eventually } from "../helpers/eventually.js";
import { endProcess, isRunning } from "../helpers/strangers.js";
import { TestServer } from "../helpers/test-server.js";

const NO_GRACE = { seconds: 0n, nanos: 0 };

const shared = TestServer.shared();

const sh = (script: string) => ({ command: "sh", args: ["-c", script] });
const onEnd = (script: string) => ({ onEnd: sh(script) });

/** Waits until what is run at a job's end is over. */
function over(id: string, server = shared): Promise<Job> {
  return eventually("its on_end", async () => {
    const { job } = await server.client.get({ id });
    return job!.onEndResult ? job! : undefined;
  });
}

const dirOf = (id: string, server = shared) => new JobDir(join(server.stateDir, "jobs", id));

/** The variables that it was given, without their prefix. */
function told({ onEndResult }: Job): Record<string, string> {
  const lines = onEndResult!.output.matchAll(/^PROCMAN_JOB_(\w+)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name, value]) => [name, value]));
}

const TELL = "env; pwd";

describe("on_end", () => {
  test.each([
    ["exit 0", {}, ["completed", "0", ""]],
    ["exit 3", {}, ["failed", "3", ""]],
    ["kill -9 $$", {}, ["failed", "137", "SIGKILL"]],
    ["sleep 1000", { timeout: { seconds: 0n, nanos: 2e8 } }, ["failed", "143", "SIGTERM"]],
    ["exit 0", { pty: true }, ["completed", "0", ""]],
    ["cat; exit 4", { stdin: true }, ["failed", "4", ""]],
    ["echo x; exit 5", { output: Output.PIPE }, ["failed", "5", ""]],
  ])("of `%s` with %o is told %j", async (script, options, expected) => {
    const { client, stateDir } = shared;
    const request = { ...sh(script), ...onEnd(TELL), workDir: stateDir, name: "it", ...options };
    const { job } = await client.start({ ...request, env: { OWN: "yes" } });
    const { id } = job!;
    if ("stdin" in options) await client.sendInput({ id, close: true });
    const last = await over(id);
    expect(last.onEndResult).toMatchObject({ exitCode: 0, error: "" });
    const { STATUS, EXIT_CODE, SIGNAL, ID, NAME, DIR } = told(last);
    expect([STATUS, EXIT_CODE, SIGNAL]).toEqual(expected);
    expect([ID, NAME, DIR]).toEqual([id, "it", dirOf(id).path]);
    expect(last.onEndResult!.output).toContain("\nOWN=yes\n");
    expect(last.onEndResult!.output.trimEnd().split("\n").at(-1)).toBe(stateDir);
    const { job: ended } = await client.get({ id });
    expect(Status[ended!.status].toLowerCase()).toBe(STATUS);
    expect(ended).toMatchObject({ remainingProcesses: 0, onEnd: sh(TELL) });
    await client.remove({ id });
  });

  test("of a command that could not be executed says so", async ({ skip }) => {
    // An ELF file whose loader does not exist.
    const command = join(shared.stateDir, "program");
    const elf = readFileSync("/bin/true");
    const at = elf.indexOf("/lib64/ld-linux-x86-64.so.2");
    skip(at < 0, "this machine's programs have another loader");
    elf.write("/nope64", at);
    writeFileSync(command, elf, { mode: 0o755 });
    const { job } = await shared.client.start({ command, ...onEnd(TELL) });
    const last = await over(job!.id);
    expect(last.status).toBe(Status.FAILED);
    expect(told(last)["STATUS"]).toBe("failed");
  });

  test("is told what the job is recorded as, however a cancel and the end meet", async () => {
    const { client } = shared;
    const jobs = await Promise.all(
      Array.from({ length: 12 }, async (_, index) => {
        // Some do not end before they are cancelled, however busy the machine is.
        const endsIn = index < 3 ? "1000" : `0.${String(index + 10)}`;
        const script = `trap 'exit 0' TERM; sleep ${endsIn} & wait`;
        const { job } = await client.start({ ...sh(script), ...onEnd(TELL) });
        await client.wait({ id: job!.id, timeout: { seconds: 0n, nanos: 150e6 } });
        await client.cancel({ id: job!.id }).catch(() => {});
        return over(job!.id);
      }),
    );
    const statuses = jobs.map(({ status }) => Status[status].toLowerCase());
    expect(jobs.map((job) => told(job)["STATUS"])).toEqual(statuses);
    expect(statuses).toContain("cancelled");
  });

  test("is run of a job that is killed with all of its processes", async () => {
    const { client } = shared;
    const { job } = await client.start({ ...sh("trap '' TERM; sleep 1000"), ...onEnd(TELL) });
    const { job: cancelled } = await client.cancel({ id: job!.id, gracePeriod: NO_GRACE });
    expect(cancelled!.status).toBe(Status.CANCELLED);
    expect(told(await over(job!.id))).toMatchObject({ STATUS: "cancelled", SIGNAL: "SIGKILL" });
  });

  test("is ended with its children when its time is over", async () => {
    const pid = join(shared.stateDir, "late.pid");
    const late = { ...sh(`sleep 1000 & echo $! >${pid}; echo began; wait`) };
    const timeout = { seconds: 0n, nanos: 3e8 };
    const { job } = await shared.client.start({ command: "true", onEnd: { ...late, timeout } });
    const { onEndResult } = await over(job!.id);
    expect(onEndResult).toMatchObject({
      exitCode: 143,
      error: "timed out after 300 ms",
      output: "began\n",
    });
    await eventually("its child's end", () => !isRunning(Number(readFileSync(pid, "utf8"))));
  });

  test("that is not found, or says very much, is told of all the same", async () => {
    const { client } = shared;
    const { job } = await client.start({ command: "true", onEnd: { command: "nonesuch-procman" } });
    const last = await over(job!.id);
    expect(last).toMatchObject({ status: Status.COMPLETED, onEndResult: { exitCode: 127 } });
    const much = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo ää $i; done; exit 9";
    const { job: other } = await client.start({ command: "true", ...onEnd(much) });
    const { onEndResult } = await over(other!.id);
    expect(onEndResult!.exitCode).toBe(9);
    expect(Buffer.byteLength(onEndResult!.output)).toBeLessThanOrEqual(4096);
    expect(onEndResult!.output.endsWith("ää 2000\n")).toBe(true);
    expect(onEndResult!.output).not.toContain("\uFFFD");
  });

  test("keeps its job from being removed while it runs, unless that is asked for", async () => {
    const { client } = shared;
    const { job } = await client.start({ command: "true", ...onEnd("echo began; sleep 1000") });
    const { id } = job!;
    await client.wait({ id });
    await eventually("its beginning", () => {
      return existsSync(dirOf(id).onEndLog) && readFileSync(dirOf(id).onEndLog, "utf8") !== "";
    });
    expect(await errorOf(client.remove({ id }))).toMatchObject({ reason: "JOB_HAS_PROCESSES" });
    const { job: running } = await client.get({ id });
    // It is none that the command has left behind.
    expect(running).toMatchObject({ status: Status.COMPLETED, remainingProcesses: 0 });
    const ender = Number(readFileSync(dirOf(id).onEndRunner, "utf8").split(" ")[0]);
    await client.remove({ id, includeRemaining: true });
    await eventually("its end", () => !isRunning(ender));
  });

  test("holds for a job that is started again, and is checked as a command is", async () => {
    const { client } = shared;
    const { job } = await client.start({ command: "true", ...onEnd(TELL) });
    const { job: again } = await client.restart({ id: job!.id });
    expect(again!.onEnd).toMatchObject(sh(TELL));
    expect(told(await over(again!.id))["ID"]).toBe(again!.id);
    const wrong = { command: "", args: ["\0"], timeout: { seconds: 4000n, nanos: 0 } };
    expect(await errorOf(client.start({ command: "true", onEnd: wrong }))).toMatchObject({
      fields: ["on_end.command", "on_end.args[0]", "on_end.timeout"],
    });
  });
});

describe("a kill of the server in the middle of a Cancel", () => {
  async function crashedAt(point: string, script: string) {
    const server = TestServer.prepare();
    await server.start({ env: { PROCMAN_CRASH_AT: point } });
    const { stateDir, client } = server;
    const request = { ...sh(script), ...onEnd(TELL), workDir: stateDir };
    const { job } = await client.start(request);
    const { id } = job!;
    const record = dirOf(id, server).record;
    await eventually("the record", () => readFileSync(record, "utf8").includes('"running"'));
    await expect(client.cancel({ id })).rejects.toThrow();
    expect(await server.ended()).toBe("SIGKILL");
    return { server, id };
  }

  // The first atomic write is that of the running record, the second that of the intent.
  test.each(["atomic-file:renamed@2", "stop:recorded", "stop:signalled"])(
    "at %s: on_end is told of the cancel, which the next one carries on",
    async (point) => {
      const { server, id } = await crashedAt(point, "trap 'exit 0' TERM; sleep 1000 & wait");
      await server.start();
      const last = await over(id, server);
      expect(last).toMatchObject({ status: Status.CANCELLED, exitCode: 0 });
      expect(told(last)).toMatchObject({ STATUS: "cancelled", EXIT_CODE: "0" });
    },
  );

  test("and the end of the command by itself: the record has what on_end was told", async () => {
    const script = "until [ -e go ]; do sleep 0.02; done; exit 0";
    const { server, id } = await crashedAt("atomic-file:renamed@2", script);
    writeFileSync(join(server.stateDir, "go"), "");
    await eventually("its on_end", () => existsSync(dirOf(id, server).onEndEnded));
    await server.start();
    const last = await over(id, server);
    expect(last.status).toBe(Status.COMPLETED);
    expect(told(last)["STATUS"]).toBe("completed");
  });
});

describe("a kill in the middle of on_end", () => {
  /** Runs once, when the file `go` is there. */
  const once = onEnd("echo ran >>runs; until [ -e go ]; do sleep 0.02; done; echo done; exit 6");

  test("of the server: it goes on, and the next one tells of it", async () => {
    const server = await TestServer.start();
    const { stateDir, client } = server;
    const { job } = await client.start({ ...sh("exit 2"), ...once, workDir: stateDir });
    const { id } = job!;
    await client.wait({ id });
    await eventually("its beginning", () => existsSync(join(stateDir, "runs")));
    await server.restart();
    expect((await server.client.get({ id })).job!.onEndResult).toBeUndefined();
    await server.kill();
    writeFileSync(join(stateDir, "go"), "");
    await eventually("its end", () => existsSync(dirOf(id, server).onEndEnded));
    await server.start();
    const last = await over(id, server);
    expect(last).toMatchObject({ status: Status.FAILED, exitCode: 2 });
    expect(last.onEndResult).toMatchObject({ exitCode: 6, error: "", output: "done\n" });
    await server.restart();
    expect((await over(id, server)).onEndResult).toEqual(last.onEndResult);
    expect(readFileSync(join(stateDir, "runs"), "utf8")).toBe("ran\n");
  });

  test("of the server before the command ends: no server is needed", async () => {
    const server = await TestServer.start();
    const { stateDir } = server;
    const script = "until [ -e end ]; do sleep 0.02; done; exit 2";
    const request = {
      ...sh(script),
      ...onEnd("echo $PROCMAN_JOB_STATUS >>runs"),
      workDir: stateDir,
    };
    const { job } = await server.client.start(request);
    await server.kill();
    writeFileSync(join(stateDir, "end"), "");
    await eventually("its end", () => existsSync(dirOf(job!.id, server).onEndEnded));
    expect(readFileSync(join(stateDir, "runs"), "utf8")).toBe("failed\n");
    await server.start();
    expect((await over(job!.id, server)).onEndResult).toMatchObject({ exitCode: 0 });
  });

  test("of the runner: the job is orphaned, and nothing is run", async () => {
    const { client } = shared;
    const { job } = await client.start({ ...sh("exec sleep 1000"), ...onEnd("echo ran") });
    const { id } = job!;
    const record = readProcessRecord(dirOf(id));
    if (record.kind !== "complete") throw new Error(record.kind);
    process.kill(record.runner.pid, "SIGKILL");
    await endProcess(record.command.pid);
    const last = await over(id);
    expect(last.status).toBe(Status.ORPHANED);
    expect(last.onEndResult).toMatchObject({ output: "" });
    expect(last.onEndResult!.exitCode).toBeUndefined();
    expect(last.onEndResult!.error).toMatch("it was not run");
  });

  test("of what runs it: that its end is not known is told", async () => {
    const { client, stateDir } = shared;
    const pidFile = join(stateDir, "hook.pid");
    const script = `echo $$ >${pidFile}.new; mv ${pidFile}.new ${pidFile}; exec sleep 1000`;
    const { job } = await client.start({ command: "true", ...onEnd(script) });
    const { id } = job!;
    await eventually("its beginning", () => existsSync(pidFile));
    const pid = Number(readFileSync(pidFile, "utf8"));
    onTestFinished(() => endProcess(pid));
    const ender = Number(readFileSync(dirOf(id).onEndRunner, "utf8").split(" ")[0]);
    await endProcess(ender);
    const { onEndResult } = await over(id);
    expect(onEndResult!.error).toMatch("before its end was recorded");
    expect(onEndResult!.startedTime).toBeDefined();
    expect(onEndResult!.exitCode).toBeUndefined();
  });
});
