import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { JobScripts } from "../../../src/engine/local/runner/job-scripts.js";
import type { JobSpec } from "../../../src/contract/job.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { readProcessRecord } from "../../../src/engine/local/runner/runner-records.js";
import { ProcessSurvey } from "../../../src/engine/local/process/process-survey.js";
import { isAlive, processTable } from "../../../src/engine/local/process/processes.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { LocalJobProcess } from "../../../src/engine/local/local-job-process.js";
import { Ticker } from "../../../src/platform/ticker.js";
import { StandbyRunner } from "../../../src/engine/local/runner/standby-runner.js";
import { prepareCommand } from "../../../src/engine/local/runner/prepare-command.js";
import { eventually } from "../../helpers/eventually.js";
import { needsCgroup } from "../../helpers/machine.js";
import { someSpec } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

const NEWLINE = 10;
const never = new AbortController().signal;

function newEngine(): LocalEngine {
  const engine = new LocalEngine({ pollIntervalMs: 50 });
  return engine;
}

/** A job's directory, as storage makes it; what still runs in it is ended afterwards. */
function jobDir(engine: LocalEngine): JobDir {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path, { mode: 0o700 });
  writeFileSync(join(dir.path, "stdout.log"), "");
  writeFileSync(join(dir.path, "stderr.log"), "");
  onTestFinished(async () => {
    await engine.open(dir).stop(0, never);
    await eventually(
      "the job's end",
      async () => (await engine.open(dir).inspect()).kind !== "alive",
    );
    engine.open(dir).release();
  });
  return dir;
}

function spec(command: string, args: string[] = [], rest: Partial<JobSpec> = {}): JobSpec {
  return someSpec({ id: `test-${Math.random().toString(36).slice(2)}`, command, args, ...rest });
}

async function start(engine: LocalEngine, dir: JobDir, wanted: JobSpec) {
  return (await (await engine.prepare(wanted)).start(dir)).started;
}

function identity(dir: JobDir) {
  const record = readProcessRecord(dir);
  if (record.kind !== "complete") throw new Error(`the process record is ${record.kind}`);
  return record;
}

/** A process that is nobody's job. */
async function stranger(): Promise<{ child: ChildProcess; stat: string }> {
  const child = spawn("sleep", ["1000"], { detached: true, stdio: "ignore" });
  onTestFinished(async () => {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  await once(child, "spawn");
  return { child, stat: readFileSync(`/proc/${child.pid}/stat`, "utf8").trim() };
}

const onLinux = describe.skipIf(process.platform !== "linux");
const onLinuxTest = test.skipIf(process.platform !== "linux");

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    return "";
  }
}

describe("how a command is found and what it gets", () => {
  test("its environment is the server's and what was added", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(engine, dir, spec("env", [], { env: { ADDED: "1", "odd.name-x": "kept" } }));
    await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
    const lines = readFileSync(join(dir.path, "stdout.log"), "utf8").split("\n");
    expect(lines).toContain("ADDED=1");
    expect(lines).toContain("odd.name-x=kept");
    expect(lines).toContain(`PATH=${process.env["PATH"]}`);
  });

  test("cleared, it is what was given and nothing else", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(engine, dir, spec("env", [], { clearEnv: true, env: { ONLY: "this" } }));
    await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
    expect(readFileSync(join(dir.path, "stdout.log"), "utf8")).toBe("ONLY=this\n");
  });

  test("it is exact, whatever names a shell or the runner has for things of its own", async () => {
    const engine = newEngine();
    const env = {
      dir: "1",
      boot: "2",
      me: "3",
      procman_dir: "4",
      procman_code: "5",
      IFS: "x",
      OPTIND: "abc",
      PPID: "7",
      UID: "8",
      SHLVL: "9",
      PWD: "/elsewhere",
      _: "it's",
      ENV: "/x",
      "a.b": "odd\nand 'quoted' $HOME `id`",
      LD_LIBRARY_PATH: "/nowhere",
      PS4: "",
    };
    for (const clearEnv of [true, false]) {
      const dir = jobDir(engine);
      await start(engine, dir, spec("env", ["-0"], { clearEnv, env }));
      await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
      const printed = readFileSync(join(dir.path, "stdout.log"), "utf8").split("\0").slice(0, -1);
      const found = Object.fromEntries(
        printed.map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1)]),
      );
      if (clearEnv) expect(found).toEqual(env);
      else expect(found).toMatchObject(env);
      expect(existsSync(join(dir.path, "env"))).toBe(false);
    }
  });

  onLinuxTest("none of it is an argument that everybody can see", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    const env = { "npm_config_//registry/:_authToken": "S3CRET" };
    await start(engine, dir, spec("sleep", ["1000"], { env }));
    // But for the moment in which env(1) becomes the command.
    const { pid } = identity(dir).command;
    await eventually("the command", () => commandLine(pid).startsWith("sleep"));
    const titles = processTable()
      .all()
      .map(({ pid }) => commandLine(pid));
    expect(titles.filter((title) => title.includes("S3CRET"))).toEqual([]);
  });

  test("without a PATH the command is the one that was found", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(engine, dir, spec("sh", ["-c", "exit 3"], { clearEnv: true }));
    await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
    expect(await engine.open(dir).inspect()).toMatchObject({ exitCode: 3 });
  });

  test("too much of it is refused, and the field named", async () => {
    const engine = newEngine();
    const long = "x".repeat(200_000);
    for (const env of [{ LONG: long }, { "odd.name": long }]) {
      await expect(start(engine, jobDir(engine), spec("true", [], { env }))).rejects.toMatchObject({
        reason: "INVALID_ARGUMENT",
        violations: [{ field: "env" }],
      });
    }
  });

  test("it is looked up on the job's own PATH", async () => {
    const engine = newEngine();
    const bin = tempDir();
    writeFileSync(join(bin, "only-here"), "#!/bin/sh\necho found\n", { mode: 0o755 });
    await expect(engine.prepare(spec("only-here"))).rejects.toMatchObject({
      reason: "COMMAND_NOT_FOUND",
    });
    const dir = jobDir(engine);
    await start(engine, dir, spec("only-here", [], { env: { PATH: `${bin}:/bin:/usr/bin` } }));
    await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
    expect(readFileSync(join(dir.path, "stdout.log"), "utf8")).toBe("found\n");
  });
});

onLinux("whose process it is", () => {
  test("another start time on the same pid is another process: it is not signalled", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    const { child, stat } = await stranger();
    const fields = stat.split(" ");
    fields[21] = String(Number(fields[21]) - 1);
    const forged = fields.join(" ");
    writeFileSync(
      join(dir.path, "process"),
      `${processTable().bootId()}\n${forged}\n${forged}\ncgroup \n`,
    );
    expect(await engine.open(dir).inspect()).toMatchObject({ kind: "gone" });
    expect(await engine.open(dir).signal("KILL")).toBe(false);
    await engine.open(dir).stop(10, never);
    expect(child.exitCode ?? child.signalCode).toBeNull();
    expect(processTable().lookup(child.pid as number)).toBeDefined();
  });

  test("another boot's process is another process", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    const { child, stat } = await stranger();
    writeFileSync(join(dir.path, "process"), `another-boot\n${stat}\n${stat}\ncgroup \n`);
    expect(await engine.open(dir).inspect()).toMatchObject({
      kind: "gone",
      reason: expect.stringContaining("machine was restarted"),
    });
    expect(await engine.open(dir).signal("KILL")).toBe(false);
    await engine.open(dir).stop(10, never);
    expect(processTable().lookup(child.pid as number)).toBeDefined();
  });

  test("a command whose runner was killed runs on, can be signalled and stopped, then is gone", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(
      engine,
      dir,
      spec("sh", ["-c", "trap 'echo got' USR1; while :; do sleep 0.05; done"]),
    );
    const { bootId, runner, command } = identity(dir);
    process.kill(runner.pid, "SIGKILL");
    await eventually("the runner's end", () => !isAlive(bootId, runner));
    expect(await engine.open(dir).inspect()).toMatchObject({ kind: "alive", recorded: false });
    await eventually("the trap", async () => {
      await engine.open(dir).signal("USR1");
      return readFileSync(join(dir.path, "stdout.log"), "utf8").includes("got");
    });
    await engine.open(dir).stop(100, never);
    expect(isAlive(bootId, command)).toBe(false);
    expect(await engine.open(dir).inspect()).toMatchObject({
      kind: "gone",
      reason: expect.stringContaining(`process ${runner.pid}`),
    });
  });
});

onLinux("ending a job", () => {
  /** Runs a script, waits for its word that it is ready, stops it, and sees that all are gone. */
  async function stopScript(script: string, graceMs = 50): Promise<string> {
    const engine = newEngine();
    const dir = jobDir(engine);
    const marker = `procman-test-${Math.random().toString(36).slice(2)}`;
    await start(engine, dir, spec("bash", ["-c", script, marker], { env: { MARKER: marker } }));
    await eventually("the script to be ready", () =>
      readFileSync(join(dir.path, "stdout.log"), "utf8").includes("ready"),
    );
    await engine.open(dir).stop(graceMs, never);
    await eventually(
      "the exit record",
      async () => (await engine.open(dir).inspect()).kind === "exited",
    );
    expect(processesWithMarker(marker)).toEqual([]);
    return readFileSync(join(dir.path, "stdout.log"), "utf8");
  }

  function processesWithMarker(marker: string): number[] {
    return processTable()
      .all()
      .filter(({ pid, zombie }) => !zombie && environment(pid).includes(`MARKER=${marker}`))
      .map(({ pid }) => pid);
  }

  function environment(pid: number): string {
    try {
      return readFileSync(`/proc/${pid}/environ`, "latin1");
    } catch {
      return "";
    }
  }

  test("politely, where it listens", async () => {
    const script = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done";
    expect(await stopScript(script, 20_000)).toContain("bye");
  });

  test.each([
    ["that ignores SIGTERM", "trap '' TERM; echo ready; while :; do sleep 0.05; done"],
    ["with children that ignore it", "(trap '' TERM; sleep 1000) & trap '' TERM; echo ready; wait"],
    [
      "that is stopped",
      "(trap '' TERM; kill -STOP $BASHPID; sleep 1000) & echo ready; kill -STOP $$",
    ],
    [
      "whose children have groups of their own",
      "set -m; trap '' TERM; sleep 1000 & sleep 1000 & echo ready; wait",
    ],
    [
      "whose child died politely but left a grandchild",
      "(trap '' TERM; (sleep 1000) & wait) & echo ready; wait",
    ],
    [
      "that forks all the time",
      "trap '' TERM; f() { sleep 0.01; f & f & }; echo ready; for i in 1 2 3 4; do while :; do (sleep 1000 &) ; sleep 0.002; done & done; wait",
    ],
  ])("a command %s", async (_name, script) => {
    await stopScript(script);
  });

  test("a command in a session of its own", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(engine, dir, spec("setsid", ["sleep", "1000"]));
    const { bootId, command } = identity(dir);
    await engine.open(dir).stop(20_000, never);
    expect(isAlive(bootId, command)).toBe(false);
  });

  test("where there is a cgroup, a grandchild that called setsid too", async ({ skip }) => {
    const engine = newEngine();
    const dir = jobDir(engine);
    const started = await start(
      engine,
      dir,
      spec("bash", ["-c", "setsid bash -c 'trap \"\" TERM; echo $$; sleep 1000; :' & wait"]),
    );
    needsCgroup(started.containment === "cgroup", skip);
    const pid = Number(
      await eventually("its pid", () => readFileSync(join(dir.path, "stdout.log"), "utf8")),
    );
    expect(processTable().lookup(pid)).toBeDefined();
    await engine.open(dir).stop(50, never);
    expect(processTable().lookup(pid)?.zombie ?? true).toBe(true);
    const { cgroup } = identity(dir);
    await eventually(
      "the exit record",
      async () => (await engine.open(dir).inspect()).kind === "exited",
    );
    engine.open(dir).release();
    await eventually("its cgroup to be deleted", () => !existsSync(cgroup));
  });
});

test("an end that came before anybody watched is told of, by the one that started it too", async () => {
  const engine = newEngine();
  const dir = jobDir(engine);
  const { process } = await (await engine.prepare(spec("true"))).start(dir);
  await eventually("the end", async () => (await process.inspect()).kind === "exited");
  for (const each of [process, engine.open(dir)]) {
    const told = vi.fn<() => void>();
    onTestFinished(each.onEnd(told));
    expect(told).not.toHaveBeenCalled();
    // Of its own child the kernel tells a moment after the record.
    await eventually("the notice", () => told.mock.calls.length > 0);
  }
});

describe("giving a start up", () => {
  test("where no terminal is to be had, what script(1) said of that is told", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    const script = join(tempDir(), "script");
    writeFileSync(script, "#!/bin/sh\necho 'script: no more of them' >&2\nexit 1\n", {
      mode: 0o755,
    });
    const command = prepareCommand(spec("true", [], { pty: true }));
    const programs = () => new JobScripts(undefined).programs();
    const shared = {
      ticker: new Ticker(50),
      survey: new ProcessSurvey(),
      standby: new StandbyRunner(programs),
      programs,
      bareExit: () => undefined,
    };
    await expect(LocalJobProcess.start(dir, { ...command, script }, shared)).rejects.toMatchObject({
      reason: "PROCESS_LIMIT",
      message: expect.stringMatching(/terminal could not be made: script: no more of them$/),
    });
  });

  test("what was not started never will be", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    expect(await engine.open(dir).abandon()).toBe(true);
    await expect(start(engine, dir, spec("touch", [join(dir.path, "ran")]))).rejects.toThrow();
    expect(existsSync(join(dir.path, "ran"))).toBe(false);
    expect(await engine.open(dir).abandon()).toBe(true);
  });

  test("what was started is not given up", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(engine, dir, spec("sleep", ["1000"]));
    expect(await engine.open(dir).abandon()).toBe(false);
  });

  test("a process record cut at any byte is not taken for one, nor for an exit", async () => {
    const engine = newEngine();
    const dir = jobDir(engine);
    await start(engine, dir, spec("sh", ["-c", "exit 3"]));
    await eventually("the end", async () => (await engine.open(dir).inspect()).kind === "exited");
    const copy = jobDir(engine);
    const exit = readFileSync(join(dir.path, "exit"));
    const record = readFileSync(join(dir.path, "process"));
    // It is written over what was there before, of which something is left.
    const exitEnd = exit.toString().split("\n", 3).join("\n").length + 1;
    const commandEnd = record.toString().split("\n", 4).join("\n").length + 1;
    for (let length = 0; length < commandEnd; length += 1) {
      writeFileSync(join(copy.path, "process"), record.subarray(0, length));
      expect((await engine.open(copy).inspect()).kind, `process ${length}`).toBe("not-started");
    }
    writeFileSync(join(copy.path, "process"), record);
    for (let length = 0; length <= exit.length; length += 1) {
      writeFileSync(join(copy.path, "exit"), exit.subarray(0, length));
      const seen = await engine.open(copy).inspect();
      const isWhole = length >= exitEnd || exit[length - 1] === NEWLINE;
      const expected = isWhole ? { exitCode: 3 } : { kind: "gone" };
      expect(seen, `exit ${length}`).toMatchObject(expected);
    }
    // It looks for a runner in all of /proc some 400 times, and others may run much.
  }, 300_000);
});
