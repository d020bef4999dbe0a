import { describe, expect, test } from "vitest";
import type { AttachOptions, StartOptions } from "../../../src/contract/procman.js";
import {
  argumentError,
  invalidArgument,
  ProcmanError,
  Violations,
} from "../../../src/contract/errors.js";
import { eventually } from "../../helpers/eventually.js";
import { endedJob } from "../client/some-job.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

const { exitCode, completedTime } = endedJob() as { exitCode: number; completedTime: Date };
const success = { status: "completed", exitCode, completedTime } as const;

function cliWith(options: FakeCliOptions = {}, ...ids: string[]): FakeCli {
  const cli = new FakeCli(options);
  for (const id of ids) cli.procman.addJob(id);
  return cli;
}

/** What `run` asks the server for. */
async function requestOf(options: FakeCliOptions, ...words: string[]): Promise<StartOptions> {
  const cli = new FakeCli(options);
  expect(await cli.run("run", "--detach", ...words), cli.err.text).toBe(0);
  return cli.procman.lastCall("start")[0] as StartOptions;
}

describe("run", () => {
  test("asks for the command in this environment and directory", async () => {
    const env = { PATH: "/bin", PWD: "/home/me", SHLVL: "2", _: "/usr/bin/node", OLDPWD: "/" };
    expect(await requestOf({ env }, "make", "-j8", "--detach")).toEqual({
      command: "make",
      args: ["-j8", "--detach"],
      env: { PATH: "/bin", PWD: "/home/me" },
      clearEnv: true,
      workDir: "/home/me",
      labels: {},
      mergeOutput: false,
      umask: 0o022,
      nice: 0,
      softLimits: { nofile: 1024 },
    });
  });

  test("takes every option, and leaves those after -- to the command", async () => {
    const options = ["-e", "A=1", "--env", "PATH=/x", "--work-dir", "sub", "-l", "team=ml"];
    const more = ["--request-id", "once", "--merge-output", "--timeout", "10m"];
    const limit = ["--log-limit", "100MB", "--pipe", "--umask", "077", "--nice", "-5"];
    limit.push("--ulimit", "core=unlimited", "--ulimit", "as=4096");
    limit.push("--memory", "512MB", "--cpus", "1.5", "--pids", "100", "--open-files", "64");
    const env = { PATH: "/bin", PWD: "/home/me" };
    const request = await requestOf(
      { env },
      ...options,
      ...more,
      ...limit,
      "--",
      "sh",
      "--timeout",
    );
    expect(request).toEqual({
      command: "sh",
      args: ["--timeout"],
      env: { A: "1", PATH: "/x", PWD: "/home/me/sub" },
      clearEnv: true,
      workDir: "/home/me/sub",
      labels: { team: "ml" },
      requestId: "once",
      mergeOutput: true,
      output: "pipe",
      timeoutMs: 600_000,
      logLimitBytes: 100_000_000,
      umask: 0o077,
      nice: -5,
      softLimits: { nofile: 1024, core: -1, as: 4096 },
      limits: { memoryMaxBytes: 512_000_000, cpus: 1.5, pidsMax: 100, openFilesMax: 64 },
    });
  });

  test("takes all that the server has with --server-env, but what is given", async () => {
    const request = await requestOf({}, "--server-env", "--nice", "5", "x");
    expect(request).toMatchObject({ nice: 5 });
    expect(request).not.toHaveProperty("umask");
    expect(request).not.toHaveProperty("softLimits");
  });

  describe("of this shell's attributes, those that the server may not hand on", () => {
    /** A server whose niceness is 5 and which has few files. */
    function restricted(): FakeCli {
      const cli = new FakeCli();
      const start = cli.procman.start.bind(cli.procman);
      cli.procman.start = async (request) => {
        const violations = new Violations();
        if (request.nice !== undefined) violations.add("nice", "must be at least 5");
        if (request.softLimits?.nofile) violations.add('soft_limits["nofile"]', "must be less");
        violations.throwIfAny();
        return start(request);
      };
      return cli;
    }

    test("are left out, which is said", async () => {
      const cli = restricted();
      expect(await cli.run("run", "-d", "--ulimit", "core=0", "x")).toBe(0);
      expect(cli.out.text).toBe("job1\n");
      expect(cli.err.text).toBe(
        "procman: the job has the server's niceness, not this shell's: it must be at least 5\n" +
          "procman: the job has the server's soft limit nofile, not this shell's: it must be less\n",
      );
      const [request] = cli.procman.lastCall("start") as [StartOptions];
      expect(request).toMatchObject({ umask: 0o022, softLimits: { core: 0 } });
      expect(request).not.toHaveProperty("nice");
      expect(request.softLimits).not.toHaveProperty("nofile");
    });

    test.each([
      [["--nice", "0"], "--nice: must be at least 5"],
      [["--ulimit", "nofile=9"], "--ulimit nofile: must be less"],
    ])("fail where they were given: %j", async (words, message) => {
      const cli = restricted();
      expect(await cli.run("run", "-d", ...words, "x")).toBe(125);
      expect(cli.err.text).toContain(message);
    });
  });

  test.each([
    ["--umask", "8", "octal digits"],
    ["--umask", "1000", "octal digits"],
    ["--nice", "1.5", "whole number"],
    ["--ulimit", "nofile", "whole number"],
    ["--ulimit", "rss=1", "name of as, core"],
  ])("refuses %s %s", async (option, value, message) => {
    const cli = new FakeCli();
    expect(await cli.run("run", option, value, "x")).toBe(125);
    expect(cli.err.text).toContain(message);
  });

  test("takes an environment of --env only, or the server's", async () => {
    const env = { PATH: "/bin" };
    const words = ["--env", "A=1", "x"];
    expect(await requestOf({ env }, "--clear-env", ...words)).toMatchObject({
      env: { A: "1" },
      clearEnv: true,
    });
    expect(await requestOf({ env }, "--server-env", ...words)).toMatchObject({
      env: { A: "1" },
      clearEnv: false,
    });
    const cli = new FakeCli();
    expect(await cli.run("run", "--server-env", "--clear-env", "x")).toBe(125);
  });

  test("takes the value of --env NAME from its own environment, where it has one", async () => {
    const env = { PATH: "/bin", SECRET: "a=b" };
    for (const option of ["--clear-env", "--server-env"]) {
      const request = await requestOf({ env }, option, "--env", "SECRET", "-e", "A=1", "x");
      expect(request.env).toEqual({ SECRET: "a=b", A: "1" });
    }
    const cli = new FakeCli({ env });
    expect(await cli.run("run", "--env", "MISSING", "x")).toBe(125);
    expect(cli.err.text).toContain("--env MISSING: there is no such variable");
  });

  test("takes a name, and what to do where that runs", async () => {
    expect(await requestOf({}, "--name", "web", "x")).toMatchObject({ name: "web" });
    const words = ["--name", "web", "--if-running", "return"];
    expect(await requestOf({}, ...words, "x")).toMatchObject({ name: "web", ifRunning: "return" });
    const cli = new FakeCli();
    expect(await cli.run("run", "--name", "web", "--if-running", "stop", "x")).toBe(125);
    expect(cli.err.text).toContain("Allowed choices are fail, return");
    cli.procman.failure = invalidArgument("if_running", "is only for a job with a name");
    expect(await cli.run("run", "--if-running", "return", "x")).toBe(125);
    expect(cli.err.text).toContain("procman: --if-running: is only for a job with a name");
  });

  test("follows the job that it finds, and does not close its input", async () => {
    const cli = new FakeCli({ terminal: true });
    cli.procman.start = async () => cli.procman.addJob("found", { name: "web", stdin: true });
    cli.typed.end("typed\n");
    const running = cli.run("run", "--name", "web", "--if-running", "return", "-i", "x");
    await eventually("the input", () => cli.procman.inputOf("found").length > 0);
    cli.procman.end("found", { exitCode: 4, status: "failed" } as never);
    expect(await running).toBe(4);
    expect(cli.err.text).toContain("job found, which runs already");
    const sent = cli.procman.calls.filter(({ method }) => method === "sendInput");
    expect(sent.map(({ args }) => args[1])).not.toContainEqual(
      expect.objectContaining({ close: true }),
    );
  });

  test("takes pipes or a terminal, not both", async () => {
    expect(await new FakeCli().run("run", "--pipe", "--tty", "x")).toBe(125);
  });

  test("--cwd is --work-dir", async () => {
    expect(await requestOf({}, "--cwd", "/srv", "x")).toMatchObject({ workDir: "/srv" });
  });

  test("prints the id when detached", async () => {
    const cli = new FakeCli();
    expect(await cli.run("run", "-d", "true")).toBe(0);
    expect(cli.out.text).toBe("job1\n");
    expect(cli.err.text).toBe("");
  });

  test("follows: each stream to its own, byte by byte, and exits as the job did", async () => {
    const cli = new FakeCli();
    const running = cli.run("run", "x");
    await eventually("the job", () => cli.procman.openStreams === 1);
    cli.procman.write("job1", Buffer.from([0, 255, 13]));
    cli.procman.write("job1", "oops", "stderr");
    cli.procman.end("job1", { ...success, status: "failed", exitCode: 7 } as never);
    expect(await running).toBe(7);
    expect([...cli.out.bytes]).toEqual([0, 255, 13]);
    expect(cli.err.text).toBe("oops");
    expect(cli.procman.lastCall("attach")[1]).toMatchObject({ follow: true });
  });

  test("an exit code that is not known is explained", async () => {
    const cli = new FakeCli();
    const running = cli.run("run", "x");
    await eventually("the job", () => cli.procman.openStreams === 1);
    const end = { status: "orphaned", error: "the machine was rebooted" };
    cli.procman.end("job1", end as never);
    expect(await running).toBe(123);
    expect(cli.err.text).toContain("the machine was rebooted");
  });

  test("Ctrl-C detaches, and says how to come back and how to stop it", async () => {
    const cli = new FakeCli();
    const running = cli.run("run", "--state-dir", "/my state", "x");
    await eventually("the job", () => cli.procman.openStreams === 1);
    cli.interrupt.abort();
    expect(await running).toBe(130);
    expect(cli.err.text).toBe(
      "detached; job job1 goes on. Come back: procman attach --state-dir '/my state' job1   " +
        "Stop it: procman cancel --state-dir '/my state' job1\n",
    );
    expect(cli.procman.calls.map(({ method }) => method)).toEqual(["start", "attach"]);
    expect(cli.procman.openStreams).toBe(0);
  });
});

describe("output that a log limit has taken", () => {
  async function* withGap() {
    yield { type: "opened" as const, job: endedJob() };
    const chunk = { type: "chunk" as const, stream: "stdout" as const, data: Buffer.from("ab") };
    yield { ...chunk, offset: 1_200_000 };
    yield { ...chunk, offset: 1_200_002 };
    yield { ...chunk, offset: 1_200_104 };
    yield { type: "ended" as const, job: endedJob() };
  }
  const GAP = "procman: here 1.2 MB of stdout are gone, by the job's log limit";

  test("is told of on a terminal, where it was asked for", async () => {
    for (const [words, gaps] of [
      [["attach"], [GAP, GAP.replace("1.2 MB", "100 B")]],
      [["attach", "--tail", "3"], [GAP.replace("1.2 MB", "100 B")]],
    ] as const) {
      const cli = cliWith({ terminal: true, env: { NO_COLOR: "1" } }, "abc");
      cli.procman.attach = withGap;
      expect(await cli.run(...words, "abc")).toBe(0);
      expect(cli.err.text.split("\n").filter((line) => line.includes("gone"))).toEqual(gaps);
      expect(cli.out.text).toBe("ababab");
    }
  });

  test("is told of by watch too", async () => {
    const cli = cliWith({ terminal: true, env: { NO_COLOR: "1" } }, "abc");
    cli.procman.attach = withGap;
    expect(await cli.run("watch", "abc")).toBe(0);
    expect(cli.err.text).toContain(`${GAP}\n`);
  });

  test("is not added to the output of scripts", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.attach = withGap;
    expect(await cli.run("attach", "abc")).toBe(0);
    expect(cli.err.text).toBe("");
  });
});

describe("attach and watch", () => {
  test("pass on where to begin", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.end("abc");
    const offsets = ["--stdout-offset", "5", "--stderr-offset", "6", "--stream", "stderr"];
    expect(await cli.run("attach", "--no-follow", "--tail", "3", ...offsets, "ab")).toBe(0);
    const { signal: _, ...options } = cli.procman.lastCall("attach")[1] as AttachOptions;
    expect(options).toEqual({
      follow: false,
      tailLines: 3,
      stdoutOffset: 5,
      stderrOffset: 6,
      streams: ["stderr"],
    });
    expect(await cli.run("watch", "--tail", "0", "abc")).toBe(0);
    expect(cli.procman.lastCall("watch")[1]).toMatchObject({ tailLines: 0 });
  });

  test("end with 0 however the job ended", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.end("abc", { status: "failed", exitCode: 3 } as never);
    expect(await cli.run("attach", "abc")).toBe(0);
  });

  test("a server that is lost is told of, with the way back", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.attach = () => {
      throw new ProcmanError("UNREACHABLE", "nobody there");
    };
    expect(await cli.run("attach", "abc")).toBe(1);
    expect(cli.err.text).toContain("job abc goes on. Come back: procman attach abc");
    expect(cli.err.text).toContain("nobody there");
  });

  test("events as JSON lines", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.write("abc", "hi\n");
    cli.procman.end("abc");
    expect(await cli.run("watch", "--json", "abc")).toBe(0);
    const events = cli.out.text.trimEnd().split("\n");
    expect(events.map((text) => Object.keys(JSON.parse(text) as object))).toEqual([
      ["opened"],
      ["line"],
      ["ended"],
    ]);
  });
});

describe("ls", () => {
  test("shows a page, and says that there are more", async () => {
    const ids = Array.from({ length: 120 }, (_, n) => `job${n}`);
    const cli = cliWith({}, ...ids);
    expect(await cli.run("ls")).toBe(0);
    expect(cli.out.text.trimEnd().split("\n")).toHaveLength(101);
    expect(cli.err.text).toContain("the newest 100 of 120 jobs");

    const all = cliWith({}, ...ids, ...ids.map((id) => `more-${id}`));
    expect(await all.run("ls", "--all", "--json")).toBe(0);
    const shown = all.out.text.trimEnd().split("\n");
    expect(new Set(shown.map((text) => (JSON.parse(text) as { id: string }).id)).size).toBe(240);
    expect(all.err.text).toBe("");
  });

  test("filters", async () => {
    const cli = cliWith({}, "abc", "def");
    cli.procman.end("abc");
    await cli.run("ls", "--status", "running,pending", "--status", "failed", "--label", "a=b");
    expect(cli.procman.lastCall("list")[0]).toMatchObject({
      statuses: ["running", "pending", "failed"],
      labels: { a: "b" },
    });
    expect(cli.out.text).toContain("def");
    expect(cli.out.text).not.toContain("abc");
  });

  test("is printed as a table, as JSON, by fields, or as ids", async () => {
    const print = async (...words: string[]) => {
      const cli = cliWith({});
      const labels = { team: "ml\u001b", x: "1" };
      cli.procman.addJob("abc", { labels, command: "a b", env: { TOKEN: "" } });
      cli.procman.addJob("def");
      expect(await cli.run("ls", ...words), cli.err.text).toBe(0);
      return cli.out.text;
    };
    expect(await print("-q")).toBe("def\nabc\n");
    expect(await print("-q", "--all")).toBe("def\nabc\n");
    const objects = JSON.parse(await print("-o", "json")) as object[];
    expect(objects).toMatchObject([
      { id: "def", status: "running" },
      { id: "abc", envNames: ["TOKEN"] },
    ]);
    expect(objects[1]).not.toHaveProperty("env");
    const lines = await print("-o", "jsonl");
    expect(lines).toBe(await print("--json"));
    expect(
      lines
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as object),
    ).toEqual(objects);
    expect(await print("-o", "table")).toBe(await print());
    const template = "{id}\\t{status} {label.team}|{exit}|{command}";
    expect(await print("--all", "--format", template)).toBe(
      "def\trunning ||sleep 1\nabc\trunning ml\\u{1b}||'a b' 1\n",
    );
    expect(JSON.parse(await print("-o", "json", "--status", "failed"))).toEqual([]);
  });

  test("--watch prints lines by fields, too", async () => {
    const cli = new FakeCli();
    cli.procman.watchJobs = async function* () {
      yield { type: "changed", job: endedJob(), revision: "r" };
      cli.interrupt.abort();
      throw cli.interrupt.signal.reason;
    };
    expect(await cli.run("ls", "--watch", "--format", "{id} is {status}")).toBe(130);
    expect(cli.out.text).toBe("job1 is completed\n");
  });

  test("colours on a terminal only", async () => {
    const terminal = cliWith({ terminal: true }, "abc");
    await terminal.run("ls");
    expect(terminal.out.text).toContain("\u001b[36mrunning");
    const plain = cliWith({}, "abc");
    await plain.run("ls");
    expect(plain.out.text).not.toContain("\u001b");
  });
});

describe("several jobs", () => {
  test("one that fails does not keep the others from it", async () => {
    const cli = cliWith({}, "abc", "def", "ghi");
    cli.procman.end("abc");
    cli.procman.end("ghi");
    expect(await cli.run("rm", "abc", "def", "zzz", "ghi")).toBe(1);
    expect(cli.out.text).toBe("abc removed\nghi removed\n");
    expect(cli.err.text).toBe(
      'procman: job def is running; "procman rm -f" cancels it first\nprocman: no job "zzz"\n',
    );
  });

  test("rm passes on what is meant by --last, and not what it may mean", async () => {
    const cli = cliWith({}, "abc", "def");
    cli.procman.end("def");
    expect(await cli.run("rm", "-l", "abc")).toBe(2);
    expect(await cli.run("rm", "-l", "team=ml")).toBe(2);
    const message = "procman: give either an id or --last";
    expect(cli.err.text).toBe(`${message}\n${message}; "-l" is that, and --label is written out\n`);
    expect(await cli.run("rm", "-l")).toBe(0);
    expect(cli.out.text).toBe("def removed\n");
    expect(await cli.run("rm")).toBe(2);
  });

  const ML = { labels: { team: "ml" } };
  test.each<[words: string[], args: unknown[], printed: string]>([
    [["cancel"], [ML, {}], "abc cancelled"],
    [["cancel", "-g", "1s"], [ML, { gracePeriodMs: 1000 }], "abc cancelled"],
    [["kill"], [ML, { gracePeriodMs: 0 }], "abc cancelled"],
    [["kill", "-s", "HUP"], [ML, "HUP"], "abc running"],
    [["signal", "HUP"], [ML, "HUP"], "abc running"],
    [["rm"], [ML, { cancel: false }], ""],
    [["cancel", "--remaining"], [ML, { includeRemaining: true }], "abc cancelled"],
    [["signal", "--remaining", "HUP"], [ML, "HUP", { includeRemaining: true }], "abc running"],
    [["rm", "-f"], [ML, { cancel: true, includeRemaining: true }], ""],
  ])("%j by a label is one call: %j", async (words, args, printed) => {
    const cli = new FakeCli();
    cli.procman.addJob("abc", ML);
    cli.procman.addJob("def");
    const code = await cli.run(...words, "--label", "team=ml");
    const several = cli.procman.calls.filter(({ method }) => method.endsWith("Jobs"));
    expect(several.map((call) => call.args.slice(0, args.length))).toEqual([args]);
    expect(cli.out.text).toMatch(new RegExp(`^${printed}`));
    // The fake removes no job that runs.
    expect([code, cli.err.text]).toEqual(
      printed === "" ? [1, "procman: job abc is running\n"] : [0, ""],
    );
  });

  test("each way to select jobs is passed on", async () => {
    const cli = new FakeCli();
    const selected = async (...words: string[]) => {
      expect(await cli.run("rm", ...words), cli.err.text).toBe(0);
      return cli.procman.lastCall("removeJobs")[0];
    };
    expect(await selected("--all")).toEqual({ all: true });
    expect(await selected("--name", "web")).toEqual({ name: "web" });
    expect(await selected("--status", "failed,completed", "--label", "a=b")).toEqual({
      statuses: ["failed", "completed"],
      labels: { a: "b" },
    });
    expect(cli.err.text).toBe("procman: there are no such jobs\n".repeat(3));
  });

  test("a result without its job is told of by its id, and how many are not", async () => {
    const cli = new FakeCli();
    cli.procman.cancelJobs = async () => ({
      results: [{ type: "done", id: "abc" }],
      doneSize: 5,
      failedSize: 2,
    });
    expect(await cli.run("cancel", "--all")).toBe(1);
    expect(await cli.run("cancel", "--all", "--json")).toBe(1);
    expect(cli.out.text).toBe('abc cancelled\n{"id":"abc"}\n');
    expect(cli.err.text).toBe("procman: and 6 more\n".repeat(2));
  });

  test("cancel does not wait for one before the next", async () => {
    const cli = cliWith({}, "abc", "def");
    const cancelled: string[] = [];
    cli.procman.cancel = async (id) => {
      cancelled.push(id);
      await eventually("both", () => cancelled.length === 2);
      return endedJob({ id });
    };
    expect(await cli.run("cancel", "abc", "def"), cli.err.text).toBe(0);
    expect(
      cli.out.text
        .split("\n")
        .map((line) => line.slice(0, 3))
        .toSorted(),
    ).toEqual(["", "abc", "def"]);
  });

  test("wait exits as the first that did not end with 0, once all have ended", async () => {
    const cli = cliWith({}, "abc", "def", "ghi");
    for (const id of ["abc", "ghi"])
      cli.procman.end(id, { exitCode: 4, status: "failed" } as never);
    const waiting = cli.run("wait", "def", "ghi", "abc");
    await eventually("the others", () => cli.out.text.split("\n").length === 3);
    cli.procman.end("def", success);
    expect(await waiting).toBe(4);
    expect(cli.out.text.split("\n").map((line) => line.slice(0, 3))).toEqual([
      "ghi",
      "abc",
      "def",
      "",
    ]);
    expect(await cli.run("wait", "def", "--timeout", "0", "abc")).toBe(4);
    expect(await cli.run("wait", "def", "zzz")).toBe(125);
  });

  test("wait says where one goes on, with 124", async () => {
    const cli = cliWith({}, "abc", "def");
    cli.procman.end("def", { exitCode: 4, status: "failed" } as never);
    expect(await cli.run("wait", "--timeout", "0", "abc", "def")).toBe(124);
    expect(cli.err.text).toBe("procman: 1 jobs have not ended yet\n");
  });

  test.each([
    [["--label", "a=b"], { labels: { a: "b" } }],
    [["--name", "web"], { name: "web" }],
    [["--all"], { statuses: ["pending", "running"] }],
    [["--all", "--status", "failed"], { statuses: ["failed"] }],
  ])("wait %j is for %j", async (words, filter) => {
    const cli = cliWith({}, "abc");
    cli.procman.end("abc", success);
    expect(await cli.run("wait", ...words)).toBe(words.includes("--all") ? 125 : 0);
    const [options] = cli.procman.lastCall("list") as [object];
    expect(options).toMatchObject(filter);
    expect(options).not.toHaveProperty("all");
  });

  test.each([
    [["attach", "-i", "abc", "def"], "are for a single job"],
    [["attach", "--stdout-offset", "1", "--all"], "are for a single job"],
    [["attach", "--stdout-offset", "5", "abc", "def"], "are for a single job"],
    [["wait", "--for-port", "1", "abc", "def"], "are for a single job"],
    [["wait", "--for-output", "x", "--all"], "are for a single job"],
    [["cancel", "--all", "abc"], "give either ids, --last, or"],
    [["rm", "--label", "a=b", "-l"], "give either ids, --last, or"],
    [["rm", "--unreadable", "--all"], "cannot be used with option"],
    [["signal", "--all"], "missing required argument 'signal'"],
    [["cancel", "-l", "team=ml"], "--label is written out"],
    [["logs", "abc", "def"], '"procman attach ID..." shows several jobs.'],
    [["follow", "abc"], '"procman logs -f ID"'],
    [["add", "true"], "procman has no queue"],
    [["signal", "--all", "abc", "HUP"], "give either ids, --last, or"],
  ])("%j is wrong usage", async (words, message) => {
    const cli = cliWith({}, "abc", "def");
    expect(await cli.run(...words)).toBe(words[0] === "wait" ? 125 : 2);
    expect(cli.err.text).toContain(message);
    expect(cli.procman.calls).toEqual([]);
  });

  test("signal takes the signal last", async () => {
    const cli = cliWith({}, "abc", "def");
    expect(await cli.run("signal", "abc", "def", "HUP")).toBe(0);
    expect(await cli.run("signal", "--last", "INT")).toBe(0);
    const sent = cli.procman.calls.filter(({ method }) => method === "signal");
    expect(sent.map(({ args }) => args.slice(0, 2))).toEqual([
      ["abc", "HUP"],
      ["def", "HUP"],
      ["def", "INT"],
    ]);
  });

  test("cancel passes its grace period on", async () => {
    const cli = cliWith({}, "abc");
    expect(await cli.run("cancel", "--grace", "1m", "abc")).toBe(0);
    expect(cli.procman.lastCall("cancel")).toEqual(["abc", { gracePeriodMs: 60_000 }]);
    expect(cli.out.text).toMatch(/^abc cancelled/);
  });
});

describe("the job that a command is for", () => {
  test.each([
    ["get", "web"],
    ["get", "--last"],
    ["get", "-l"],
    ["attach", "--no-follow", "web"],
    ["logs", "-l"],
    ["tail", "web"],
    ["wait", "--timeout", "0", "web"],
    ["send", "web"],
    ["resize", "web", "80x25"],
    ["resize", "-l", "80x25"],
    ["signal", "web", "HUP"],
    ["cancel", "web"],
    ["kill", "-l"],
    ["restart", "web"],
  ])("%s %s %s", async (...words) => {
    const cli = cliWith({}, "other");
    cli.procman.addJob("abc", { name: "web", stdin: true });
    cli.typed.end();
    expect([0, 124], cli.err.text).toContain(await cli.run(...words));
    const { args } = cli.procman.calls.at(-1) ?? {};
    expect(args?.[0]).toBe(words[0] === "restart" ? "web" : "abc");
  });

  test("is none where there are none", async () => {
    const cli = new FakeCli();
    expect(await cli.run("get", "--last")).toBe(1);
    expect(cli.err.text).toBe("procman: there are no jobs\n");
  });

  test.each([
    [["resize", "-l", "x"], 'give columns and rows as the size: "120x40"'],
    [["resize", "abc"], 'give columns and rows as the size: "120x40"'],
    [["signal", "abc"], "missing required argument 'signal'"],
    [["signal", "-l"], "missing required argument 'signal'"],
    [["signal", "-l", "abc", "HUP"], "give either an id or --last"],
    [["get", "-l", "abc"], "give either an id or --last"],
    [["rm", "--unreadable", "-l"], "cannot be used with option"],
  ])("%j is wrong usage", async (words, message) => {
    const cli = cliWith({}, "abc");
    expect(await cli.run(...words)).toBe(2);
    expect(cli.err.text).toContain(message);
  });
});

describe("restart", () => {
  test("passes its options on, and prints the new id", async () => {
    const cli = cliWith({}, "abc");
    const words = ["--grace", "1m", "--request-id", "r", "abc"];
    expect(await cli.run("restart", ...words), cli.err.text).toBe(0);
    expect(cli.procman.lastCall("restart")).toEqual([
      "abc",
      { gracePeriodMs: 60_000, requestId: "r" },
    ]);
    expect(cli.out.text).toBe("job2\n");
  });

  test("leaves a name to the server, which knows what it meant the first time", async () => {
    const cli = cliWith({}, "abc");
    const get = cli.procman.get.bind(cli.procman);
    cli.procman.get = (id, ...rest) => get(id === "web" ? "abc" : id, ...rest);
    for (const [given, passedOn] of [
      ["web", "web"],
      ["ab", "abc"],
      ["abc", "abc"],
    ] as const) {
      cli.procman.restart = async (id) => {
        expect(id).toBe(passedOn);
        return get("abc");
      };
      expect(await cli.run("restart", "--request-id", "r", given), cli.err.text).toBe(0);
    }
  });

  test.each([["--last"], ["abc", "def"]])(
    "--request-id with %j is wrong usage",
    async (...words) => {
      const cli = cliWith({}, "abc", "def");
      expect(await cli.run("restart", "--request-id", "r", ...words)).toBe(2);
      expect(cli.err.text).toContain("--request-id is for a single job");
      expect(cli.procman.calls).toEqual([]);
    },
  );

  test("of several prints each, with --json as an object", async () => {
    const cli = cliWith({}, "abc", "def");
    expect(await cli.run("restart", "--json", "abc", "zzz", "def")).toBe(1);
    const jobs = cli.out.text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as object);
    expect(jobs).toMatchObject([{ previousId: "abc" }, { previousId: "def" }]);
    expect(cli.err.text).toBe('procman: no job "zzz"\n');
  });
});

test("wait passes its timeout on, and exits as the job did", async () => {
  const cli = cliWith({}, "abc");
  cli.procman.end("abc", { exitCode: 9, status: "failed" } as never);
  expect(await cli.run("wait", "--timeout", "1m", "abc")).toBe(9);
  expect(cli.procman.lastCall("wait")).toEqual(["abc", { timeoutMs: 60_000 }]);
});

describe("wait for something else than the end", () => {
  const line = { stream: "stdout", text: "ready :3000", offset: 0, nextOffset: 12 } as const;

  test("asks for a line, and prints it", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.outcome = { type: "line", line: { ...line, terminator: "lf" } };
    const options = ["--stream", "stdout", "--stdout-offset", "5", "--timeout", "1m"];
    expect(await cli.run("wait", "--for-output", "read[y]", ...options, "ab")).toBe(0);
    const until = { type: "output", pattern: "read[y]", streams: ["stdout"], stdoutOffset: 5 };
    expect(cli.procman.lastCall("wait")).toEqual(["abc", { timeoutMs: 60_000, until }]);
    expect(cli.out.text).toBe("ready :3000\n");
    expect(cli.err.text).toBe("");
  });

  test("asks for a port, and prints it", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.outcome = { type: "port", port: 3000 };
    expect(await cli.run("wait", "--for-port", "0", "abc")).toBe(0);
    expect(cli.procman.lastCall("wait")).toEqual(["abc", { until: { type: "port", port: 0 } }]);
    expect(cli.out.text).toBe("3000\n");
  });

  test("prints the job and what came as JSON", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.outcome = { type: "line", line: { ...line, terminator: "lf" } };
    expect(await cli.run("wait", "--for-output", "x", "--json", "abc")).toBe(0);
    expect(JSON.parse(cli.out.text)).toMatchObject({
      job: { id: "abc", status: "running" },
      line: { text: "ready :3000", nextOffset: "12" },
    });
  });

  test.each([
    ["completed", 0, 1],
    ["failed", 3, 3],
    ["cancelled", 0, 1],
    ["orphaned", undefined, 123],
  ])("a job that is %s with %s first: %i", async (status, jobCode, code) => {
    for (const wanted of [
      ["--for-output", "x"],
      ["--for-port", "1"],
    ]) {
      const cli = cliWith({}, "abc");
      cli.procman.end("abc", { status, exitCode: jobCode } as never);
      expect(await cli.run("wait", ...wanted, "abc")).toBe(code);
      expect(cli.out.text).toBe("");
      expect(cli.err.text).toMatch(/^procman: no .*; abc /);
    }
  });

  test("the time that passes first: 124", async () => {
    const cli = cliWith({}, "abc");
    expect(await cli.run("wait", "--for-port", "1", "--timeout", "0", "abc")).toBe(124);
    expect(cli.err.text).toContain("in time; abc running");
    cli.procman.end("abc");
    // Not all of its output could be looked at.
    cli.procman.outcome = { type: "searched", stdoutOffset: 5, stderrOffset: 5 };
    expect(await cli.run("wait", "--for-output", "x", "--timeout", "1s", "abc")).toBe(124);
    expect(cli.out.text).toBe("");
  });
});

test("cleanup and signal pass theirs on", async () => {
  const cli = cliWith({}, "abc");
  expect(await cli.run("cleanup", "--older-than", "7d", "--json")).toBe(0);
  expect(cli.procman.lastCall("cleanup")).toEqual([{ olderThanMs: 604_800_000 }]);
  expect(cli.out.text).toBe('{"id":"old1"}\n{"id":"old2"}\n');
  expect(await cli.run("signal", "abc", "USR1")).toBe(0);
  expect(cli.procman.lastCall("signal").slice(0, 2)).toEqual(["abc", "USR1"]);
});

test("--state-dir may stand before the command or after it", async () => {
  const cli = cliWith({ env: { PROCMAN_STATE_DIR: "/from-env" } });
  await cli.run("ls");
  await cli.run("--state-dir", "/before", "ls");
  await cli.run("ls", "--state-dir", "/after");
  await cli.run("--state-dir", "/before", "ls", "--state-dir", "/after");
  expect(cli.connected).toEqual(["/from-env", "/before", "/after", "/after"]);
});

describe("what goes wrong", () => {
  test("is said with the names of options, not of the API's fields", async () => {
    for (const [field, message, text] of [
      ["log_limit_bytes", "log_limit_bytes: must be at least 65536", "--log-limit: must be at"],
      ["work_dir", "work_dir /x: no such directory", "--work-dir /x: no such"],
      ["request_id", "request_id: must not be longer", "--request-id: must not be"],
      ["args[1]", "args[1]: must not contain a NUL byte", "argument 2: must not"],
      ['env["A$&"]', 'env["A$&"]: must not contain', "--env A$&: must not"],
      ["output.pattern", "output.pattern: missing closing )", "--for-output: missing closing )"],
    ] as const) {
      const cli = new FakeCli();
      const violations = [{ field, description: "" }];
      cli.procman.failure = new ProcmanError("INVALID_ARGUMENT", message, { violations });
      expect(await cli.run("refresh")).toBe(1);
      expect(cli.err.text).toContain(text);
    }
  });

  test("is said on one line", async () => {
    const cli = cliWith({}, "abc");
    cli.procman.failure = new ProcmanError("INTERNAL", "first\nsecond \u001b[2J");
    expect(await cli.run("refresh")).toBe(1);
    expect(cli.err.text).toBe("procman: first\\nsecond \\u{1b}[2J\n");
    expect(cli.out.text).toBe("");
  });

  test.each([
    [["nonesuch"], "unknown command 'nonesuch'"],
    [["run"], "missing required argument 'command'"],
    [["run", "--timeout", "0", "x"], "option '--timeout <duration>' argument '0' is invalid"],
    [["cancel", "--grace", "-1s", "x"], "option '-g, --grace <duration>' argument '-1s'"],
    [["ls", "--status", "done"], "Choose from pending"],
    [["ls", "--format", "{{.ID}}"], "--format has no field {.ID}; the fields are id,"],
    [["ls", "-o", "yaml"], "Choose from table, json, jsonl"],
    [["ls", "-o", "json", "-q"], "cannot be used with option"],
    [["ls", "-o", "json", "--watch"], "use -o jsonl"],
    [["serve", "--log-level", "loud"], "Allowed choices are fatal"],
    [["get", ""], "must not be empty"],
    [["get"], "missing required argument 'id'"],
    [["wait", "--for-port", "x", "abc"], "Give a whole number"],
    [["wait", "--for-port", "1", "--for-output", "x", "abc"], "cannot be used with option"],
    [["wait", "--stream", "stdout", "abc"], "go with --for-output"],
    [["wait", "--for-port", "1", "--stdout-offset", "5", "abc"], "go with --for-output"],
  ])("%j is wrong usage", async (words, message) => {
    const cli = new FakeCli();
    expect(await cli.run(...words)).toBe(["run", "wait"].includes(words[0] ?? "") ? 125 : 2);
    expect(cli.err.text).toMatch(/^procman: /);
    expect(cli.err.text).toContain(message);
    expect(cli.err.text.trimEnd().split("\n")).toHaveLength(1);
    expect(cli.out.text).toBe("");
  });
});

test.each(["--version", "-V", "-v", "version"])("%s", async (word) => {
  const cli = new FakeCli();
  expect(await cli.run(word)).toBe(0);
  expect(cli.out.text).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe("what other programs call a command", () => {
  test.each([
    ["ps", "list"],
    ["list", "list"],
    ["inspect abc", "get"],
    ["show abc", "get"],
    ["delete abc", "remove"],
    ["prune", "cleanup"],
  ] as const)("%s is ours", async (words, method) => {
    const cli = cliWith({}, "abc");
    cli.procman.end("abc");
    expect(await cli.run(...words.split(" ")), cli.err.text).toBe(0);
    cli.procman.lastCall(method);
    const before = cliWith({});
    expect(await before.run("--state-dir", "/x", "ps")).toBe(0);
    expect(before.connected).toEqual(["/x"]);
  });

  test.each([
    ["monit", "procman top"],
    ["monit abc -x", "procman top"],
    ["--state-dir /x events", "procman ls --watch"],
    ["start app.js", "procman run -- COMMAND"],
    ["pause abc", "procman signal ID STOP"],
    ["stop abc", "procman cancel abc"],
    ["server stop abc", "procman cancel abc"],
    ["status abc", "procman get abc"],
    ["logs --since yesterday abc", "Give a duration"],
  ])("%s does nothing and says what to type", async (words, hint) => {
    const cli = cliWith({}, "abc");
    expect(await cli.run(...words.split(" "))).toBe(2);
    expect(cli.err.text).toContain(hint);
    expect(cli.err.text.trimEnd().split("\n")).toHaveLength(1);
    expect(cli.connected).toEqual([]);
  });

  test("logs and tail print what there is, and follow with -f", async () => {
    const cli = cliWith({}, "abc");
    const options = async (...words: string[]) => {
      cli.procman.attach = (...args) => {
        asked = args[1];
        return (async function* () {
          yield { type: "ended" as const, job: endedJob() };
        })();
      };
      let asked: AttachOptions | undefined;
      expect(await cli.run(...words, "abc"), cli.err.text).toBe(0);
      return { follow: asked?.follow, tailLines: asked?.tailLines };
    };
    expect(await options("logs")).toEqual({ follow: false });
    expect(await options("logs", "-f", "--tail", "3")).toEqual({ follow: true, tailLines: 3 });
    expect(await options("tail")).toEqual({ follow: false, tailLines: 10 });
    expect(await options("tail", "-n", "5", "-f")).toEqual({ follow: true, tailLines: 5 });
  });

  test("kill is SIGKILL for all of it, or a signal", async () => {
    const cli = cliWith({}, "abc");
    expect(await cli.run("kill", "abc")).toBe(0);
    expect(cli.procman.lastCall("cancel")).toEqual(["abc", { gracePeriodMs: 0 }]);
    expect(await cli.run("kill", "-9", "abc")).toBe(0);
    expect(await cli.run("kill", "-s", "HUP", "abc")).toBe(0);
    expect(cli.procman.lastCall("signal").slice(0, 2)).toEqual(["abc", "HUP"]);
  });

  test("rm -f cancels what has not ended first", async () => {
    const cli = cliWith({}, "abc", "def");
    cli.procman.end("def");
    cli.procman.cancel = async (id) => {
      if (id === "def") throw new ProcmanError("JOB_NOT_RUNNING", "it has ended");
      cli.procman.end(id);
      return endedJob();
    };
    expect(await cli.run("rm", "-f", "abc", "def"), cli.err.text).toBe(0);
    expect(cli.out.text).toBe("abc removed\ndef removed\n");
  });
});

describe("what a shell may complete", () => {
  async function candidates(...words: string[]): Promise<string[]> {
    const cli = new FakeCli();
    cli.procman.addJob("abc", { labels: { team: "ml", note: "two words" } });
    cli.procman.addJob("def");
    cli.procman.end("def");
    expect(await cli.run("complete", "--", ...words), cli.err.text).toBe(0);
    return cli.out.text
      .split("\n")
      .slice(0, -1)
      .map((line) => line.split("\t")[0] as string);
  }

  test.each([
    [["wa"], ["watch", "wait"]],
    [["run"], ["run"]],
    [
      ["server", "st"],
      ["start", "stop", "status"],
    ],
    [
      ["wait", "--for"],
      ["--for-output", "--for-port"],
    ],
    [
      ["get", ""],
      ["def", "abc"],
    ],
    [["show", "a"], ["abc"]],
    [["cancel", ""], ["abc"]],
    [["cancel", "abc", ""], ["abc"]],
    [["rm", ""], ["def"]],
    [["--state-dir", "/x", "cancel", ""], ["abc"]],
    [["get", "abc", ""], []],
    [
      ["signal", "abc", "USR"],
      ["USR1", "USR2"],
    ],
    [["kill", "-s", "HU"], ["HUP"]],
    [["signal", "a"], ["abc"]],
    [["ls", "--label", "team"], ["team=ml"]],
    [["ls", "--label", "note"], []],
    [
      ["ls", "-o", ""],
      ["table", "json", "jsonl"],
    ],
    [["serve", "--log-level", "f"], ["fatal"]],
    // Of the job's command the shell knows more.
    [["run", "sleep", "a"], []],
    [["run", "--", ""], []],
    [["run", "-d", "--", "top", "--"], []],
  ])("after %j", async (words, expected) => {
    expect(await candidates(...words)).toEqual(expected);
  });

  test("names are completed, as the newest of their jobs is", async () => {
    const cli = new FakeCli();
    for (const id of ["abc", "def"]) cli.procman.addJob(id, { name: "web" });
    cli.procman.addJob("ghi", { name: "db" });
    cli.procman.end("def");
    const values = async (...words: string[]) => {
      const before = cli.out.text.length;
      expect(await cli.run("complete", "--", ...words), cli.err.text).toBe(0);
      return cli.out.text.slice(before).split("\n").slice(0, -1);
    };
    const about = "running: sleep 1";
    expect(await values("get", "")).toEqual([
      `db\t${about}`,
      "web\tcompleted: sleep 1",
      `ghi\t${about}`,
      "def\tcompleted: sleep 1",
      `abc\t${about}`,
    ]);
    expect(await values("cancel", "")).toEqual([`db\t${about}`, `ghi\t${about}`, `abc\t${about}`]);
    expect(await values("ls", "--name", "")).toEqual(["db\t", "web\t"]);
    expect(await values("run", "--if-running", "")).toEqual(["fail\t", "return\t"]);
  });

  test("without a server there are no jobs, and none is started", async () => {
    const cli = new FakeCli();
    cli.procman.failure = new Error("no server runs");
    expect(await cli.run("complete", "--", "cancel", "")).toBe(0);
    expect(cli.out.text + cli.err.text).toBe("");
  });
});

test("the manual page has every command with its options", async () => {
  const cli = new FakeCli();
  expect(await cli.run("man-page")).toBe(0);
  const page = cli.out.text;
  expect(page).toMatch(/^\.TH PROCMAN 1 "" "procman \d/);
  for (const text of [
    '.SS "run [options] <command...>"',
    '.SS "server stop [options]"',
    "\\-\\-for\\-output <pattern>",
    "ready in \\ed+ ms",
    "126  run: the command is not executable",
  ]) {
    expect(page).toContain(text);
  }
  expect(page).not.toContain('.SS "monit');
});

test.each([
  [125, "--name", ["run", "--name", "", "true"]],
  [125, "--request-id", ["run", "--request-id", "", "true"]],
  [125, "--on-end", ["run", "--on-end", "", "true"]],
  [125, "--work-dir", ["run", "--work-dir", "", "true"]],
  [125, "--max-output", ["run", "--for", "1s", "--max-output", "0", "true"]],
  [125, "--max-output", ["run", "--for", "1s", "--max-output", "257KiB", "true"]],
  [125, "--name", ["wait", "--name", ""]],
  [2, "--name", ["ls", "--name", ""]],
  [125, "--name", ["run", "--name", "Web", "true"]],
  [2, "--name", ["rm", "--name", "web*"]],
  [2, "--name", ["top", "--name", ""]],
  [2, "--name", ["cancel", "--name", ""]],
  [2, "--state-dir", ["rm", "--state-dir", "", "--all"]],
  [2, "--host", ["rm", "--host", "", "--all"]],
])(
  "exits with %d, and does nothing, where %s is nothing that it can be: %j",
  async (code, option, words) => {
    const cli = cliWith({}, "abc");
    expect(await cli.run(...words)).toBe(code);
    expect(cli.err.text).toContain(option);
    expect(cli.procman.calls).toEqual([]);
  },
);

test.each([
  ["pattern", "--grep: is wrong"],
  ["output_pattern.pattern", "--grep: is wrong"],
  ["on_end.command", "--on-end: is wrong"],
])("an error names the option in place of the field %s", async (field, message) => {
  const cli = cliWith({}, "abc");
  cli.procman.failure = argumentError("INVALID_ARGUMENT", [{ field, description: "is wrong" }]);
  await cli.run("get", "abc");
  expect(cli.err.text).toBe(`procman: ${message}\n`);
});
