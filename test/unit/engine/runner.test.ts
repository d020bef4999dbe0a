import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import {
  closeSync,
  constants,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants as osConstants } from "node:os";
import { basename, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { NATIVE_RUNNER } from "../../../src/engine/local/runner/native-runner.js";
import { eventually } from "../../helpers/eventually.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { runnerKinds } from "./runner-kinds.js";

/** How long a file may be that a process writes from now on. */
function limitFileSize(pid: number, bytes: string): void {
  execFileSync("prlimit", ["--pid", String(pid), `--fsize=${bytes}:`]);
}

interface Child {
  readonly pid: number;
  readonly program: string;
}

/** What a process has started, and has not heard the end of. */
function children(parent: number): Child[] {
  const ps = execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" });
  return ps.split("\n").flatMap((line) => {
    const [pid, ppid, program = ""] = line.trim().split(/\s+/);
    return Number(ppid) === parent ? [{ pid: Number(pid), program: basename(program) }] : [];
  });
}

function isExecuting(pid: number, command: string): boolean {
  if (process.platform !== "linux") return true;
  return readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(command);
}

/** Has a job end as soon as that file is there, which may be in its directory. */
function endsAt(file: string, end: string): string[] {
  return ["sh", "-c", `until [ -e "$1" ]; do sleep 0.01; done; ${end}`, "sh", file];
}

interface RunOptions {
  readonly dir?: string;
  readonly env?: Record<string, string>;
  readonly merge?: boolean;
  /** What its directory has before. */
  readonly files?: Readonly<Record<string, string>>;
}

describe.each(runnerKinds())("$name", ({ isNative, start }) => {
  /** Runs a command under the runner, as the engine does. */
  function run(command: string[], { env, merge = false, files, ...rest }: RunOptions = {}) {
    const { dir = join(tempDir(), "job") } = rest;
    mkdirSync(dir);
    for (const [name, text] of Object.entries(files ?? { "stdout.log": "", "stderr.log": "" })) {
      writeFileSync(join(dir, name), text);
    }
    const job = { dir, command, merge, env: env ?? (process.env as Record<string, string>) };
    const { words, env: runnerEnv, told } = start(job);
    // A write beyond a limit that a test gives it is an error, as on a full disk, not its end.
    const child = spawn("sh", ["-c", 'trap "" XFSZ; exec "$@"', "sh", ...words], {
      detached: true,
      stdio: ["pipe", "ignore", "ignore"],
      env: runnerEnv,
      cwd: dir,
    });
    child.stdin.on("error", () => {}).end(told);
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    onTestFinished(async () => {
      const isRunning = (child.exitCode ?? child.signalCode) === null;
      if (isRunning) process.kill(-(child.pid as number), "SIGKILL");
      await ended;
    });
    const log = (name: string) => readFileSync(join(dir, name), "utf8");
    const exit = () => readExitRecord(new JobDir(dir).exit);
    return { dir, child, ended, log, exit };
  }

  function isStarted({ dir }: { dir: string }): boolean {
    return readProcessRecord(new JobDir(dir)).kind === "complete";
  }

  /** Whether the runner has nothing to do but to sleep until it tries again. */
  function isWaiting({ dir, child }: { dir: string; child: ChildProcess }): boolean {
    const record = readProcessRecord(new JobDir(dir));
    const command = record.kind === "complete" ? record.command.pid : undefined;
    // The native one has a fork of itself sleep, so that a stop ends it as it ends sleep(1).
    const sleeps = isNative ? NATIVE_RUNNER : "sleep";
    return children(child.pid as number).some(
      // Its command looks the same, until it is executed.
      ({ pid, program }) => program === sleeps && pid !== command,
    );
  }

  test("records the code, the CPU time and both outputs", async () => {
    const job = run(["sh", "-c", "echo out; echo err >&2; exit 7"]);
    await job.ended;
    expect(readExitRecord(new JobDir(job.dir).exit)).toMatchObject({
      exitCode: 7,
      cpuTimeMs: expect.any(Number),
    });
    expect(job.log("stdout.log")).toBe("out\n");
    expect(job.log("stderr.log")).toBe("err\n");
  });

  test("counts the CPU time of the command", async () => {
    const job = run(["sh", "-c", "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done"]);
    await job.ended;
    expect(readExitRecord(new JobDir(job.dir).exit)?.cpuTimeMs).toBeGreaterThan(20);
  });

  test("records death by a signal as 128+n and names it", async () => {
    const job = run(["sh", "-c", "kill -9 $$"]);
    await job.ended;
    expect(readExitRecord(new JobDir(job.dir).exit)).toMatchObject({
      exitCode: 137,
      signal: "SIGKILL",
    });
  });

  test("tells who the command is", async () => {
    const job = run(["sh", "-c", "echo $$; read x </proc/$$/stat; sleep 0.1"]);
    await job.ended;
    const record = readProcessRecord(new JobDir(job.dir));
    expect(record).toMatchObject({
      kind: "complete",
      bootId: "this-boot",
      runner: { pid: job.child.pid },
      command: { pid: Number(job.log("stdout.log")) },
    });
  });

  test("outlives signals to its group, which the command gets by default", async () => {
    for (const signal of ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM"] as const) {
      const job = run(["sleep", "1000"]);
      // Not only its identity: bash notes a signal, and forgets it when it executes the command.
      await eventually("the command", () => {
        const record = readProcessRecord(new JobDir(job.dir));
        return record.kind === "complete" && isExecuting(record.command.pid, "sleep");
      });
      process.kill(-(job.child.pid as number), `SIG${signal}`);
      await job.ended;
      expect(readExitRecord(new JobDir(job.dir).exit)?.signal, signal).toBe(`SIG${signal}`);
    }
  });

  test("the command gets its own umask, nothing to read, and no descriptor of the runner's", async () => {
    const job = run(["sh", "-c", "umask; cat; echo end; ls -l /proc/self/fd"]);
    await job.ended;
    const [umask, end, ...descriptors] = job.log("stdout.log").trim().split("\n");
    expect([umask, end]).toEqual(["0027", "end"]);
    const targets = descriptors.flatMap(
      (line) => /(\d+) -> (.*)$/.exec(line)?.slice(1).join(" ") ?? [],
    );
    // What the test itself has open without close-on-exec comes along.
    const ours = targets.filter((target) => target.includes(job.dir) || target.includes("runner"));
    expect(ours).toEqual([`1 ${job.dir}/stdout.log`, `2 ${job.dir}/stderr.log`]);
    expect(targets).toContain("0 /dev/null");
    expect(descriptors.find((line) => line.includes(" 0 -> "))).toMatch(/^lr-x/);
  });

  test.skipIf(process.platform !== "linux")(
    "no signal is blocked for the command, or ignored by the runner's doing",
    async () => {
      const job = run(["cat", "/proc/self/status"]);
      await job.ended;
      const masks = [...job.log("stdout.log").matchAll(/^(Sig(?:Pnd|Blk|Ign|Cgt)):\t0*(.*)$/gm)];
      // `run` has this one ignored, so that it is not the end of a shell.
      const fileSize = (2 ** (osConstants.signals.SIGXFSZ - 1)).toString(16);
      expect(Object.fromEntries(masks.map(([, name, mask]) => [name, mask]))).toEqual({
        SigPnd: "",
        SigBlk: "",
        SigIgn: fileSize,
        SigCgt: "",
      });
    },
  );

  test("the PWD that it inherits names its directory", async () => {
    const parent = realpathSync(tempDir());
    const link = join(parent, "link");
    symlinkSync("job1", link);
    const pwds = [join(parent, "job0"), link, parent, "/nonexistent", ".", ""];
    for (const [index, pwd] of pwds.entries()) {
      const dir = join(parent, `job${index}`);
      const job = run(["env"], { dir, env: { PATH: "/usr/bin:/bin", PWD: pwd } });
      await job.ended;
      const names = job.log("stdout.log").match(/^PWD=.*$/gm);
      expect(names, pwd).toEqual([`PWD=${index < 2 ? pwd : dir}`]);
    }
  });

  test("its own files are private", async () => {
    const job = run(["true"], { files: {} });
    await job.ended;
    for (const name of ["process", "exit", "stdout.log", "stderr.log"]) {
      expect(statSync(join(job.dir, name)).mode & 0o777, name).toBe(0o600);
    }
  });

  test("a command that cannot be executed leaves its reason in the record, not in the logs", async () => {
    const script = join(tempDir(), "script");
    writeFileSync(script, "#!/nonexistent/interpreter\n", { mode: 0o755 });
    for (const merge of [false, true]) {
      const job = run([script], { merge });
      await job.ended;
      expect([126, 127]).toContain(readExitRecord(new JobDir(job.dir).exit)?.exitCode);
      expect(readProcessRecord(new JobDir(job.dir))).toMatchObject({
        notExecuted: expect.stringContaining(script),
      });
      expect(job.log("stdout.log") + job.log("stderr.log")).toBe("");
    }
  });

  test("a command that has become another since it was looked at is not executed", async () => {
    const dir = tempDir();
    const plain = join(dir, "plain");
    writeFileSync(plain, "#!/bin/sh\n", { mode: 0o644 });
    for (const [command, code] of [
      [join(dir, "gone"), 127],
      [plain, 126],
      [dir, 126],
    ] as const) {
      const job = run([command, "argument"]);
      await job.ended;
      expect(job.exit()?.exitCode, command).toBe(code);
      expect(readProcessRecord(new JobDir(job.dir))).toMatchObject({
        kind: "complete",
        notExecuted: expect.stringContaining(command),
      });
      expect(job.log("stderr.log")).toBe("");
    }
  });

  test("a script that names no interpreter is a shell's", async () => {
    const script = join(tempDir(), "script");
    writeFileSync(script, `printf '<%s>' "$0" "$@"; exit 4\n`, { mode: 0o755 });
    const job = run([script, "", "a b", "-x"]);
    await job.ended;
    expect(job.exit()?.exitCode).toBe(4);
    expect(job.log("stdout.log")).toBe(`<${script}><><a b><-x>`);
  });

  test("the command's own 127 is its own", async () => {
    const job = run(["sh", "-c", "echo mine >&2; exit 127"]);
    await job.ended;
    expect(readProcessRecord(new JobDir(job.dir))).not.toHaveProperty("notExecuted");
    expect(readExitRecord(new JobDir(job.dir).exit)?.exitCode).toBe(127);
    expect(job.log("stderr.log")).toBe("mine\n");
  });

  test("its end is recorded at once, however long its log is without a line", async () => {
    const job = run(["sh", "-c", "truncate -s 100G stderr.log; exit 127"]);
    await job.ended;
    expect(readExitRecord(new JobDir(job.dir).exit)?.exitCode).toBe(127);
    expect(statSync(join(job.dir, "stderr.log")).size).toBe(100 * 1024 ** 3);
  });

  test("its end is recorded whatever the command has made of the record of who it is", async () => {
    const makes = [
      "truncate -s 100G process",
      "rm process; mkdir process",
      "rm process; mkfifo process",
    ];
    for (const [index, make] of makes.entries()) {
      const job = run(["sh", "-c", `${make}; exit ${index}`]);
      await job.ended;
      expect(readExitRecord(new JobDir(job.dir).exit)?.exitCode, make).toBe(index);
    }
  });

  test.skipIf(process.platform !== "linux")(
    "its end is recorded once nothing else is in the place of that record",
    async () => {
      for (const [make, undo] of [
        ["mkfifo exit", (path: string) => rmSync(path)],
        ["mkdir exit", (path: string) => rmdirSync(path)],
        ["ln -s /nonexistent/file exit", (path: string) => rmSync(path)],
      ] as const) {
        const job = run(["sh", "-c", `${make}; exit 3`]);
        await eventually("the command", () => isStarted(job));
        await eventually(`the runner to wait after ${make}`, () => isWaiting(job));
        expect(job.child.exitCode).toBeNull();
        undo(join(job.dir, "exit"));
        await job.ended;
        expect(job.child.exitCode, make).toBe(0);
        expect(job.exit()?.exitCode, make).toBe(3);
      }
    },
  );

  test.skipIf(process.platform !== "linux")(
    "its end is recorded in no pipe that somebody reads",
    async () => {
      const job = run(endsAt("go", "exit 3"));
      await eventually("the command", () => isStarted(job));
      const exit = join(job.dir, "exit");
      execFileSync("mkfifo", [exit]);
      const reader = openSync(exit, constants.O_RDONLY | constants.O_NONBLOCK);
      onTestFinished(() => closeSync(reader));
      writeFileSync(join(job.dir, "go"), "");
      await eventually("the runner to wait", () => isWaiting(job));
      rmSync(exit);
      await job.ended;
      expect(job.exit()?.exitCode).toBe(3);
      expect(readSync(reader, Buffer.alloc(1))).toBe(0);
    },
  );

  test("the command's own 125 is its own, and not that of a job that was given up", async () => {
    const job = run(["sh", "-c", "exit 125"]);
    await job.ended;
    expect(readExitRecord(new JobDir(job.dir).exit)?.exitCode).toBe(125);
    const damaged = run(["sh", "-c", "truncate -s 100G process; exit 125"]);
    await damaged.ended;
    expect(readExitRecord(new JobDir(damaged.dir).exit)?.exitCode).toBe(125);
  });

  test("arguments arrive as they are", async () => {
    const args = ["", " a  b ", "$HOME", "`id`", "*", "-n", "\n", "\\", '"', "ü\u{1f600}", "--"];
    args.push("it's", "a\nb\n", "\u0081\u0088", "}", "end", "\u0001\u007f", "x".repeat(9000));
    const job = run(["printf", "<%s>", ...args]);
    await job.ended;
    expect(job.log("stdout.log")).toBe(args.map((arg) => `<${arg}>`).join(""));
  });

  test("merged output is in the order written", async () => {
    const job = run(["sh", "-c", "for i in 1 2 3 4 5; do echo o$i; echo e$i >&2; done"], {
      merge: true,
    });
    await job.ended;
    expect(job.log("stdout.log").split("\n").slice(0, 4)).toEqual(["o1", "e1", "o2", "e2"]);
  });

  test("runs nothing once the job was given up", async () => {
    const job = run(["touch", "ran"], { files: { process: "abandoned\n" } });
    await job.ended;
    expect(job.child.exitCode).toBe(1);
    expect(existsSync(join(job.dir, "ran"))).toBe(false);
    expect(existsSync(join(job.dir, "exit"))).toBe(false);
  });

  /** A job whose runner knows how its command has ended, and cannot write that down. */
  async function unrecorded() {
    const job = run(endsAt("go", "exit 3"));
    const { pid } = job.child as { pid: number };
    await eventually("the command", () => isStarted(job));
    limitFileSize(pid, "0");
    writeFileSync(join(job.dir, "go"), "");
    await eventually("the runner to wait", () => isWaiting(job));
    return job;
  }

  test.skipIf(process.platform !== "linux")(
    "one that waits for room ends with what a stop ends, which spares the runner",
    async () => {
      const job = await unrecorded();
      execFileSync("pkill", ["-KILL", "-P", String(job.child.pid)]);
      await job.ended;
      expect(job.child.exitCode).toBe(1);
    },
  );

  test.skipIf(process.platform !== "linux")(
    "its end is recorded once there is room for it",
    async () => {
      const job = await unrecorded();
      expect(job.child.exitCode).toBeNull();
      expect(readExitRecord(new JobDir(job.dir).exit)).toBeUndefined();
      limitFileSize(job.child.pid as number, "unlimited");
      await job.ended;
      expect(job.child.exitCode).toBe(0);
      expect(readExitRecord(new JobDir(job.dir).exit)).toMatchObject({ exitCode: 3 });
    },
  );

  test.skipIf(process.platform !== "linux")(
    "there is no waiting for room in a directory that is gone",
    async () => {
      const job = await unrecorded();
      rmSync(job.dir, { recursive: true });
      await job.ended;
      expect(job.child.exitCode).toBe(1);
      expect(existsSync(job.dir)).toBe(false);
    },
  );

  test.skipIf(process.platform !== "linux")(
    "its end is recorded in its directory, wherever that was moved, and nowhere else",
    async () => {
      const script = join(tempDir(), "script");
      writeFileSync(script, "#!/nonexistent/interpreter\n", { mode: 0o755 });
      for (const [end, code] of [
        ["exit 5", 5],
        [`exec ${script}`, 127],
      ] as const) {
        const job = run(endsAt("go", end));
        await eventually("the command", () => isStarted(job));
        const moved = join(tempDir(), "moved");
        renameSync(job.dir, moved);
        mkdirSync(job.dir);
        writeFileSync(join(moved, "go"), "");
        await job.ended;
        expect(job.child.exitCode).toBe(0);
        expect(readExitRecord(new JobDir(moved).exit)).toMatchObject({
          exitCode: code,
          cpuTimeMs: expect.any(Number),
        });
        expect(readdirSync(job.dir)).toEqual([]);
      }
    },
  );

  test.skipIf(process.platform !== "linux")(
    "its end is recorded in its directory where that was deleted and restored",
    async () => {
      for (const code of [6, 125]) {
        const go = join(tempDir(), "go");
        const job = run(endsAt(go, `exit ${code}`));
        await eventually("the command", () => isStarted(job));
        const copy = join(tempDir(), "copy");
        cpSync(job.dir, copy, { recursive: true });
        rmSync(job.dir, { recursive: true });
        renameSync(copy, job.dir);
        writeFileSync(go, "");
        await job.ended;
        expect(job.child.exitCode).toBe(0);
        expect(job.exit()?.exitCode).toBe(code);
      }
    },
  );

  test.skipIf(process.platform !== "linux")(
    "another job's directory in the place of a deleted one gets no record",
    async () => {
      for (const [make, isThere] of [
        [(dir: string) => writeFileSync(join(dir, "process"), "another-boot\n"), true],
        [(dir: string) => mkdirSync(join(dir, "process")), true],
        [(dir: string) => execFileSync("mkfifo", [join(dir, "process")]), true],
        [(dir: string) => rmdirSync(dir), false],
        [(dir: string) => (rmdirSync(dir), writeFileSync(dir, "")), false],
        [(dir: string) => (rmdirSync(dir), execFileSync("mkfifo", [dir])), false],
      ] as const) {
        const go = join(tempDir(), "go");
        const job = run(endsAt(go, "exit 6"));
        await eventually("the command", () => isStarted(job));
        rmSync(job.dir, { recursive: true });
        mkdirSync(job.dir);
        make(job.dir);
        writeFileSync(go, "");
        await job.ended;
        expect(job.child.exitCode, String(make)).toBe(1);
        if (isThere) expect(readdirSync(job.dir), String(make)).toEqual(["process"]);
      }
    },
  );

  test("ends when the job's directory is gone", async () => {
    const job = run(["sleep", "1000"]);
    const record = await eventually("the command's identity", () => {
      const seen = readProcessRecord(new JobDir(job.dir));
      return seen.kind === "complete" ? seen : undefined;
    });
    rmSync(job.dir, { recursive: true });
    process.kill(record.command.pid);
    await job.ended;
  });
});
