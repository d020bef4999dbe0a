import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { JobSpec } from "../../../src/contract/job.js";
import { readExitRecord } from "../../../src/engine/local/runner/runner-records.js";
import { LocalEngine } from "../../../src/engine/local/local-engine.js";
import { isAlive, processTable } from "../../../src/engine/local/process/processes.js";
import { signalGroup } from "../../../src/engine/local/process/signals.js";
import { resizeTerminal } from "../../../src/engine/local/terminal/terminal.js";
import { eventually } from "../../helpers/eventually.js";
import { shells } from "../../helpers/shells.js";
import { tempDir } from "../../helpers/temp-dir.js";
import { exitOf, type ShellJob, startJob, stopJob } from "./shell-job.js";

/** What a terminal shows of lines. */
const shown = (text: string) => text.replaceAll("\n", "\r\n");

/** Not a shell: bash loses a signal that comes while it runs what it does at that signal. */
const TELLS_SIZES = `
import os, signal, time
def tell(*_):
    columns, rows = os.get_terminal_size(1)
    print(rows, columns)
signal.signal(signal.SIGWINCH, tell)
print("ready")
while True: time.sleep(1)
`;

describe.each(shells())("%s", (_program, shell) => {
  const start = (command: [string, ...string[]], options: Partial<JobSpec> = {}) =>
    startJob(shell, command, {
      pty: true,
      mergeOutput: true,
      windowSize: { rows: 30, columns: 100 },
      ...options,
    });
  const script = (text: string, options: Partial<JobSpec> = {}) =>
    start(["bash", "-c", text], options);
  const output = (job: ShellJob, text: string) =>
    eventually(`output of ${JSON.stringify(text)}`, () => job.log().includes(text));

  test("both outputs are a terminal of the size and kind asked for, in one log", async () => {
    const job = await script(
      "[ -t 1 ] && [ -t 2 ] && stty size <&1; echo $TERM; echo err >&2; tput cols; exit 7",
      { env: { TERM: "vt100" } },
    );
    expect(await exitOf(job)).toMatchObject({ exitCode: 7, cpuTimeMs: expect.any(Number) });
    expect(job.log()).toBe(shown("30 100\nvt100\nerr\n100\n"));
    expect(job.log("stderr.log")).toBe("");
  });

  test("TERM is xterm-256color, and input /dev/null, where nothing else is asked for", async () => {
    const job = await script("echo $TERM; readlink /proc/self/fd/0; cat; cat; echo end");
    await job.ended;
    expect(job.log()).toBe(shown("xterm-256color\n/dev/null\nend\n"));
  });

  test("with input, that is the terminal too, for reading and writing, and nothing else is open", async () => {
    const job = await script("tty; stty -a | head -n 1; echo written >&0; ls -l /proc/$$/fd", {
      stdin: true,
    });
    await job.ended;
    const [terminal, , written, ...rest] = job.log().split("\r\n");
    expect(terminal).toMatch(/^\/dev\/pts\/\d+$/);
    expect(written).toBe("written");
    const targets = rest.flatMap((line) => /(\d+) -> (.*)$/.exec(line)?.slice(1).join(" ") ?? []);
    const ours = targets.filter((each) => /pts|jobs?\/|\.sh|ptmx/.test(each));
    expect(ours).toEqual([0, 1, 2].map((fd) => `${fd} ${terminal}`));
  });

  test("tells who the command is, in a session of its own that its runner leads", async () => {
    const job = await script("echo $$; sleep 1000");
    await output(job, "\n");
    const { command, runner, exitRecorder } = job.identity;
    expect(command.pid).toBe(Number(job.log()));
    expect(exitRecorder.pid).toBe(job.child.pid);
    expect(runner.pid).not.toBe(exitRecorder.pid);
    expect(processTable().lookup(command.pid)).toMatchObject({
      sessionId: runner.pid,
      groupId: runner.pid,
    });
  });

  test("death by a signal is recorded as 128+n", async () => {
    const job = await script("kill -9 $$");
    expect(await exitOf(job)).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
    expect(job.log()).toBe("");
  });

  test("the end is recorded when all output is in the log, not before", async () => {
    const job = await script("seq 1 100000; echo last; exit 3");
    await eventually("the exit record", () => readExitRecord(job.dir.exit));
    const lines = job.log().split("\r\n");
    expect(lines).toHaveLength(100_002);
    expect(lines.slice(-2)).toEqual(["last", ""]);
  });

  test("arguments and environment arrive as they are", async () => {
    const args = ["", " a  b ", "$HOME", "`id`", "*", "-n", "it's", "\\", '"', "ü\u{1f600}", "--"];
    const job = await start(
      ["bash", "-c", 'printf "<%s>" "$SHELL" "$SCRIPT" "$A.B" "$@"', ...args],
      {
        clearEnv: true,
        env: { SHELL: "/bin/strange", PATH: process.env["PATH"] ?? "", "A.B": "x" },
      },
    );
    await job.ended;
    expect(job.log()).toBe(
      ["/bin/strange", "", ".B", ...args.slice(1)].map((a) => `<${a}>`).join(""),
    );
    const env = await start(["env"], { clearEnv: true, env: { ONLY: "this" } });
    await env.ended;
    expect(env.log().split("\r\n").toSorted()).toEqual(["", "ONLY=this", "TERM=xterm-256color"]);
  });

  test("arguments may be long, and stand in the command's own title only", async () => {
    const long = Array.from({ length: 8 }, (_, n) => `${n}`.repeat(100_000));
    const job = await start(["bash", "-c", "echo $#; sleep 1000; :", "bash", ...long]);
    await output(job, "8");
    const titles = () =>
      processTable()
        .all()
        .filter(({ sessionId }) => [job.child.pid, job.identity.runner.pid].includes(sessionId))
        .filter(({ pid }) => commandLine(pid).includes(long[3] as string))
        .map(({ pid }) => pid);
    // Its child has it too, until that becomes `sleep`.
    await eventually("one title", () => titles().join() === String(job.identity.command.pid));
    const tooLong = start(["true", "x".repeat(130 * 1024)]);
    await expect(tooLong).rejects.toMatchObject({ reason: "INVALID_ARGUMENT" });
  });

  test("a command with = in its name has its environment, SHELL too", async () => {
    const dir = tempDir();
    symlinkSync("/usr/bin/env", join(dir, "a=b"));
    const job = await start([join(dir, "a=b")], {
      clearEnv: true,
      env: { SHELL: "/bin/false", "A.B": "x" },
    });
    await job.ended;
    expect(job.log().split("\r\n").toSorted()).toEqual([
      "",
      "A.B=x",
      "SHELL=/bin/false",
      "TERM=xterm-256color",
    ]);
  });

  test("nothing of the server's own terminal is said to it, but what is asked for", async () => {
    vi.stubEnv("COLUMNS", "33");
    vi.stubEnv("LINES", "44");
    vi.stubEnv("TMUX", "/tmp/tmux");
    onTestFinished(() => void vi.unstubAllEnvs());
    const job = await start(["sh", "-c", "echo $COLUMNS,$LINES,$TMUX"], { env: { LINES: "55" } });
    await job.ended;
    expect(job.log()).toBe(shown(",55,\n"));
  });

  test("what is typed is echoed, read by lines, and can be corrected", async () => {
    const job = await script('read -r line; echo "got $line"; cat; echo end', { stdin: true });
    await job.send("helln\u007fo\n");
    await output(job, "got hello");
    await job.send("more\n", { close: true });
    expect(await exitOf(job)).toMatchObject({ exitCode: 0 });
    expect(job.log()).toContain(shown("more\nmore\nend\n"));
  });

  test("closed within a line, that is read and then the end", async () => {
    const job = await script("cat; echo; echo end", { stdin: true });
    expect(await job.send("part", { offset: 0, close: true })).toBe(4);
    await job.ended;
    expect(job.log()).toContain(shown("part\nend\n"));
    expect(await job.send("part", { offset: 0, close: true })).toBe(4);
    expect(readFileSync(join(job.dir.path, "stdin.log"), "latin1")).toBe("part\x04\x04");
  });

  test("Ctrl-C interrupts what runs in the foreground, and leaves the shell", async () => {
    const job = await start(["bash", "--norc", "-i"], { stdin: true });
    await output(job, "bash-");
    await job.send("sleep 1000\r");
    // Before it has become that, it is a shell, which may take the signal and go on.
    await eventually("the sleep", () => commandLine(foreground(job)).startsWith("sleep"));
    await job.send("\x03");
    await eventually("the prompt", () => foreground(job) === job.identity.command.pid);
    await job.send("echo status $?\r");
    await output(job, "status 130");
    await job.send("exit 9\r");
    expect(await exitOf(job)).toMatchObject({ exitCode: 9 });
  });

  test("a new size is told to what runs in the foreground", async () => {
    const job = await start(["python3", "-uc", TELLS_SIZES]);
    await output(job, "ready");
    for (const [rows, columns] of [
      [50, 132],
      [24, 80],
      [51, 133],
      [25, 81],
      [52, 134],
    ] as const) {
      expect(await resizeTerminal(job.identity.runner.pid, { rows, columns })).toBe(true);
      await output(job, shown(`${rows} ${columns}\n`));
    }
    // Each in one step: no size that nobody asked for, such as the new rows and the old columns.
    expect(job.log()).toBe(shown("ready\n50 132\n24 80\n51 133\n25 81\n52 134\n"));
    await stopJob(job, 0);
    await job.ended;
    expect(await resizeTerminal(job.identity.runner.pid, { rows: 5, columns: 5 })).toBe(false);
  });

  test("it is told where the C library cannot be called", async () => {
    const job = await script("echo ready; while :; do stty size <&1; sleep 0.02; done");
    await output(job, "ready");
    const none = { setWindowSize: undefined };
    const resize = () => resizeTerminal(job.identity.runner.pid, { rows: 51, columns: 133 }, none);
    expect(await resize()).toBe(true);
    await output(job, "51 133");
    await stopJob(job, 0);
    await job.ended;
    expect(await resize()).toBe(false);
  });

  test("ending it reaches everything in the terminal, what hides from its hangup too", async () => {
    const job = await script(
      [
        "set -m; trap '' TERM HUP",
        "(trap '' TERM HUP; sleep 1000; :) &",
        "nohup sleep 1000 >/dev/null 2>&1 &",
        "echo ready; while :; do sleep 0.05; done",
      ].join("\n"),
    );
    await output(job, "ready");
    const { runner } = job.identity;
    const members = () =>
      processTable()
        .all()
        .filter(({ sessionId, pid }) => sessionId === runner.pid && pid !== runner.pid);
    await eventually("all of them", () => members().length >= 4);
    await stopJob(job, 50);
    expect(members().filter(({ zombie }) => !zombie)).toEqual([]);
    expect(await exitOf(job)).toMatchObject({ exitCode: 137, signal: "SIGKILL" });
  });

  test("a polite end is one: the command's own exit code", async () => {
    const job = await script(
      "trap 'echo bye; exit 4' TERM; echo ready; while :; do sleep 0.02; done",
    );
    await output(job, "ready");
    signalGroup(job.identity, "SIGTERM");
    expect(await exitOf(job)).toMatchObject({ exitCode: 4 });
    expect(job.log()).toContain("bye");
  });

  test("when what makes the terminal is killed, the command goes on without, and its end is known", async () => {
    const engine = new LocalEngine({ pollIntervalMs: 50 });
    const job = await script("echo ready; sleep 1000");
    await output(job, "ready");
    process.kill(scriptOf(job), "SIGKILL");
    await job.ended;
    expect(await engine.open(job.dir).inspect()).toMatchObject({ kind: "alive", recorded: false });
    expect(await engine.open(job.dir).signal("TERM")).toBe(true);
    await eventually(
      "the end",
      async () => (await engine.open(job.dir).inspect()).kind === "exited",
    );
    expect(await engine.open(job.dir).inspect()).toMatchObject({
      exitCode: 143,
      signal: "SIGTERM",
    });
  });

  test("when what sees to the record is killed, the runner's own counts", async () => {
    const engine = new LocalEngine({ pollIntervalMs: 50 });
    const job = await script("while [ ! -e go ]; do sleep 0.02; done; echo end; exit 6");
    const { bootId, exitRecorder } = job.identity;
    process.kill(exitRecorder.pid, "SIGKILL");
    await eventually("its end", () => !isAlive(bootId, exitRecorder));
    expect(await engine.open(job.dir).inspect()).toMatchObject({ kind: "alive", recorded: false });
    writeFileSync(join(job.dir.path, "go"), "");
    await eventually(
      "the end",
      async () => (await engine.open(job.dir).inspect()).kind === "exited",
    );
    expect(await engine.open(job.dir).inspect()).toMatchObject({ exitCode: 6 });
  });

  test("a runner that was killed leaves no exit code", async () => {
    const engine = new LocalEngine({ pollIntervalMs: 50 });
    const job = await script("echo ready; sleep 1000");
    await output(job, "ready");
    process.kill(job.identity.runner.pid, "SIGKILL");
    await eventually("the end", async () => (await engine.open(job.dir).inspect()).kind === "gone");
  });
});

/** The script(1) of a job: its first process is the parent. */
function scriptOf(job: ShellJob): number {
  const found = processTable()
    .all()
    .find(({ pid, sessionId }) => sessionId === job.child.pid && commandName(pid) === "script");
  if (!found) throw new Error("no script");
  return found.pid;
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "latin1");
  } catch {
    // It has just ended.
    return "";
  }
}

function commandName(pid: number): string {
  return statFields(pid)[0] ?? "";
}

/** The process group in the foreground of the command's terminal. */
function foreground(job: ShellJob): number {
  return Number(statFields(job.identity.command.pid)[6]);
}

/** From the name on: see proc_pid_stat(5). */
function statFields(pid: number): string[] {
  const [, name = "", rest = ""] =
    /^\d+ \((.*)\) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "latin1")) ?? [];
  return [name, ...rest.split(" ")];
}
