import { execFile, execFileSync } from "node:child_process";
import {
  chownSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { managerPid } from "../../src/manager-pid.js";
import { eventually } from "../helpers/eventually.js";
import { endAll, launch, newStateDir, procman } from "../helpers/procman-command.js";
import { endProcess, isRunning } from "../helpers/strangers.js";
import { tempDir } from "../helpers/temp-dir.js";
import { endJobs, MAIN, TestServer } from "../helpers/test-server.js";

const run = promisify(execFile);

/** Runs a bash script in which `procman` is the real program. */
function bash(stateDir: string, script: string) {
  const procman = `procman() { '${process.execPath}' '${MAIN}' "$@"; }`;
  return run("bash", ["-c", `${procman}; ${script}`], {
    env: { ...process.env, PROCMAN_STATE_DIR: stateDir, PROCMAN_LISTEN: "none" },
    timeout: 60_000,
  });
}

describe("descriptors of whoever starts the server", () => {
  test("a lock is given back, and a pipe ends, though server and job run on", async () => {
    const stateDir = newStateDir();
    const lock = join(tempDir(), "lock");
    const script = "(flock 200; procman run -d -- sleep 1000) 200>lock 63> >(cat >&2)";
    // It ends when nobody has the pipe any more.
    await bash(stateDir, `cd '${join(lock, "..")}' && ${script}; wait`);
    execFileSync("flock", ["--nonblock", lock, "true"]);
    const pid = (await managerPid(stateDir)) as number;
    expect(pid).toBeGreaterThan(0);
    if (process.platform !== "linux") return;
    for (const fd of [63, 200]) {
      expect(readlinkSync(`/proc/${pid}/fd/${fd}`)).toBe("/dev/null");
    }
  });

  describe.runIf(process.platform === "linux")("of a server in the foreground", () => {
    const wrapper = ["bash", "-c", 'exec 20>/dev/null 63>/dev/null 200>/dev/null; exec "$@"', ""];
    const server = TestServer.shared({ wrapper });

    test.each([{}, { stdin: true }, { pty: true }])("no job has one: %j", async (options) => {
      const script = "for fd in 20 63 200; do [ -e /proc/$$/fd/$fd ] && exit 1; done; exit 0";
      const { client } = server;
      const { job } = await client.start({ command: "sh", args: ["-c", script], ...options });
      const { job: ended } = await client.wait({ id: job?.id as string });
      expect(ended?.exitCode).toBe(0);
    });
  });
});

describe("what others do to the state directory of a server that runs", () => {
  async function withJob() {
    const server = await TestServer.start();
    const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
    const pid = job?.pid as number;
    onTestFinished(() => endProcess(pid));
    return { server, id: job?.id as string, pid };
  }

  test("its socket and its lock are deleted: it makes them again", async () => {
    const { server, id } = await withJob();
    for (const names of [["procman.sock"], ["procman.sock", "lock.1"]]) {
      for (const name of names) rmSync(join(server.stateDir, name));
      await eventually("a new socket", () => existsSync(server.socketPath));
      expect((await server.client.get({ id })).job?.status).toBe(Status.RUNNING);
    }
    expect(await eventually("the lock", () => managerPid(server.stateDir))).toBe(server.pid);
    const second = TestServer.prepare({ stateDir: server.stateDir });
    await second.start({ ready: false });
    expect(await second.ended()).toBe(3);
    expect(second.log).toContain(`already served by process ${server.pid}`);
    expect((await server.client.get({ id })).job?.status).toBe(Status.RUNNING);
  });

  test.runIf(process.platform === "linux")(
    "its lock is deleted while it is stopped: no second server takes its place",
    async () => {
      const { server, id } = await withJob();
      await eventually("the kernel's lock", () =>
        new RegExp(`FLOCK .* ${server.pid} `).test(readFileSync("/proc/locks", "utf8")),
      );
      process.kill(server.pid, "SIGSTOP");
      for (const name of ["procman.sock", "lock.1"]) rmSync(join(server.stateDir, name));
      const second = TestServer.prepare({ stateDir: server.stateDir });
      await second.start({ ready: false });
      // It waits once it has the directory open.
      await eventually("the second one to look", () =>
        second.openFiles().includes(server.stateDir),
      );
      process.kill(server.pid, "SIGCONT");
      expect(await second.ended()).toBe(3);
      expect((await server.client.get({ id })).job?.status).toBe(Status.RUNNING);
    },
  );

  test("it is deleted: the server ends and says why, the job goes on", async () => {
    const { server, pid } = await withJob();
    rmSync(server.stateDir, { recursive: true });
    expect(await server.ended()).toBe(1);
    expect(server.log).toContain(`${server.stateDir} was deleted`);
    expect(isRunning(pid)).toBe(true);
  });

  test("it is moved away and comes back: all goes on", async () => {
    const { server, id, pid } = await withJob();
    renameSync(server.stateDir, `${server.stateDir}.away`);
    await expect(server.client.start({ command: "true" })).rejects.toThrow();
    renameSync(`${server.stateDir}.away`, server.stateDir);
    expect((await server.client.get({ id })).job?.status).toBe(Status.RUNNING);
    expect((await server.client.cancel({ id })).job?.status).toBe(Status.CANCELLED);
    expect(isRunning(pid)).toBe(false);
  });
});

test("its package is deleted: the server goes on and starts jobs of every kind", async () => {
  const root = join(MAIN, "../../..");
  const installed = join(tempDir(), "procman");
  for (const path of ["package.json", "dist/bin", "dist/src/engine/local"]) {
    cpSync(join(root, path), join(installed, path), { recursive: true });
  }
  symlinkSync(join(root, "node_modules"), join(installed, "node_modules"));
  const server = await TestServer.start({ main: join(installed, "dist/bin/procman.cjs") });
  const { client } = server;
  // A runner waits for the next job from then on.
  await client.start({ command: "true" });
  rmSync(installed, { recursive: true });
  const end = async (options: { stdin?: boolean; pty?: boolean }) => {
    const { job } = await client.start({ command: "cat", ...options });
    const id = job?.id as string;
    const data = Buffer.from(options.pty ? "x\n\x04" : "x\n");
    if (options.stdin) await client.sendInput({ id, data, close: !options.pty });
    return (await client.wait({ id })).job;
  };
  const ended = { status: Status.COMPLETED, exitCode: 0 };
  for (let starts = 0; starts < 3; starts += 1) expect(await end({})).toMatchObject(ended);
  expect(await end({ stdin: true })).toMatchObject({ ...ended, stdoutBytes: 2n });
  expect(await end({ pty: true, stdin: true })).toMatchObject(ended);
  expect(existsSync(join(server.stateDir, "scripts"))).toBe(true);
  expect(server.log).not.toMatch(/"level":[56]0/);
});

describe("a state directory whose path is too long for a socket", () => {
  test("has its server's socket elsewhere, made again when deleted, gone at the end", async () => {
    const runtimeDir = tempDir();
    const stateDir = join(tempDir(), "x".repeat(150));
    const env = { XDG_RUNTIME_DIR: runtimeDir };
    const words = async (...args: string[]) => (await launch(stateDir, args, env).ended).stdout;
    onTestFinished(async () => {
      await launch(stateDir, ["stop"], env).ended;
      await endJobs(stateDir);
    });
    expect(await words("run", "--", "echo", "x")).toBe("x\n");
    const [name = ""] = readdirSync(runtimeDir);
    const socketPath = join(runtimeDir, name);
    expect(await words("status")).toContain(`socket:    ${socketPath}\n`);
    rmSync(socketPath);
    await eventually("a new socket", () => existsSync(socketPath));
    expect(await words("run", "--", "echo", "y")).toBe("y\n");
    await words("stop");
    expect(readdirSync(runtimeDir)).toEqual([]);
  });
});

describe("a server that does not answer", () => {
  test("because it is stopped: commands say so, with its pid, and what to do", async () => {
    const server = await TestServer.start();
    process.kill(server.pid, "SIGSTOP");
    for (const [code, ...words] of [[1, "ls"] as const, [125, "run", "--", "true"] as const]) {
      const ran = await procman(server.stateDir, ...words);
      expect(ran).toMatchObject({ code, stdout: "" });
      expect(ran.stderr).toContain(`the server (pid ${server.pid}) is stopped`);
    }
    process.kill(server.pid, "SIGCONT");
    expect(await procman(server.stateDir, "ls")).toMatchObject({ code: 0 });
  });
});

describe("a state directory that is not there", () => {
  const withoutOption = { PROCMAN_STATE_DIR: undefined };

  test.each([["ls"], ["cancel", "x"], ["cleanup"], ["token"], ["stop"]])(
    "and was named is not made by %s",
    async (...words) => {
      const stateDir = join(tempDir(), "mistyped");
      const ran = await procman(stateDir, ...words);
      if (words[0] !== "stop") {
        expect(ran.code).toBe(1);
        expect(ran.stderr).toContain(`there is no state directory ${stateDir}`);
      }
      expect(existsSync(stateDir)).toBe(false);
    },
  );

  test("is the default one: ls lists nothing, run makes it", async () => {
    const home = tempDir();
    const stateDir = join(home, ".cache/procman");
    onTestFinished(() => endAll(stateDir));
    const listed = await launch("", ["ls"], { ...withoutOption, HOME: home }).ended;
    expect(listed).toMatchObject({ code: 0, stdout: "" });
    expect(existsSync(join(home, ".cache"))).toBe(false);
    const ran = await launch("", ["run", "--", "echo", "x"], { ...withoutOption, HOME: home })
      .ended;
    expect(ran).toMatchObject({ code: 0, stdout: "x\n" });
    expect(existsSync(stateDir)).toBe(true);
  });

  test("for want of an absolute HOME is an error at once", async () => {
    const ran = await launch("", ["run", "--", "true"], { ...withoutOption, HOME: "home" }).ended;
    expect(ran.code).toBe(125);
    expect(ran.stderr).toContain("no home directory (HOME); give --state-dir");
  });

  test("and cannot be made is an error at once", async () => {
    const ran = await procman("/dev/null/state", "run", "--", "true");
    expect(ran.code).toBe(125);
    expect(ran.stderr).toContain("ENOTDIR");
  });
});

test.runIf(process.geteuid?.() === 0)(
  "a uid that is on no list of users needs no home",
  async () => {
    const dir = tempDir();
    const uid = 54_321;
    chownSync(dir, uid, uid);
    const words = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", process.execPath, MAIN];
    const env = {
      PATH: process.env["PATH"],
      PROCMAN_LISTEN: "none",
      PROCMAN_STATE_DIR: join(dir, "s"),
    };
    const as = (...args: string[]) => run("setpriv", [...words, ...args], { env, cwd: "/" });
    try {
      expect((await as("run", "--", "id", "-u")).stdout).toBe(`${uid}\n`);
    } finally {
      await as("stop");
    }
  },
);
