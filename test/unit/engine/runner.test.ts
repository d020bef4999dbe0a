import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import { JobDir } from "../../../src/core/job-dir.js";
import { eventually } from "../../helpers/eventually.js";
import { shells } from "../../helpers/shells.js";
import { tempDir } from "../../helpers/temp-dir.js";

const RUNNER = join(import.meta.dirname, "../../../src/engine/local/runner.sh");

/** The runner's own words. A server that an upgrade finds running gives it these, and no others. */
function runnerWords(dir: string, stderr: string, umask: string): string[] {
  return [RUNNER, dir, "this-boot", umask, join(dir, stderr), ""];
}

/** How long a file may be that a process writes from now on. */
function limitFileSize(pid: number, bytes: string): void {
  execFileSync("prlimit", ["--pid", String(pid), `--fsize=${bytes}:`]);
}

/** The programs that a process has started, and has not heard the end of. */
function children(pid: number): string[] {
  const lines = execFileSync("ps", ["-A", "-o", "ppid=,args="], { encoding: "utf8" }).split("\n");
  return lines.flatMap((line) => {
    const [parent, program = ""] = line.trim().split(/\s+/);
    return Number(parent) === pid ? [basename(program)] : [];
  });
}

function isExecuting(pid: number, command: string): boolean {
  if (process.platform !== "linux") return true;
  return readFileSync(`/proc/${pid}/cmdline`, "latin1").startsWith(command);
}

describe.each(shells())("%s", (_program, shell) => {
  /** Runs a command under the runner, as the engine does. */
  function run(command: string[], options: { env?: Record<string, string>; merge?: boolean } = {}) {
    const dir = join(tempDir(), "job");
    mkdirSync(dir);
    writeFileSync(join(dir, "stdout.log"), "");
    writeFileSync(join(dir, "stderr.log"), "");
    const stderr = options.merge ? "stdout.log" : "stderr.log";
    // A write beyond a limit that a test gives it is an error, as on a full disk, not its end.
    const words = ["-c", 'trap "" XFSZ; exec "$@"', "sh", shell];
    const child = spawn("sh", [...words, ...runnerWords(dir, stderr, "27"), ...command], {
      detached: true,
      stdio: "ignore",
      env: options.env ?? process.env,
      cwd: dir,
    });
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    const log = (name: string) => readFileSync(join(dir, name), "utf8");
    return { dir, child, ended, log };
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
    const ours = targets.filter(
      (target) => target.includes(job.dir) || target.includes("runner.sh"),
    );
    expect(ours).toEqual([`1 ${job.dir}/stdout.log`, `2 ${job.dir}/stderr.log`]);
    expect(targets).toContain("0 /dev/null");
  });

  test("its own files are private", async () => {
    const job = run(["true"]);
    await job.ended;
    for (const name of ["process", "exit"]) {
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
    const dir = join(tempDir(), "job");
    mkdirSync(dir);
    writeFileSync(join(dir, "process"), "abandoned\n");
    const words = [...runnerWords(dir, "stderr.log", "22"), "touch", join(dir, "ran")];
    expect(() => execFileSync(shell, words, { stdio: "ignore" })).toThrow();
    expect(existsSync(join(dir, "ran"))).toBe(false);
    expect(existsSync(join(dir, "exit"))).toBe(false);
  });

  /** A job whose runner knows how its command has ended, and cannot write that down. */
  async function unrecorded() {
    const job = run(["sh", "-c", "until [ -e go ]; do sleep 0.01; done; exit 3"]);
    const { pid } = job.child as { pid: number };
    onTestFinished(async () => {
      if (job.child.exitCode === null) process.kill(-pid, "SIGKILL");
      await job.ended;
    });
    await eventually(
      "the command",
      () => readProcessRecord(new JobDir(job.dir)).kind === "complete",
    );
    limitFileSize(pid, "0");
    writeFileSync(join(job.dir, "go"), "");
    // It has nothing to do but to sleep until it tries again.
    await eventually("the runner to wait", () => children(pid).includes("sleep"));
    return job;
  }

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
      const waiting = "until [ -e go ]; do sleep 0.01; done;";
      for (const [end, code] of [
        ["exit 5", 5],
        [`exec ${script}`, 127],
      ] as const) {
        const job = run(["sh", "-c", `${waiting} ${end}`]);
        await eventually(
          "the command",
          () => readProcessRecord(new JobDir(job.dir)).kind === "complete",
        );
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
