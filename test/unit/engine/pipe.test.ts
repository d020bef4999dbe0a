import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { type JobSpec, STREAMS } from "../../../src/contract/job.js";
import { OutputCarriers } from "../../../src/engine/local/output/output-carriers.js";
import {
  isAlive,
  type ProcessRef,
  processTable,
} from "../../../src/engine/local/process/processes.js";
import { sendSignal, signalGroup } from "../../../src/engine/local/process/signals.js";
import { PACKAGE_SCRIPTS_DIR } from "../../../src/engine/local/runner/job-scripts.js";
import { readProcessRecord } from "../../../src/engine/local/runner/runner-records.js";
import { eventually } from "../../helpers/eventually.js";
import { shells } from "../../helpers/shells.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { exitOf, isRunning, type ShellJob, startJob, stopJob } from "./shell-job.js";

const MIB = 1024 * 1024;

/** What a script leaves to a process that it has started: to go on as long as the test wants. */
const WHILE_WANTED = "while [ ! -e enough ]; do sleep 0.02; done";

function carriersOf({ identity }: ShellJob): ProcessRef[] {
  return Object.values(identity.carriers ?? {});
}

function isGone({ identity }: ShellJob, process: ProcessRef): boolean {
  return !isAlive(identity.bootId, process);
}

/** Returns once they are gone: until then, each may read what it does not write any more. */
async function killCarriers(job: ShellJob, carriers = carriersOf(job)): Promise<void> {
  for (const { pid } of carriers) process.kill(pid, "SIGKILL");
  await eventually("their end", () => carriers.every((each) => isGone(job, each)));
}

/** What the server does at each poll. */
function watchOver(job: ShellJob): void {
  const carriers = new OutputCarriers(job.dir, () => PACKAGE_SCRIPTS_DIR);
  const timer = setInterval(() => carriers.restore(job.identity), 20);
  onTestFinished(() => {
    clearInterval(timer);
    return carriers.close();
  });
}

function make({ dir }: ShellJob, name: string): void {
  writeFileSync(join(dir.path, name), "");
}

function numbersTo(last: number): string {
  return Array.from({ length: last }, (_, index) => `${index + 1}\n`).join("");
}

function logSize({ dir }: ShellJob): number {
  return statSync(dir.log("stdout")).size;
}

describe.each(shells())("%s", (_program, shell) => {
  const start = (text: string, options: Partial<JobSpec> = {}) =>
    startJob(shell, ["bash", "-c", text], { output: "pipe", ...options });

  test("both outputs are pipes, each to its log, and nothing else is open", async () => {
    const job = await start(
      "[ -p /dev/stdout ] && [ -p /dev/stderr ] && echo pipes; echo err >&2; ls -l /proc/$$/fd; exit 7",
    );
    expect(await exitOf(job)).toMatchObject({ exitCode: 7, cpuTimeMs: expect.any(Number) });
    const [first, ...rest] = job.log().trim().split("\n");
    expect(first).toBe("pipes");
    const targets = rest.flatMap((line) => /(\d+) -> (.*)$/.exec(line)?.slice(1).join(" ") ?? []);
    const { path } = job.dir;
    expect(targets.filter((each) => /jobs?\/|\.sh/.test(each))).toEqual([
      `1 ${path}/stdout.fifo`,
      `2 ${path}/stderr.fifo`,
    ]);
    expect(job.log("stderr.log")).toBe("err\n");
  });

  test("to open one of them anew loses nothing", async () => {
    const job = await start(
      "echo one; echo two >/dev/stdout; echo a >&2; echo b >/dev/stderr; echo three",
    );
    await job.ended;
    expect([job.log(), job.log("stderr.log")]).toEqual(["one\ntwo\nthree\n", "a\nb\n"]);
  });

  test("both go through one pipe to one log, in the order written", async () => {
    const job = await start("for i in 1 2 3; do echo out $i; echo err $i >&2; done", {
      mergeOutput: true,
    });
    await job.ended;
    expect(job.log()).toBe([1, 2, 3].map((n) => `out ${n}\nerr ${n}\n`).join(""));
    expect(job.log("stderr.log")).toBe("");
    expect(carriersOf(job)).toHaveLength(1);
  });

  test("all of it is in the logs when the end is recorded, and the carriers end", async () => {
    const job = await start(`yes | head -c ${200 * MIB}; yes | head -c ${MIB} >&2; echo last`);
    await job.ended;
    const last = execFileSync("tail", ["-c", "5", job.dir.log("stdout")], { encoding: "utf8" });
    expect(last).toBe("last\n");
    const sizes = STREAMS.map((stream) => statSync(job.dir.log(stream)).size);
    expect(sizes).toEqual([200 * MIB + 5, MIB]);
    await eventually("their end", () => carriersOf(job).every((each) => isGone(job, each)));
    for (let n = 0; n < 20; n += 1) {
      const short = await start(`seq 1 ${n * 1000}; echo last; echo last >&2`);
      await short.ended;
      expect(short.log()).toMatch(/last\n$/);
      expect(short.log("stderr.log")).toBe("last\n");
    }
  });

  test("the command's end is the job's, and what it leaves is carried on", async () => {
    const job = await start(`{ ${WHILE_WANTED}; echo late; } & echo done; exit 3`);
    expect(await exitOf(job)).toMatchObject({ exitCode: 3 });
    expect(job.log()).toBe("done\n");
    make(job, "enough");
    await eventually("what it left", () => job.log() === "done\nlate\n");
  });

  test("so it is where that writes without a pause", async () => {
    // Ends by itself: nobody may be left to want it to.
    const text = "x".repeat(1000);
    const writing = `for n in {1..100000}; do [ ! -e enough ] || exit; echo ${text}; done`;
    const job = await start(
      `{ ${writing}; } & echo first >&2; until [ -s stdout.log ]; do :; done`,
    );
    expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
    expect(job.log("stderr.log")).toBe("first\n");
    make(job, "enough");
  });

  test("a carrier that is killed ends no command, and takes nothing of the rest with it", async () => {
    const job = await start("until [ -e go ]; do sleep 0.02; done; echo out; echo err >&2; exit 4");
    await killCarriers(job);
    expect(isRunning(job)).toBe(true);
    make(job, "go");
    expect(await exitOf(job)).toMatchObject({ exitCode: 4 });
    expect([job.log(), job.log("stderr.log")]).toEqual(["out\n", "err\n"]);
  });

  test("new ones are put on in place of those that were killed, once more where need be", async () => {
    const write = "until [ -e $n ]; do sleep 0.02; done; seq 1 100000; echo $n >&2";
    const job = await start(`for n in 1 2; do ${write}; done; echo end`);
    watchOver(job);
    await killCarriers(job);
    make(job, "1");
    await eventually("the first output", () => job.log() === numbersTo(100_000));
    const second = processTable().parseIdentity(readFileSync(job.dir.carrier("stdout"), "utf8"));
    await killCarriers(job, [second!]);
    make(job, "2");
    expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
    expect(job.log()).toBe(`${numbersTo(100_000).repeat(2)}end\n`);
    expect(job.log("stderr.log")).toBe("1\n2\n");
  });

  test.skipIf(process.platform !== "linux")(
    "where there is no room, the command waits until there is",
    async () => {
      const job = await start(`until [ -e go ]; do sleep 0.02; done; seq 1 200000; echo end`);
      // A write beyond this is an error, as on a full disk.
      const [carrier] = carriersOf(job);
      execFileSync("prlimit", ["--pid", String(carrier?.pid), "--fsize=100000:100000"]);
      make(job, "go");
      await eventually("its end", () => isGone(job, carrier!));
      const full = logSize(job);
      expect(full).toBe(100_000);
      expect(isRunning(job)).toBe(true);
      expect(logSize(job)).toBe(full);
      watchOver(job);
      expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
      const all = numbersTo(200_000).concat("end\n");
      const log = job.log();
      // What that carrier had read and not written is lost.
      expect(log.slice(0, full)).toBe(all.slice(0, full));
      expect(all.endsWith(log.slice(full))).toBe(true);
      expect(all.length - log.length).toBeLessThanOrEqual(64 * 1024);
    },
  );

  test("to stop it ends all but the carriers, which lose nothing", async () => {
    const job = await start(
      `trap "" TERM; until [ -e go ]; do sleep 0.02; done; seq 1 10000; >written; ${WHILE_WANTED}`,
    );
    for (const { pid } of carriersOf(job)) process.kill(pid, "SIGSTOP");
    make(job, "go");
    await eventually("its output", () => existsSync(join(job.dir.path, "written")));
    expect(logSize(job)).toBe(0);
    await stopJob(job, 100);
    expect(await exitOf(job)).toMatchObject({ signal: "SIGKILL" });
    expect(job.log()).toBe(numbersTo(10_000));
    expect(job.log("stderr.log")).toBe("");
  });

  test("signals to the group are for the command, not for the carriers", async () => {
    for (const signal of ["TERM", "INT", "USR1", "HUP", "WINCH", "PIPE", "XCPU"]) {
      const job = await start(
        `trap 'echo got; exit' ${signal}; echo ready; while :; do sleep 0.02; done`,
      );
      await eventually("its trap", () => job.log() === "ready\n");
      signalGroup(job.identity, `SIG${signal}` as NodeJS.Signals);
      await job.ended;
      expect(job.log(), signal).toBe("ready\ngot\n");
    }
  });

  test("a runner that is killed takes no output with it", async () => {
    const job = await start(`until [ -e go ]; do sleep 0.02; done; seq 1 100000; echo end >&2`);
    sendSignal(job.identity.runner.pid, "SIGKILL");
    await job.ended;
    make(job, "go");
    await eventually("the output", () => job.log("stderr.log") === "end\n");
    await eventually("all of it", () => job.log().endsWith("\n100000\n"));
    await eventually("their end", () => carriersOf(job).every((each) => isGone(job, each)));
  });

  test("input is as without pipes", async () => {
    const job = await start("cat; echo end >&2", { stdin: true });
    await job.send("one\n");
    await eventually("the output", () => job.log() === "one\n");
    await job.send("two\n", { close: true });
    expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
    expect([job.log(), job.log("stderr.log")]).toEqual(["one\ntwo\n", "end\n"]);
  });

  test("a command that cannot be executed is told of, and leaves no output", async () => {
    const dir = tempDir();
    const [interpreter, script] = ["interpreter", "script"].map((name) => join(dir, name));
    writeFileSync(interpreter!, "#!/nonexistent\n", { mode: 0o755 });
    writeFileSync(script!, `#!${interpreter}\n`, { mode: 0o755 });
    const job = await startJob(shell, [script!], { output: "pipe" });
    await job.ended;
    expect(readProcessRecord(job.dir)).toMatchObject({
      notExecuted: expect.stringContaining(script!) as string,
    });
    expect([job.log(), job.log("stderr.log")]).toEqual(["", ""]);
  });

  test("is not taken for a stranger where the record of its processes is lost", async () => {
    const job = await start(WHILE_WANTED);
    await eventually("the command", () => processTable().hasErrorOutput([job.dir.fifo("stderr")]));
    make(job, "enough");
    await job.ended;
  });
});
