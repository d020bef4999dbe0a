import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { JobDir } from "../../../src/core/job-dir.js";
import { NO_LIMIT } from "../../../src/contract/job.js";
import {
  readExitRecord,
  readProcessRecord,
} from "../../../src/engine/local/runner/runner-records.js";
import {
  cgroupMembers,
  killCgroup,
  makeCgroup,
  removeCgroup,
} from "../../../src/engine/local/containment/cgroup.js";
import { RESOURCES, resourceLimits } from "../../../src/platform/resource-limits.js";
import { MAX_INSTRUCTION_BYTES } from "../../../src/platform/spawn-detached.js";
import { eventually } from "../../helpers/eventually.js";
import { BUILT_NATIVE_RUNNER, hasNativeRunner } from "../../helpers/native-runner.js";
import { canTrace, needsCgroup } from "../../helpers/machine.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { BOOT, nativeMessage, type NativeOptions } from "./runner-kinds.js";
import { SOFT_LIMITS, softLimitIn } from "./soft-limits.js";

/*
 * What the native runner does otherwise than runner.sh, which runner.test.ts covers for
 * both: it is told all of its job on its standard input.
 */

/** What it reads at most. */
const MAX_MESSAGE_BYTES = 64 * 1024 - 1;

/** It would hold up this process for good. */
const CEILING = { timeout: 20_000, killSignal: "SIGKILL" } as const;

/** A directory without files. Its runner makes all of them. */
function newDir(): string {
  const dir = join(tempDir(), "job");
  mkdirSync(dir);
  return dir;
}

/** Runs one that is told that, to its end. */
function tell(message: string | Uint8Array, cwd = "/"): number | null {
  const options = { ...CEILING, input: message, cwd, env: {} };
  return spawnSync(BUILT_NATIVE_RUNNER, [BOOT], options).status;
}

/** Runs a job's command to its end. */
function run(argv: readonly string[], options: NativeOptions & { readonly cwd?: string } = {}) {
  const dir = newDir();
  expect(tell(nativeMessage(dir, argv, options), options.cwd)).toBe(0);
  return outcome(dir);
}

function outcome(dir: string) {
  const record = readProcessRecord(new JobDir(dir));
  if (record.kind !== "complete") throw new Error(`the process record is ${record.kind}`);
  return {
    exitCode: readExitRecord(join(dir, "exit"))?.exitCode,
    notExecuted: record.notExecuted,
    stdout: readFileSync(join(dir, "stdout.log"), "utf8"),
    stderr: readFileSync(join(dir, "stderr.log"), "utf8"),
  };
}

/** One that waits to be told. */
function waiting() {
  const child = spawn(BUILT_NATIVE_RUNNER, [BOOT], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    cwd: "/",
    env: {},
  });
  child.stdin.on("error", () => {});
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  onTestFinished(async () => {
    if (isRunning(child)) process.kill(-(child.pid as number), "SIGKILL");
    await ended;
  });
  return { child, ended, pid: child.pid as number, stdin: child.stdin };
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return (exitCode ?? signalCode) === null;
}

/** Whether it has made itself ready, and waits. */
function isReady(pid: number): boolean {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  return /^State:\tS/m.test(status) && /^SigBlk:\tf/m.test(status);
}

describe.skipIf(!hasNativeRunner())("the native runner", () => {
  const echo = ["sh", "-c", "echo ran; exit 9", "é"];
  const some = { env: { A: "1", B: "" }, spec: { softLimits: { core: 0 } } };

  test("runs nothing where it is told nothing, or not all of it", () => {
    const dir = newDir();
    const message = Buffer.from(nativeMessage(dir, echo, some));
    for (let length = 0; length < message.length; length += 1) {
      expect(tell(message.subarray(0, length)), `${length}`).toBe(1);
    }
    expect(readdirSync(dir)).toEqual([]);
    expect(tell(message)).toBe(0);
    expect(outcome(dir)).toMatchObject({ exitCode: 9, stdout: "ran\n" });
  });

  test("runs nothing where it is told more than a job", () => {
    const dir = newDir();
    const message = nativeMessage(dir, echo, some);
    for (const more of ["\0", "x", "x\0", "end\0", message]) {
      expect(tell(message + more), more).toBe(1);
    }
    expect(tell(message.replace(/end\0$/, "more\0"))).toBe(1);
    // Nor where there is no command in it.
    expect(tell(nativeMessage(dir, [], { file: "/bin/true" }))).toBe(1);
    expect(readdirSync(dir)).toEqual([]);
  });

  test("runs nothing where it is told in another version's words", () => {
    const dir = newDir();
    const message = nativeMessage(dir, echo, some);
    expect(message).toMatch(/^procman 1\0/);
    for (const version of ["", "procman", "procman ", "procman 2", "procman 10", "procman 1 "]) {
      expect(tell(message.replace("procman 1", version)), version).toBe(1);
    }
    expect(readdirSync(dir)).toEqual([]);
  });

  test("runs nothing where a number is none, or not that of the words", () => {
    const dir = newDir();
    const words = nativeMessage(dir, echo, some).split("\0");
    // The umask, whether PWD is to name the directory, and the lengths of three lists.
    const places = [5, 7, 8, 12, 17];
    expect(places.map((at) => words[at])).toEqual(["23", "1", "2", "4", "2"]);
    for (const at of places) {
      const lengths = at < 8 ? [] : ["0", "3", "5", "-1", "70000", "99999999999"];
      for (const word of ["", "x", "1x", "-", "+1", " 1", "0x1", ...lengths]) {
        expect(tell(words.with(at, word).join("\0")), `${at}: ${word}`).toBe(1);
      }
    }
    expect(readdirSync(dir)).toEqual([]);
  });

  test("runs what is as long as it may be told, and nothing that is longer", () => {
    const script = ["sh", "-c", 'echo $# "${#1}"', "sh"];
    for (const [bytes, isRun] of [
      [MAX_INSTRUCTION_BYTES, true],
      [MAX_MESSAGE_BYTES, true],
      [MAX_MESSAGE_BYTES + 1, false],
      [1024 * 1024, false],
    ] as const) {
      const dir = newDir();
      const rest = bytes - nativeMessage(dir, [...script, ""]).length;
      expect(tell(nativeMessage(dir, [...script, "x".repeat(rest)]))).toBe(isRun ? 0 : 1);
      if (isRun) expect(outcome(dir).stdout).toBe(`1 ${rest}\n`);
      else expect(readdirSync(dir)).toEqual([]);
    }
  });

  test("runs what has as many words as it may be told", () => {
    const script = ["sh", "-c", 'echo $#; printf %s "$@"', "sh"];
    const dir = newDir();
    const count = MAX_MESSAGE_BYTES - nativeMessage(dir, script).length - "00000".length;
    const message = nativeMessage(dir, [...script, ...Array.from({ length: count }, () => "")]);
    expect(message.length).toBeGreaterThan(MAX_MESSAGE_BYTES - 5);
    expect(tell(message)).toBe(0);
    expect(outcome(dir)).toMatchObject({ exitCode: 0, stdout: `${count}\n` });
  });

  test("waits for all of it, however it comes", async () => {
    const dir = newDir();
    const { child, ended, pid, stdin } = waiting();
    for (const byte of Buffer.from(nativeMessage(dir, echo, some))) {
      await new Promise((resolve) => stdin.write(Uint8Array.of(byte), resolve));
    }
    await eventually("it to wait for more", () => isReady(pid));
    expect(readdirSync(dir)).toEqual([]);
    stdin.end();
    await ended;
    expect(child.exitCode).toBe(0);
    expect(outcome(dir)).toMatchObject({ exitCode: 9, stdout: "ran\n" });
  });

  test("outlives signals while it waits, of which its command hears nothing", async () => {
    const dir = newDir();
    const { child, ended, pid, stdin } = waiting();
    await eventually("it to wait", () => isReady(pid));
    for (const signal of ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "PIPE"] as const) {
      process.kill(-pid, `SIG${signal}`);
    }
    stdin.end(nativeMessage(dir, echo));
    await ended;
    expect(child.exitCode).toBe(0);
    expect(outcome(dir)).toMatchObject({ exitCode: 9, stdout: "ran\n" });
  });

  test("ends when nobody is left to tell it", async () => {
    const { child, ended, pid, stdin } = waiting();
    await eventually("it to wait", () => isReady(pid));
    stdin.end();
    await ended;
    expect(child.exitCode).toBe(1);
  });

  test("needs to know the boot", () => {
    const message = nativeMessage("/nonexistent", ["true"]);
    for (const words of [[], [BOOT, ""]]) {
      expect(spawnSync(BUILT_NATIVE_RUNNER, words, { ...CEILING, input: message }).status).toBe(2);
    }
  });

  test("ends without a record where a directory or a log is not to be had", () => {
    const gone = join(tempDir(), "gone");
    expect(tell(nativeMessage(gone, echo))).toBe(1);
    const dir = newDir();
    expect(tell(nativeMessage(dir, echo, { workDir: gone }))).toBe(1);
    expect(readdirSync(dir)).toEqual([]);
    for (const log of ["stdout.log", "stderr.log"]) {
      const odd = newDir();
      mkdirSync(join(odd, log));
      expect(tell(nativeMessage(odd, echo)), log).toBe(1);
      expect(readdirSync(odd)).not.toContain("process");
      expect(readdirSync(odd)).not.toContain("exit");
    }
  });

  describe("the cgroup of its command", () => {
    /** Where one can be made: beside that of a job of this machine's. */
    async function newCgroup(): Promise<string> {
      const cgroup = await makeCgroup();
      if (cgroup !== "") {
        rmdirSync(cgroup);
        onTestFinished(() => void removeCgroup(cgroup));
      }
      return cgroup;
    }

    const tellsPlace = ["sh", "-c", "echo $$; cat /proc/self/cgroup"];
    const placeIn = (stdout: string) => /^0::(.*)$/m.exec(stdout)?.[1];

    test("is made, and the command is born in it; the runner stays outside", async ({ skip }) => {
      const cgroup = await newCgroup();
      needsCgroup(cgroup !== "", skip);
      const dir = newDir();
      const { child, ended, pid, stdin } = waiting();
      stdin.end(nativeMessage(dir, ["sh", "-c", `${tellsPlace[2]}; exec sleep 1000`], { cgroup }));
      const lines = () => readFileSync(join(dir, "stdout.log"), "utf8").split("\n");
      await eventually("the command", () => existsSync(join(dir, "process")) && lines().length > 2);
      expect(cgroupMembers(cgroup)).toEqual([Number(lines()[0])]);
      expect(cgroupMembers(cgroup)).not.toContain(pid);
      expect(readProcessRecord(new JobDir(dir))).toMatchObject({ cgroup });
      killCgroup(cgroup, []);
      await ended;
      expect(child.exitCode).toBe(0);
      expect(outcome(dir).exitCode).toBe(137);
    });

    test("may be there already, and is entered where the kernel makes no child in it", async ({
      skip,
    }) => {
      const cgroup = await newCgroup();
      needsCgroup(cgroup !== "", skip);
      if (!canTrace()) return skip();
      for (const error of ["ENOSYS", "EINVAL", "EPERM", "EBUSY"]) {
        if (error === "EBUSY") mkdirSync(cgroup);
        const dir = newDir();
        const inject = ["-f", "-o", "/dev/null", "-e", `inject=clone3:error=${error}`];
        const words = [...inject, BUILT_NATIVE_RUNNER, BOOT];
        const input = nativeMessage(dir, tellsPlace, { cgroup });
        expect(spawnSync("strace", words, { ...CEILING, input }).status).toBe(0);
        expect(cgroup.endsWith(placeIn(outcome(dir).stdout) as string), error).toBe(true);
        expect(readProcessRecord(new JobDir(dir))).toMatchObject({ cgroup });
        removeCgroup(cgroup);
      }
    });

    test("is none where none can be made: the command runs outside, and the record says so", () => {
      const own = placeIn(readFileSync("/proc/self/cgroup", "utf8"));
      for (const cgroup of [join(tempDir(), "gone/cgroup"), join(tempDir(), "no-cgroup")]) {
        const dir = newDir();
        expect(tell(nativeMessage(dir, tellsPlace, { cgroup }))).toBe(0);
        expect(placeIn(outcome(dir).stdout)).toBe(own);
        expect(readProcessRecord(new JobDir(dir))).toMatchObject({ cgroup: "" });
      }
    });

    test("is removed with a job that is gone", async ({ skip }) => {
      const cgroup = await newCgroup();
      needsCgroup(cgroup !== "", skip);
      const dir = newDir();
      expect(tell(nativeMessage(dir, ["rm", "-r", dir], { cgroup }))).toBe(1);
      expect(existsSync(cgroup)).toBe(false);
    });
  });

  test("the record of the end is as a shell's", () => {
    const dir = newDir();
    expect(tell(nativeMessage(dir, ["sh", "-c", "kill -TERM $$"]))).toBe(0);
    const times = String.raw`0m\d\.\d{6}s 0m\d\.\d{6}s\n`;
    expect(readFileSync(join(dir, "exit"), "utf8")).toMatch(RegExp(`^143\n${times}${times}$`));
  });

  test("the environment is as it is told, in that order", () => {
    const names = ["IFS", "a.b", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "procman_dir", "_", "PPID"];
    const envWords = [
      ...["x", "é\u{1f600}\u0081"].map((value) => `IFS=${value}`),
      ...names.map((name) => `${name}=it's\n$HOME \`id\` "`),
      "BASH_FUNC_env%%=() { exit 3; }",
      "PWDS=/",
      "EMPTY=",
      "no value",
      "=C:=x",
    ];
    const { stdout } = run(["env", "-0"], { envWords });
    expect(stdout.split("\0").slice(0, -1)).toEqual(envWords);
    expect(run(["env", "-0"], { envWords: [] }).stdout).toBe("");
  });

  test("PWD is as the job has it, or names the directory where it comes from the server", () => {
    const dir = realpathSync(tempDir());
    const link = join(tempDir(), "link");
    symlinkSync(dir, link);
    const pwdWith = (options: NativeOptions & { readonly cwd?: string }) =>
      run(["env"], options).stdout;
    const elsewhere = ["PWD=/elsewhere"];
    const where = [{ cwd: dir }, { workDir: dir }, { workDir: link }];
    for (const each of where) {
      expect(pwdWith({ ...each, envWords: elsewhere, inheritsPwd: false })).toBe(
        "PWD=/elsewhere\n",
      );
      expect(pwdWith({ ...each, envWords: elsewhere })).toBe(`PWD=${dir}\n`);
      expect(pwdWith({ ...each, envWords: [`PWD=${link}`] })).toBe(`PWD=${link}\n`);
      expect(pwdWith({ ...each, envWords: [] })).toBe("");
      const { stdout } = run(["readlink", "/proc/self/cwd"], each);
      expect(stdout).toBe(`${dir}\n`);
    }
  });

  test("a script that names no interpreter is a shell's, by its path", () => {
    const script = join(tempDir(), "script");
    writeFileSync(script, `printf '<%s>' "$0" "$@"`, { mode: 0o755 });
    expect(run(["script"], { file: script }).stdout).toBe(`<${script}>`);
    expect(run(["script", "", "a b"], { file: script }).stdout).toBe(`<${script}><><a b>`);
  });

  test("the command is told the name that it was called by", () => {
    const { stdout } = run(["other name", "/proc/self/cmdline"], { file: "/bin/cat" });
    expect(stdout).toBe("other name\0/proc/self/cmdline\0");
  });

  test("hears how the command ended also where the ends of children are ignored", () => {
    const dir = newDir();
    const ignoring = ["-c", 'trap "" CHLD; exec "$@"', "sh", BUILT_NATIVE_RUNNER, BOOT];
    expect(
      spawnSync("bash", ignoring, { ...CEILING, input: nativeMessage(dir, echo) }).status,
    ).toBe(0);
    expect(outcome(dir)).toMatchObject({ exitCode: 9, stdout: "ran\n" });
  });

  test("words that are too many under the command's own limit are the reason", () => {
    const many = Array.from({ length: 20_000 }, () => "");
    const { exitCode, notExecuted, stderr } = run(["true", ...many], {
      spec: { softLimits: { stack: 64 * 1024 } },
    });
    expect([exitCode, notExecuted]).toEqual([126, "true: Argument list too long"]);
    expect(stderr).toBe("");
  });

  test("the reason is one line, whatever the command's name", () => {
    const command = `/nonexistent/a\nno runner\n`;
    const dir = newDir();
    expect(tell(nativeMessage(dir, [command]))).toBe(0);
    expect(readProcessRecord(new JobDir(dir))).not.toHaveProperty("isBare");
    expect(outcome(dir)).toMatchObject({
      exitCode: 127,
      notExecuted: "/nonexistent/a no runner : not found",
    });
  });

  test("takes little memory while the command runs", async () => {
    const dir = newDir();
    const { pid, stdin } = waiting();
    stdin.end(nativeMessage(dir, ["sleep", "1000"]));
    const record = () => readProcessRecord(new JobDir(dir));
    await eventually("the command", () => record().kind === "complete");
    const sizes = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    const [clean = NaN, dirty = NaN] = ["Private_Clean", "Private_Dirty"].map((name) =>
      Number(RegExp(`^${name}: +(\\d+) kB$`, "m").exec(sizes)?.[1]),
    );
    expect(clean + dirty).toBeLessThan(64);
  });

  describe("what the command has that its runner has not", () => {
    test.each(RESOURCES.map((resource) => [resource]))("a soft limit: %s", async (resource) => {
      const dir = newDir();
      const { ended, pid, stdin } = waiting();
      const own = softLimitIn(readFileSync(`/proc/${pid}/limits`, "latin1"), resource);
      const spec = { softLimits: { [resource]: SOFT_LIMITS[resource] } };
      stdin.end(
        nativeMessage(dir, ["sh", "-c", "cat /proc/$PPID/limits; cat /proc/$$/limits"], { spec }),
      );
      await ended;
      const limits = outcome(dir)
        .stdout.split(/^Limit/m)
        .slice(1);
      expect(limits.map((text) => softLimitIn(text, resource))).toEqual([
        own,
        `${SOFT_LIMITS[resource]}`,
      ]);
    });

    const unlimited = RESOURCES.filter(
      (resource) => resourceLimits()[resource]?.hard === Number.POSITIVE_INFINITY,
    );

    test.each(unlimited.map((resource) => [resource]))("no soft limit: %s", async (resource) => {
      const dir = newDir();
      const { ended, pid, stdin } = waiting();
      execFileSync("prlimit", ["--pid", `${pid}`, `--${resource}=${SOFT_LIMITS[resource]}:`]);
      const spec = { softLimits: { [resource]: NO_LIMIT } };
      stdin.end(nativeMessage(dir, ["cat", "/proc/self/limits"], { spec }));
      await ended;
      expect(softLimitIn(outcome(dir).stdout, resource)).toBe("unlimited");
    });

    test("a niceness and a umask", () => {
      const nice = getPriority() + 3;
      const { stdout } = run(["sh", "-c", "nice; umask"], { spec: { nice, umask: 0o7 } });
      expect(stdout).toBe(`${nice}\n0007\n`);
    });

    test("or else the reason why not, and nothing that runs", async () => {
      const dir = newDir();
      const { ended, pid, stdin } = waiting();
      execFileSync("prlimit", ["--pid", `${pid}`, "--nofile=20:20"]);
      const spec = { softLimits: { nofile: 21 } };
      stdin.end(nativeMessage(dir, echo, { spec }));
      await ended;
      expect(outcome(dir)).toEqual({
        exitCode: 126,
        notExecuted: expect.stringMatching(/^soft limits: ./),
        stdout: "",
        stderr: "",
      });
    });
  });
});
