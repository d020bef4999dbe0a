import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { processTable } from "../../src/engine/local/process/processes.js";
import { managerPid } from "../../src/manager-pid.js";
import { eventually } from "../helpers/eventually.js";
import { endAll, launch, newStateDir, procman } from "../helpers/procman-command.js";
import { sharedTempDir, tempDir } from "../helpers/temp-dir.js";
import { MAIN } from "../helpers/test-server.js";

const shared = join(sharedTempDir(), "state");
const cli = (...args: string[]) => procman(shared, ...args);
beforeAll(async () => {
  mkdirSync(shared, { mode: 0o700 });
  expect((await cli("ls")).code).toBe(0);
});
afterAll(() => endAll(shared));

async function started(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await cli("run", "-d", ...args);
  expect(code, stderr).toBe(0);
  expect(stdout).toMatch(/^[0-9a-z]{12}\n$/);
  return stdout.trim();
}

describe("run", () => {
  test("follows to the end: both streams apart, the exit code its own", async () => {
    const ran = await cli("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7");
    expect(ran).toMatchObject({ code: 7, stdout: "out\n" });
    expect(ran.stderr).toContain("err\n");
  });

  test("passes bytes through as they are", async () => {
    const { stdout } = await cli("run", "--", "printf", "a\\000b\\r\\n");
    expect(stdout).toBe("a\0b\r\n");
  });

  test("everything after -- is the command's", async () => {
    const { stdout } = await cli("run", "--", "printf", "<%s>", "--json", "-d", "--", "--help");
    expect(stdout).toBe("<--json><-d><--><--help>");
  });

  test("gives the command this shell's environment and directory, and what was asked for", async () => {
    const dir = tempDir();
    const ran = await launch(
      shared,
      ["run", "--env", "B=2", "--work-dir", dir, "--", "sh", "-c", "echo $A $B; pwd"],
      { A: "1" },
    ).ended;
    expect(ran.stdout).toBe(`1 2\n${dir}\n`);
  });

  test("Ctrl-C detaches, says how to come back, and the job goes on", async () => {
    const running = launch(shared, ["run", "--", "sh", "-c", "echo begun; sleep 1000"]);
    await eventually("the output", () => running.stdout() === "begun\n");
    running.signal("SIGINT");
    const { code, stderr } = await running.ended;
    expect(code).toBe(130);
    const id = /procman attach (?:.* )?([0-9a-z]{12})/.exec(stderr)?.[1] as string;
    expect(stderr).toContain("goes on");
    const { stdout } = await cli("get", "--json", id);
    expect(JSON.parse(stdout)).toMatchObject({ status: "running" });
    expect((await cli("cancel", id)).code).toBe(0);
  });

  test("--for waits for a time, then prints a bounded output", async () => {
    const ended = await cli(
      "run",
      "--for",
      "20s",
      "--",
      "sh",
      "-c",
      "echo out; echo err >&2; exit 3",
    );
    expect(ended).toMatchObject({
      code: 3,
      stdout: "out\n",
      stderr: expect.stringContaining("err\n"),
    });

    const script = "printf 0123456789; sleep 1000";
    const begun = ["--name", "bounded", "--", "sh", "-c", script];
    const still = await cli("run", "--for", "500ms", "--max-output", "4B", ...begun);
    expect(still).toMatchObject({ code: 124, stdout: "01\n[6 B left out]\n89" });
    expect(still.stderr).toContain("has not ended yet");
    const asJson = await cli("run", "--for", "0s", "--if-running", "return", "--json", ...begun);
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      job: { name: "bounded", status: "running" },
      parts: [{ stream: "stdout", text: "0123456789" }],
      stdoutNextOffset: "10",
    });
    expect((await cli("cancel", "bounded")).code).toBe(0);
    expect(await cli("run", "--max-output", "4B", "--", "true")).toMatchObject({ code: 125 });
  });

  test("a timeout fails the job, and says so", async () => {
    const ran = await cli("run", "--timeout", "200ms", "--", "sleep", "1000");
    expect(ran.code).toBe(124);
    expect(ran.stderr).toContain("timed out");
    const [id] = /[0-9a-z]{12}/.exec(ran.stderr) as RegExpExecArray;
    expect((await cli("wait", id)).code).toBe(143);
  });

  test.each([
    [["run", "--", "no-such-command"], 127, "no-such-command"],
    [["run", "--", "/etc/passwd"], 126, "/etc/passwd"],
    [["run", "--work-dir", "/no/such/dir", "--", "true"], 125, "/no/such/dir"],
    [["run", "--timeout", "-5s", "--", "true"], 125, "timeout"],
    [["run"], 125, "command"],
    [["wait", "zzzz"], 125, "zzzz"],
    [["frobnicate"], 2, "frobnicate"],
    [["get", "zzzz"], 1, "zzzz"],
    [["signal", "zzzz", "TERM"], 1, "zzzz"],
  ])("%j exits with %i and says why on one line", async (args, code, word) => {
    const ran = await cli(...args);
    expect(ran.code).toBe(code);
    expect(ran.stdout).toBe("");
    expect(ran.stderr).toContain(word);
    expect(ran.stderr).not.toContain("    at ");
  });
});

test("a name: one job at a time, started again with what it was started with", async () => {
  const script = "echo $SECRET; exec sleep 1000";
  const words = ["--name", "web", "-e", "SECRET=s", "--", "sh", "-c", script];
  const first = await started(...words);
  expect((await cli("run", "-d", "--name", "web", "--", "true")).stderr).toContain(
    `web is the name of job ${first}, which has not ended`,
  );
  expect(await started("--name", "web", "--if-running", "return", "--", "true")).toBe(first);
  const { stdout: next } = await cli("restart", "--grace", "10s", "web");
  expect(next).toMatch(/^[0-9a-z]{12}\n$/);
  expect((await cli("wait", "--for-output", "^s$", "--timeout", "20s", "web")).stdout).toBe("s\n");
  expect((await cli("ls", "--name", "web")).stdout).toMatch(
    new RegExp(`^ID +NAME .*\\n${next.trim()} +web +running .*\\n${first} +web +cancelled `),
  );
  expect((await cli("cancel", "--last")).stdout).toContain(`${next.trim()} cancelled`);
  const { stdout } = await cli("get", "--json", "web");
  expect(JSON.parse(stdout)).toMatchObject({ name: "web", previousId: first });
});

test("several jobs at once: their output, a signal, their end, their removal", async () => {
  const label = ["--label", "batch=7"];
  const lines = 'echo "$0 begun"; trap "echo $0 told" USR1; while :; do sleep 0.05; done';
  for (const name of ["one", "two"]) {
    await started("--name", name, ...label, "--", "sh", "-c", lines, name);
  }
  const attached = launch(shared, ["attach", ...label]);
  const shows = (text: string) => attached.stdout().includes(text);
  await eventually("both", () => shows("one | one begun\n") && shows("two | two begun\n"));
  expect((await cli("signal", ...label, "USR1")).stdout).toMatch(
    /^\S+ running.*\n\S+ running.*\n$/,
  );
  await eventually("the signals", () => shows("one | one told\n") && shows("two | two told\n"));
  expect((await cli("wait", "--timeout", "0", "one", "two")).code).toBe(124);
  expect((await cli("cancel", ...label)).stdout).toMatch(/^\S+ cancelled.*\n\S+ cancelled.*\n$/);
  expect((await attached.ended).code).toBe(0);
  expect((await cli("wait", ...label)).code).toBe(143);
  const failed = await started(...label, "--", "sleep", "1000");
  expect((await cli("rm", ...label)).stdout).toMatch(/^\S+ removed\n\S+ removed\n$/);
  expect((await cli("rm", "-f", ...label)).stdout).toBe(`${failed} removed\n`);
  expect((await cli("rm", ...label)).stderr).toBe("procman: there are no such jobs\n");
});

describe("what a command is given", () => {
  test("130,000 arguments are passed on, whichever options come before", async () => {
    const many = Array.from({ length: 130_000 }, (_, n) => String(n % 10));
    for (const before of [["--"], []]) {
      const script = 'echo "$# ${130000}"';
      const words = ["run", ...before, "sh", "-c", script, "sh"].concat(many);
      const ran = await launch(shared, words).ended;
      expect(ran).toMatchObject({ code: 0, stdout: "130000 9\n" });
    }
  });

  test("an environment of more than 1 MiB", async () => {
    const variables = Array.from({ length: 12 }, (_, n) => ["-e", `V${n}=${"x".repeat(100_000)}`]);
    const ran = await cli("run", ...variables.flat(), "--", "sh", "-c", "echo ${#V11}");
    expect(ran).toMatchObject({ code: 0, stdout: "100000\n" });
  });

  test("an argument or a variable that is not UTF-8 is refused and named", async () => {
    const env = { ...process.env, PROCMAN_STATE_DIR: shared, PROCMAN_LISTEN: "none" };
    const run = async (script: string) => {
      const child = spawn("sh", ["-c", script, "sh", process.execPath, MAIN], { env });
      let stderr = "";
      child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
      const [code] = (await once(child, "close")) as [number];
      return { code, stderr };
    };
    const byArgument = await run('exec "$1" "$2" run -- true "$(printf "caf\\351")"');
    expect(byArgument).toMatchObject({ code: 125 });
    expect(byArgument.stderr).toContain("argument 4 is not UTF-8: $'caf\\xe9'");
    const byVariable = await run('ODD="$(printf "\\351")" exec "$1" "$2" run -- true');
    expect(byVariable).toMatchObject({ code: 125 });
    expect(byVariable.stderr).toContain("variable ODD is not UTF-8");
    expect(await run('exec "$1" "$2" run -- true "$(printf "\\357\\277\\275")"')).toMatchObject({
      code: 0,
    });
  });
});

describe("coming back", () => {
  test("attach, watch, wait and get, by a prefix of the id", async () => {
    const id = await started("--label", "x=1", "--", "sh", "-c", "echo one; echo two; exit 3");
    expect((await cli("wait", id)).code).toBe(3);
    expect((await cli("attach", id.slice(0, 8))).stdout).toBe("one\ntwo\n");
    expect((await cli("attach", "--tail", "1", id)).stdout).toBe("two\n");
    expect((await cli("attach", "--stdout-offset", "4", id)).stdout).toBe("two\n");
    expect((await cli("watch", id)).stdout).toContain("one\ntwo\n");
    expect((await cli("get", id)).stdout).toMatch(/exit code: +3/);
    expect((await cli("ls", "--label", "x=1")).stdout).toContain(id);
    expect((await cli("ls", "--label", "x=2")).stdout).not.toContain(id);
  });

  test("wait gives up after its timeout with 124", async () => {
    const id = await started("--", "sleep", "1000");
    expect((await cli("wait", "--timeout", "100ms", id)).code).toBe(124);
    expect((await cli("rm", id)).code).toBe(1);
    expect((await cli("signal", id, "KILL")).code).toBe(0);
    expect((await cli("wait", id)).code).toBe(137);
    expect((await cli("rm", id)).code).toBe(0);
    expect((await cli("get", id)).code).toBe(1);
  });

  test("wait for a line or a port prints it; the job's end and the timeout exit otherwise", async () => {
    const id = await started(
      "--",
      process.execPath,
      "-e",
      `const server = require("net").createServer();
      server.listen(0, "127.0.0.1", () => process.stdout.write("port " + server.address().port + "> "))`,
    );
    const prompt = await cli("wait", "--for-output", "^port \\d+> ", id);
    expect(prompt).toMatchObject({ code: 0, stderr: "" });
    const port = /\d+/.exec(prompt.stdout)?.[0] as string;
    expect(prompt.stdout).toBe(`port ${port}> \n`);
    expect(await cli("wait", "--for-port", port, id)).toMatchObject({
      code: 0,
      stdout: `${port}\n`,
    });
    const json = await cli("wait", "--for-port", "0", "--json", id);
    expect(JSON.parse(json.stdout)).toMatchObject({ job: { id }, port: Number(port) });
    const late = await cli("wait", "--for-output", "never", "--timeout", "100ms", id);
    expect(late).toMatchObject({ code: 124, stdout: "" });
    const waiting = cli("wait", "--for-output", "never", id);
    expect((await cli("signal", id, "TERM")).code).toBe(0);
    expect(await waiting).toMatchObject({ code: 143, stdout: "" });

    const done = await started("--", "true");
    expect((await cli("wait", "--for-port", "0", done)).code).toBe(1);
    const wrong = await cli("wait", "--for-output", "(", done);
    expect(wrong).toMatchObject({ code: 125, stdout: "" });
    expect(wrong.stderr).toContain("--for-output: missing closing )");
  });

  test("--json is one object a line, with the API's names", async () => {
    const id = await started("--", "sh", "-c", "echo hi; exit 0");
    await cli("wait", id);
    const job = JSON.parse((await cli("get", "--json", id)).stdout) as object;
    expect(job).toMatchObject({ id, status: "completed", exitCode: 0, stdoutBytes: "3" });
    const lines = (await cli("attach", "--json", id)).stdout.trim().split("\n");
    const events = lines.map((line) => Object.keys(JSON.parse(line) as object)[0]);
    expect(events).toEqual(["opened", "chunk", "ended"]);
  });

  test("cleanup tells what it removed", async () => {
    const stateDir = newStateDir();
    const { stdout } = await procman(stateDir, "run", "-d", "--", "true");
    const id = stdout.trim();
    await procman(stateDir, "wait", id);
    expect((await procman(stateDir, "cleanup")).stdout).not.toContain(id);
    expect((await procman(stateDir, "cleanup", "--older-than", "0s")).stdout).toContain(id);
    expect((await procman(stateDir, "refresh")).code).toBe(0);
  });

  test("a reader that goes away ends the command quietly", async () => {
    const id = await started("--", "sh", "-c", "head -c 3000000 /dev/zero");
    await cli("wait", id);
    const script = `"${process.execPath}" "${MAIN}" attach ${id} | head -c 10 >/dev/null; echo done`;
    const child = spawn("bash", ["-c", script], {
      env: { ...process.env, PROCMAN_STATE_DIR: shared },
    });
    let stderr = "";
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    await once(child, "close");
    expect(stderr).toBe("");
  });

  test
    .runIf(existsSync("/dev/full"))
    .each([["--help"], ["run", "--help"], ["-V"], ["ls", "--json"]])(
    "procman %s says that its output could not be written",
    async (...args) => {
      const ran = await promisify(execFile)(
        "sh",
        ["-c", `"$@" >/dev/full`, "sh", process.execPath, MAIN, ...args],
        { env: { ...process.env, PROCMAN_STATE_DIR: shared } },
      ).catch((error: unknown) => error);
      expect(ran).toMatchObject({
        code: 1,
        stderr: expect.stringContaining("cannot write to stdout: ENOSPC"),
      });
    },
  );
});

describe("completion in a shell", () => {
  const shells = {
    bash: `eval "$(procman completion bash)"
      try() { COMP_LINE=$1 COMP_POINT=\${#1}; _procman; echo "\${COMPREPLY[*]}"; }`,
    zsh: `compdef() {}; _describe() { print -r -- \${(@P)2%%:*} }; _files() { echo files }
      eval "$(procman completion zsh)"
      try() { words=("\${(@s: :)1}"); CURRENT=$#words; _procman }`,
    fish: `procman completion fish | source
      function try; complete -C $argv | string split -f 1 \\t | string join " "; end`,
  };

  const isInstalled = (shell: string) =>
    ["/bin", "/usr/bin", "/usr/local/bin"].some((dir) => existsSync(join(dir, shell)));

  test.each(Object.entries(shells).filter(([shell]) => isInstalled(shell)))(
    "%s",
    async (shell, setup) => {
      const id = await started("--label", `shell=${shell}`, "--", "sleep", "1000");
      const bin = tempDir();
      const program = join(bin, "procman");
      writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${MAIN}" "$@"\n`, {
        mode: 0o755,
      });
      const lines = [
        "procman canc",
        `procman cancel ${id.slice(0, 9)}`,
        "procman ls --status orph",
      ];
      const script = [setup, ...lines.map((line) => `try "${line}"`), "true"].join("\n");
      const path = `${bin}:${process.env["PATH"]}`;
      const { stdout } = await promisify(execFile)(
        shell,
        [...(shell === "zsh" ? ["-f"] : []), "-c", script],
        // fish writes to the home directory.
        { env: { ...process.env, HOME: bin, PATH: path, PROCMAN_STATE_DIR: shared } },
      );
      expect(stdout.trimEnd().split("\n")).toEqual(["cancel", id, "orphaned"]);
      expect((await cli("kill", id)).code).toBe(0);
    },
  );
});

describe("the server", () => {
  test("is started where none runs; many that do so at once get the same", async () => {
    const stateDir = newStateDir();
    const runs = await Promise.all(
      Array.from({ length: 4 }, (_, n) => procman(stateDir, "run", "--", "echo", String(n))),
    );
    expect(runs.map(({ stdout }) => stdout)).toEqual(["0\n", "1\n", "2\n", "3\n"]);
    const list = await procman(stateDir, "ls", "--json");
    expect(list.stdout.trim().split("\n")).toHaveLength(4);
  });

  test("that was killed is started again, and jobs are as they were", async () => {
    const stateDir = newStateDir();
    const { stdout } = await procman(stateDir, "run", "-d", "--", "sh", "-c", "sleep 1; exit 7");
    process.kill((await managerPid(stateDir)) as number, "SIGKILL");
    expect((await procman(stateDir, "wait", stdout.trim())).code).toBe(7);
  });

  test("status tells where it listens, and starts none", async () => {
    const stateDir = newStateDir();
    const status = async (...words: string[]) => procman(stateDir, ...words, "--json");
    const none = await status("status");
    expect(none.code).toBe(3);
    expect(JSON.parse(none.stdout)).toEqual({ running: false, stateDir });
    const listen = { PROCMAN_LISTEN: "127.0.0.1:0" };
    const started = await launch(stateDir, ["server", "start", "--json"], listen).ended;
    const info = JSON.parse(started.stdout) as { addresses: [string]; pid: number };
    expect(info).toMatchObject({
      running: true,
      pid: await managerPid(stateDir),
      version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
      socketPath: join(stateDir, "procman.sock"),
      stateDir,
      jobs: 0,
      runningJobs: 0,
    });
    expect((await fetch(`${info.addresses[0]}/healthz`)).ok).toBe(true);
    // Killed and started again, with other addresses.
    process.kill(info.pid, "SIGKILL");
    await procman(stateDir, "run", "-d", "--", "sleep", "1000");
    expect(JSON.parse((await status("server", "status")).stdout)).toMatchObject({
      addresses: [],
      jobs: 1,
      runningJobs: 1,
    });
    await procman(stateDir, "server", "stop");
    expect(existsSync(join(stateDir, "server.json"))).toBe(false);
    expect((await status("status")).code).toBe(3);
  });

  test("stop ends it and leaves the jobs; where none runs it says so", async () => {
    const stateDir = newStateDir();
    const { stdout } = await procman(stateDir, "run", "-d", "--", "sleep", "1000");
    expect(await procman(stateDir, "stop", stdout.trim())).toMatchObject({ code: 2, stdout: "" });
    expect(await managerPid(stateDir)).toBeDefined();
    const stopped = await procman(stateDir, "stop");
    expect(stopped).toMatchObject({ code: 0 });
    expect(await managerPid(stateDir)).toBeUndefined();
    const again = await procman(stateDir, "stop");
    expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("no server") });
    const job = await procman(stateDir, "get", "--json", stdout.trim());
    expect(JSON.parse(job.stdout)).toMatchObject({ status: "running" });
  });

  test("listens on no TCP port where another process has the default one, and says so", async () => {
    // Whoever has it: this test or another process of this machine.
    const taken = createServer();
    taken.on("error", () => {});
    taken.listen(7420, "127.0.0.1");
    onTestFinished(() => void taken.close());
    const stateDir = newStateDir();
    const started = await launch(stateDir, ["ls"], { PROCMAN_LISTEN: undefined }).ended;
    expect(started.code).toBe(0);
    expect(started.stderr).toContain(
      `the server listens on ${join(stateDir, "procman.sock")} alone: port 7420 is in use`,
    );
    expect(readFileSync(join(stateDir, "server.log"), "utf8")).toContain("port 7420 is in use");
    const pid = (await managerPid(stateDir)) as number;
    for await (const { port } of processTable().listeners(0, () => [pid])) expect(port).toBe(0);
    // It is told to whoever has started the server, once.
    expect((await procman(stateDir, "ls")).stderr).toBe("");
  });

  test("a port that was asked for and is busy is an error that names it", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const ran = await procman(newStateDir(), "serve", "--listen", `127.0.0.1:${port}`);
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain(`127.0.0.1:${port}`);
  });

  test("a server that cannot start is told of, with the end of its log", async () => {
    const blocked = join(tempDir(), "file");
    writeFileSync(blocked, "");
    const ran = await procman(join(blocked, "state"), "ls");
    expect(ran.code).toBe(1);
    expect(ran.stderr).toContain(blocked);
  });

  test("what the shell's environment holds is in the job's private record only", async () => {
    const stateDir = newStateDir();
    const ran = await launch(stateDir, ["run", "-d", "--", "true"], { MY_SECRET: "hunter2" }).ended;
    const id = ran.stdout.trim();
    await procman(stateDir, "wait", id);
    for (const args of [
      ["get", id],
      ["get", "--json", id],
      ["ls", "--json"],
    ]) {
      expect((await procman(stateDir, ...args)).stdout).not.toContain("hunter2");
    }
    expect((await procman(stateDir, "get", "--env", id)).stdout).toContain("MY_SECRET=hunter2");
    expect(readFileSync(join(stateDir, "server.log"), "utf8")).not.toContain("hunter2");
  });
});

test.each([
  [],
  ["run"],
  ["ls"],
  ["get"],
  ["attach"],
  ["watch"],
  ["wait"],
  ["send"],
  ["resize"],
  ["signal"],
  ["cancel"],
  ["rm"],
  ["cleanup"],
  ["refresh"],
  ["serve"],
  ["stop"],
  ["completion"],
  ["logs"],
  ["tail"],
  ["kill"],
  ["status"],
  ["server"],
  ["server", "start"],
])("procman %s --help has examples", async (...words) => {
  const { code, stdout } = await cli(...words, "--help");
  expect(code).toBe(0);
  expect(stdout).toMatch(/Examples?:\n/);
});
