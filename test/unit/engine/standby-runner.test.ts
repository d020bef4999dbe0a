import { execFileSync, spawn } from "node:child_process";
import {
  chmodSync,
  closeSync,
  cpSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { PACKAGE_SCRIPTS_DIR } from "../../../src/engine/local/runner/job-scripts.js";
import type { JobSpec } from "../../../src/contract/job.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { LocalEngine, type LocalEngineOptions } from "../../../src/engine/local/local-engine.js";
import { NATIVE_RUNNER } from "../../../src/engine/local/runner/native-runner.js";
import { prepareCommand } from "../../../src/engine/local/runner/prepare-command.js";
import {
  runnerInstructions,
  waitingRunner,
} from "../../../src/engine/local/runner/runner-command.js";
import {
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import { eventually } from "../../helpers/eventually.js";
import { mounted } from "../../helpers/disks.js";
import { isRoot, needsCgroup } from "../../helpers/machine.js";
import { hasNativeRunner } from "../../helpers/native-runner.js";
import {
  addNativeRunner,
  type RunnerPackage,
  runnerPackage,
} from "../../helpers/runner-package.js";
import { shells } from "../../helpers/shells.js";
import { someSpec } from "../../helpers/records.js";
import { tempDir } from "../../helpers/temp-dir.js";

const DIST = join(import.meta.dirname, "../../../dist/src/index.js");
const never = new AbortController().signal;
const onLinux = describe.skipIf(process.platform !== "linux");

function spec(command: string, args: string[] = [], rest: Partial<JobSpec> = {}): JobSpec {
  const id = `test-${Math.random().toString(36).slice(2)}`;
  return someSpec({ id, command, args, workDir: process.cwd(), ...rest });
}

function newDir(): JobDir {
  const dir = new JobDir(join(tempDir(), "job"));
  mkdirSync(dir.path, { mode: 0o700 });
  for (const stream of ["stdout", "stderr"] as const) writeFileSync(dir.log(stream), "");
  return dir;
}

function newEngineOf(options: Partial<LocalEngineOptions> = {}): LocalEngine {
  const engine = new LocalEngine({ pollIntervalMs: 50, ...options });
  onTestFinished(async () => {
    await engine.close();
    await eventually("its runner's end", () => waiting().length === 0);
  });
  return engine;
}

async function start(engine: LocalEngine, wanted: JobSpec): Promise<JobDir> {
  const dir = newDir();
  onTestFinished(async () => {
    await engine.open(dir).stop(0, never);
    engine.open(dir).release();
  });
  await (await engine.prepare(wanted)).start(dir);
  return dir;
}

function words(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1").split("\0").slice(0, -1);
  } catch {
    return [];
  }
}

/** The runners that wait for a job, of this process or of another. */
function waiting(parent = process.pid): number[] {
  const children = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
  return children.split("\n").flatMap((line) => {
    const [pid, ppid] = line.trim().split(/\s+/).map(Number);
    if (pid === undefined || ppid !== parent) return [];
    const [program = "", script = "", dir] = words(pid);
    const isRunner =
      program.endsWith(NATIVE_RUNNER) || (script.endsWith("runner.sh") && dir === "");
    return isRunner && isToBeTold(pid) ? [pid] : [];
  });
}

/** Whether a process still has what it is told by as its standard input. */
function isToBeTold(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/fd/0`).startsWith("pipe:");
  } catch {
    return false;
  }
}

/** The pid of the one that waits, once it does and its engine has been told so. */
function oneWaits(): Promise<number> {
  let before: number | undefined;
  return eventually("a runner that waits", () => {
    const [found] = waiting();
    const isSeenTwice = found !== undefined && found === before;
    before = found;
    return isSeenTwice ? found : undefined;
  });
}

/** Whether that process is a native runner. */
function isNative(pid: number): boolean {
  return words(pid)[0]?.endsWith(NATIVE_RUNNER) ?? false;
}

function runnerOf(dir: JobDir): number {
  const record = readProcessRecord(dir);
  if (record.kind !== "complete") throw new Error(`the process record is ${record.kind}`);
  return record.runner.pid;
}

function cgroupOf(dir: JobDir): string {
  const record = readProcessRecord(dir);
  return record.kind === "complete" ? record.cgroup : "";
}

/** Prints all that a command has from its runner, but for what some shells set on the way. */
const TELLS = `
for word; do printf '[%s]' "$word"; done
echo; umask; pwd; readlink /proc/self/cwd; ulimit -a
readlink /proc/self/fd/0; ls /proc/self/fd | tr '\\n' ' '; echo
tr '\\0' '\\n' </proc/$$/environ | grep -vE '^(_|SHLVL)=' | sort`;

async function toldBy(engine: LocalEngine, rest: Partial<JobSpec>, args: string[]) {
  const dir = await start(engine, spec("/bin/sh", ["-c", TELLS, "sh", ...args], rest));
  await eventually("the end", () => readExitRecord(dir.exit));
  expect(readExitRecord(dir.exit)?.exitCode).toBe(0);
  return { runner: runnerOf(dir), output: readFileSync(dir.log("stdout"), "utf8") };
}

const ODD_WORDS = [
  "",
  "it's",
  '$HOME `id` \\ "x"',
  "a\nb\n",
  "\u0081\u0088é\u{1f600}",
  "}",
  "-n",
  "\u0001\u007f",
];

/** The packages whose runners wait: without the native one, where there is none. */
const packages: RunnerPackage[] = hasNativeRunner() ? ["shell", "native"] : ["shell"];

onLinux.each(packages)("a runner that waits for its job: %s", (which) => {
  const newEngine = () => newEngineOf({ packageDir: runnerPackage(which) });

  test.each([
    ["nothing of its own", {}],
    [
      "variables of its own",
      { env: { ADDED: "it's\n$x", HOME: "/elsewhere", "a.b": "1", IFS: "x" } },
    ],
    ["a directory of its own", { workDir: "/usr/bin" }],
    ["a PATH of its own", { env: { PATH: "/usr/bin:/bin:/odd dir" } }],
    ["one log", { mergeOutput: true }],
  ] as [string, Partial<JobSpec>][])(
    "gives a command with %s what any runner gives it",
    async (_, rest) => {
      const shell = newEngineOf({ packageDir: runnerPackage("shell") });
      const expected = await toldBy(shell, rest, ODD_WORDS);
      await shell.close();
      await eventually("the end of the runner that waits", () => waiting().length === 0);
      const engine = newEngine();
      const cold = await toldBy(engine, rest, ODD_WORDS);
      const standby = await oneWaits();
      expect(isNative(standby)).toBe(which === "native");
      const found = await toldBy(engine, rest, ODD_WORDS);
      expect(found.runner).toBe(standby);
      expect(cold.runner).not.toBe(standby);
      expect(cold.output).toBe(expected.output);
      expect(found.output).toBe(expected.output);
      expect(found.output).toContain("[it's]");
    },
  );

  test("is taken where its environment has too much, unless it cannot lose that", async () => {
    const engine = newEngine();
    await start(engine, spec("true"));
    const standby = await oneWaits();
    const cleared = { clearEnv: true, env: { ONLY: "1" } };
    const dir = await start(engine, spec("env", [], cleared));
    expect(runnerOf(dir) === standby).toBe(which === "native");
    await eventually("the end", () => readExitRecord(dir.exit));
    expect(readFileSync(dir.log("stdout"), "utf8")).toBe("ONLY=1\n");
    expect(waiting().includes(standby)).toBe(which === "shell");
  });

  test.each([
    ["a terminal", { pty: true }],
    ["input", { stdin: true }],
    ["pipes", { output: "pipe" }],
    ["something to run at its end", { onEnd: { command: "true", args: [], timeoutMs: 10_000 } }],
    ["a limit of its own kind", { limits: { openFilesMax: 64 } }],
  ] as [string, Partial<JobSpec>][])("leaves a job with %s to the right one", async (_, rest) => {
    const engine = newEngine();
    await start(engine, spec("true"));
    const standby = await oneWaits();
    const dir = await start(engine, spec("sh", ["-c", "echo ran; sleep 1000"], rest));
    expect(words(runnerOf(dir)).join(" ")).toContain("runner.sh");
    if (which === "native") expect(waiting()).toEqual([standby]);
    await eventually("its output", () =>
      /^ran\r?\n$/.test(readFileSync(dir.log("stdout"), "utf8")),
    );
    expect(readFileSync(dir.log("stderr"), "utf8")).toBe("");
  });

  test("that was killed is not missed", async () => {
    const engine = newEngine();
    await start(engine, spec("true"));
    process.kill(await oneWaits(), "SIGKILL");
    // Whether or not its end is known by then, or even that it was started.
    await start(engine, spec("true"));
    const standby = await eventually("the next one that waits", async () => {
      const [found] = waiting();
      if (found === undefined) await start(engine, spec("true"));
      return found;
    });
    process.kill(standby, "SIGKILL");
    await eventually("its end", () => words(standby).length === 0);
    expect((await toldBy(engine, {}, ["x"])).output).toContain("[x]");
  });

  test("that cannot enter the directory is not why a Start fails", async () => {
    const engine = newEngine();
    await start(engine, spec("true"));
    await oneWaits();
    const workDir = join(tempDir(), "gone");
    mkdirSync(workDir);
    const dir = newDir();
    const prepared = await engine.prepare(spec("true", [], { workDir }));
    rmdirSync(workDir);
    await expect(prepared.start(dir)).rejects.toMatchObject({ reason: "WORK_DIR_NOT_FOUND" });
  });

  test("is no longer in the job's cgroup when that is ended, of which none is left", async ({
    skip,
  }) => {
    const engine = newEngine();
    const first = await start(engine, spec("true"));
    needsCgroup(cgroupOf(first) !== "", skip);
    const standby = await oneWaits();
    const dir = await start(engine, spec("sleep", ["1000"]));
    expect(runnerOf(dir)).toBe(standby);
    const cgroup = cgroupOf(dir);
    // A shell has waited in it, and is moved out, so that all the rest can be killed at once.
    const members = readFileSync(join(cgroup, "cgroup.procs"), "utf8").split("\n");
    expect(members.includes(`${standby}`)).toBe(which === "shell");
    await engine.open(dir).stop(0, never);
    await eventually("the record of its end", () => readExitRecord(dir.exit));
    expect(readExitRecord(dir.exit)?.signal).toBe("SIGKILL");
    engine.open(dir).release();
    await engine.close();
    const left = () =>
      readdirSync(dirname(cgroup)).filter((name) => name.includes(`s${process.pid}x`));
    await eventually("the end of all cgroups", () => left().length === 0);
  });

  test("ends when its engine is closed", async () => {
    const engine = newEngine();
    await start(engine, spec("true"));
    const standby = await oneWaits();
    await engine.close();
    await eventually("its end", () => words(standby).length === 0);
  });

  test.each([
    ["", {}],
    [", with input", { stdin: true }],
    [", in a terminal", { pty: true }],
  ] as [string, Partial<JobSpec>][])(
    "nobody sees a command's arguments in its runner's%s",
    async (_, rest) => {
      const engine = newEngine();
      for (let round = 0; round < 2; round += 1) {
        const dir = await start(engine, spec("sleep", ["1000.25"], rest));
        const isByNative = which === "native" && !rest.stdin && !rest.pty;
        const runner = isByNative ? NATIVE_RUNNER : "runner.sh";
        expect(words(runnerOf(dir)).join(" ")).toContain(runner);
        expect(words(runnerOf(dir)).join(" ")).not.toContain("1000.25");
        await eventually("the end of env", () => !readdirSync(dir.path).includes("env"));
      }
    },
  );

  test("more arguments than may be told go another way", async () => {
    const engine = newEngine();
    await start(engine, spec("true"));
    await oneWaits();
    const args = Array.from({ length: 20 }, (_, i) => String(i % 10).repeat(100_000));
    for (const count of [1, 5, 15]) {
      const dir = await start(
        engine,
        spec("sh", ["-c", 'echo $# "${#1}"', "sh", ...args.slice(0, count)]),
      );
      await eventually("the end", () => readExitRecord(dir.exit));
      expect(readFileSync(dir.log("stdout"), "utf8")).toBe(`${count} 100000\n`);
    }
  });
});

onLinux("a runner that waits", () => {
  test("ends when its process is killed", async () => {
    const script = `
      const { Manager } = await import(${JSON.stringify(DIST)});
      const manager = await Manager.open({ stateDir: ${JSON.stringify(join(tempDir(), "state"))} });
      await manager.start({ command: "true" });
      console.log("started");
      setInterval(() => {}, 1000);`;
    const server = spawn(process.execPath, ["--input-type=module", "-e", script]);
    onTestFinished(() => void server.kill("SIGKILL"));
    const standby = await eventually("its runner", () => waiting(server.pid)[0]);
    server.kill("SIGKILL");
    await eventually("its end", () => words(standby).length === 0);
  });

  test("is known for a job's from its logs, before it has recorded who it is", async () => {
    const dir = newDir();
    const job = newEngineOf().open(dir);
    writeFileSync(dir.process, "");
    expect(await job.inspect()).toEqual({ kind: "not-started" });
    for (const stream of ["stdout", "stderr"] as const) {
      const log = openSync(dir.log(stream), "a");
      const child = spawn("sleep", ["1000"], { stdio: ["ignore", "ignore", log] });
      onTestFinished(() => void child.kill("SIGKILL"));
      closeSync(log);
      await eventually("its log", async () => (await job.inspect()).kind === "starting");
      child.kill("SIGKILL");
      await eventually("its end", async () => (await job.inspect()).kind === "not-started");
    }
  });
});

describe.skipIf(!hasNativeRunner())("a package's native runner", () => {
  /** Whether native ones run an engine's next job, and the one after it, whose runner waits. */
  async function areNative(engine: LocalEngine): Promise<boolean[]> {
    const found = [];
    for (let jobs = 0; jobs < 2; jobs += 1) {
      found.push(isNative(await runnerOfNext(engine)));
      await oneWaits();
    }
    return found;
  }

  async function runnerOfNext(engine: LocalEngine): Promise<number> {
    const dir = await start(engine, spec("sh", ["-c", "echo ran; sleep 1000"]));
    await eventually("its output", () => readFileSync(dir.log("stdout"), "utf8") === "ran\n");
    expect(readFileSync(dir.log("stderr"), "utf8")).toBe("");
    return runnerOf(dir);
  }

  test("runs jobs, the first one too", async () => {
    expect(await areNative(newEngineOf({ packageDir: runnerPackage("native") }))).toEqual([
      true,
      true,
    ]);
  });

  test.each([
    ["has no mode of a program", (path: string) => chmodSync(path, 0o644)],
    ["is no program", (path: string) => writeFileSync(path, "")],
    ["is a directory", (path: string) => (rmSync(path), mkdirSync(path))],
  ])("is no reason not to run a job where it %s", async (_, spoil) => {
    const packageDir = runnerPackage("native");
    spoil(join(packageDir, NATIVE_RUNNER));
    expect(await areNative(newEngineOf({ packageDir }))).toEqual([false, false]);
  });

  test.skipIf(!isRoot())("nor where nothing can be executed in its file system", async () => {
    const packageDir = mounted("tmpfs", "noexec,size=1m,mode=700");
    cpSync(runnerPackage("native"), packageDir, { recursive: true });
    expect(await areNative(newEngineOf({ packageDir }))).toEqual([false, false]);
  });

  test.each([
    // As another version does, it ends: at once, or when it has read its instructions.
    ["knows nothing of jobs", (path: string) => cpSync("/bin/true", path, { dereference: true })],
    ["runs none", (path: string) => cpSync("/bin/cat", path, { dereference: true })],
    ["is damaged, and crashes", (path: string) => truncateSync(path, 1000)],
  ])("nor where it %s", async (_, spoil) => {
    const packageDir = runnerPackage("native");
    spoil(join(packageDir, NATIVE_RUNNER));
    const engine = newEngineOf({ packageDir });
    for (let jobs = 0; jobs < 3; jobs += 1) {
      expect(isNative(await runnerOfNext(engine))).toBe(false);
    }
  });

  test("is as gone for a server that runs as its package, unless that may copy it", async () => {
    const packageDir = runnerPackage("native");
    const scriptCopiesDir = join(tempDir(), "scripts");
    const engines = [newEngineOf({ packageDir, scriptCopiesDir }), newEngineOf({ packageDir })];
    rmSync(join(packageDir, NATIVE_RUNNER));
    for (const [engine, isCopied] of [
      [engines[0], true],
      [engines[1], false],
    ] as [LocalEngine, boolean][]) {
      expect(await areNative(engine)).toEqual([isCopied, isCopied]);
      await engine.close();
      await eventually("the end of the runner that waits", () => waiting().length === 0);
    }
  });

  test("that comes with an upgrade is the next server's", async () => {
    const packageDir = runnerPackage("shell");
    const engine = newEngineOf({ packageDir, scriptCopiesDir: join(tempDir(), "scripts") });
    expect(await areNative(engine)).toEqual([false, false]);
    addNativeRunner(packageDir);
    expect(await areNative(engine)).toEqual([false, false]);
    await engine.close();
    await eventually("the end of the runner that waits", () => waiting().length === 0);
    expect(await areNative(newEngineOf({ packageDir }))).toEqual([true, true]);
  });
});

describe.each(shells())("a runner that waits, under %s", (_program, shell) => {
  const scriptsDir = PACKAGE_SCRIPTS_DIR;

  /** Runs it with these instructions on a pipe, to its end. */
  function tell(instructions: string): void {
    const file = join(tempDir(), "instructions");
    writeFileSync(file, instructions);
    const [, ...rest] = waitingRunner(shell, scriptsDir, "");
    spawnPipeline(file, [shell, ...rest]);
  }

  function spawnPipeline(file: string, runner: string[]): void {
    const piped = 'file=$1; shift; cat "$file" | "$@" 2>/dev/null || :';
    execFileSync("sh", ["-c", piped, "sh", file, ...runner], { stdio: "ignore" });
  }

  test("runs what it is told, with the words as they are", () => {
    const dir = newDir();
    const command = prepareCommand(spec("printf", ["[%s]", ...ODD_WORDS], { env: { "a.b": "1" } }));
    tell(runnerInstructions(command, { dir }, ""));
    expect(readExitRecord(dir.exit)?.exitCode).toBe(0);
    expect(readFileSync(dir.log("stdout"), "utf8")).toBe(
      ODD_WORDS.map((word) => `[${word}]`).join(""),
    );
  });

  test("runs nothing where it is told nothing, or not all of it", () => {
    const dir = newDir();
    const command = prepareCommand(spec("sh", ["-c", "echo ran"]));
    const text = runnerInstructions(command, { dir }, "");
    for (let cut = 0; cut < text.length - 1; cut += 13) tell(text.slice(0, cut));
    tell(text.slice(0, -2));
    expect(readdirSync(dir.path).sort()).toEqual(["stderr.log", "stdout.log"]);
    expect(readFileSync(dir.log("stdout"), "utf8")).toBe("");
  });
});
