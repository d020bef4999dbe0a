import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ProcmanError } from "../../../src/contract/errors.js";
import type { Job, WindowSize } from "../../../src/contract/job.js";
import type { AttachOptions } from "../../../src/contract/procman.js";
import { eventually } from "../../helpers/eventually.js";
import { endedJob, runningJob } from "../client/some-job.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

const terminal = { terminal: true, rows: 30, columns: 100, env: { NO_COLOR: "1" } };

function cliWithJob(options: FakeCliOptions = {}, job: Partial<Job> = {}): FakeCli {
  const cli = new FakeCli(options);
  cli.procman.addJob("job1", job);
  return cli;
}

/** Resolves when the command follows the job. */
function following(cli: FakeCli): Promise<boolean> {
  return eventually("the stream", () => cli.procman.openStreams === 1);
}

function sizes(cli: FakeCli): WindowSize[] {
  const calls = cli.procman.calls.filter(({ method }) => method === "resizeWindow");
  return calls.map(({ args }) => args[1] as WindowSize);
}

describe("Ctrl-C", () => {
  test.each(["attach", "watch"])("leaves %s, with the way back and 130", async (command) => {
    const cli = cliWithJob();
    const running = cli.run(command, "job1");
    await following(cli);
    cli.interrupt.abort();
    expect(await running).toBe(130);
    expect(cli.err.text).toBe(
      "detached; job job1 goes on. Come back: procman attach job1   " +
        "Stop it: procman cancel job1\n",
    );
    expect(cli.procman.isClosed).toBe(true);
  });

  test("is followed by a line of its own on a terminal", async () => {
    const cli = cliWithJob(terminal);
    const running = cli.run("--state-dir", "/s", "attach", "job1");
    await following(cli);
    cli.interrupt.abort();
    await running;
    expect(cli.err.text).toMatch(/^\ndetached; .* procman attach --state-dir \/s job1 /);
  });

  test("of run is waited for from before the start", async () => {
    const cli = new FakeCli();
    let start = () => {};
    cli.procman.beforeStart = new Promise<void>((resolve) => {
      start = resolve;
    });
    const running = cli.run("run", "x");
    await eventually("the call", () => cli.procman.calls.length === 1);
    expect(cli.interruptedBy).toEqual(["SIGINT"]);
    start();
    await following(cli);
    cli.procman.end("job1");
    expect(await running).toBe(0);
  });
});

test("run --with-me leaves nothing under way where the server is lost", async () => {
  const cli = new FakeCli();
  const lost = new ProcmanError("UNREACHABLE", "cannot reach procman");
  cli.procman.cancel = () => Promise.reject(lost);
  cli.procman.attach = async function* () {
    yield { type: "opened", job: runningJob() };
    await eventually("the lease", () => cli.procman.calls.some(isRenewal));
    throw lost;
  };
  expect(await cli.run("run", "--with-me", "true")).toBe(125);
  expect(cli.err.text).toContain("lost the server; job job1 goes on. Come back: ");
  const [, options] = cli.procman.lastCall("renewLease") as [string, { signal: AbortSignal }];
  expect(options.signal.aborted).toBe(true);

  function isRenewal({ method }: { readonly method: string }): boolean {
    return method === "renewLease";
  }
});

describe("what is told to a person", () => {
  test.each([
    [["run", "-t", "x"], "Ctrl-C"],
    [["run", "-it", "x"], "Ctrl-]"],
    [["run", "-it", "--detach-key", "ctrl-b", "x"], "Ctrl-B"],
  ])("%j is left with %s", async (words, key) => {
    const cli = new FakeCli(terminal);
    const running = cli.run(...words);
    await following(cli);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.err.text).toContain(`procman: job job1; ${key} detaches\n`);
    expect(cli.err.text).toContain("procman: job1 completed");
  });

  test("how a job ended is not added to the output of scripts, unless there is a reason", async () => {
    const cli = cliWithJob();
    cli.procman.end("job1", { status: "failed", exitCode: 3 } as never);
    expect(await cli.run("attach", "job1")).toBe(0);
    expect(cli.err.text).toBe("");
    cli.procman.end("job1", { status: "failed", error: "it timed out" } as never);
    await cli.run("watch", "job1");
    expect(cli.err.text).toContain("it timed out");
  });

  test.each([
    ["attach", "attach"],
    ["attach --json", "attach"],
    ["watch", "watch"],
    ["watch --json", "watch"],
  ] as const)("output of %s that ends before the job", async (words, method) => {
    const cli = cliWithJob();
    cli.procman[method] = async function* () {
      yield { type: "opened", job: endedJob() };
    };
    expect(await cli.run(...words.split(" "), "job1")).toBe(1);
    expect(cli.err.text).toContain("the output of job job1 ended unexpectedly");
  });

  test("output of a terminal that ends before the job", async () => {
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    cli.procman.attach = async function* () {
      yield { type: "opened", job: endedJob() };
    };
    expect(await cli.run("attach", "-i", "job1")).toBe(1);
    expect(cli.err.text).toContain("the output of job job1 ended unexpectedly");
    expect(cli.typed.isRaw).toBe(false);
  });
});

describe("--json", () => {
  test.each([
    ["run", "--json", "x"],
    ["attach", "--json", "job1"],
  ])("%s prints events, each a line, to the last, and nothing else", async (...words) => {
    const cli = words[0] === "run" ? new FakeCli() : cliWithJob();
    const running = cli.run(...words);
    await following(cli);
    cli.procman.write("job1", "out\n");
    cli.procman.write("job1", "err", "stderr");
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.text.endsWith("\n")).toBe(true);
    const events = cli.out.text.trimEnd().split("\n");
    expect(events.map((line) => JSON.parse(line) as object)).toMatchObject([
      { opened: { job: { id: "job1" } } },
      { chunk: { stream: "stdout", offset: "0", data: "b3V0Cg==" } },
      { chunk: { stream: "stderr", offset: "0", data: "ZXJy" } },
      { ended: { job: { status: "completed" } } },
    ]);
    expect(cli.err.text).toBe("");
  });

  test("run -d prints the job", async () => {
    const cli = new FakeCli();
    expect(await cli.run("run", "-d", "--json", "x")).toBe(0);
    expect(JSON.parse(cli.out.text)).toMatchObject({ id: "job1", command: "x" });
  });

  test("a terminal does not become the job's", async () => {
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    const running = cli.run("attach", "-i", "--json", "job1");
    await following(cli);
    expect(cli.typed.isRaw).toBe(false);
    expect(cli.interruptedBy).toEqual(["SIGINT"]);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.text).toContain('"ended"');
  });
});

describe("output that a log limit has taken", () => {
  test("is told of by the offset of its own stream", async () => {
    const cli = cliWithJob(terminal);
    cli.procman.attach = async function* () {
      yield { type: "opened", job: endedJob() };
      yield { type: "chunk", stream: "stdout", offset: 5, data: Buffer.from("o") };
      yield { type: "chunk", stream: "stderr", offset: 1007, data: Buffer.from("e") };
      yield { type: "ended", job: endedJob() };
    };
    const offsets = ["--stdout-offset", "5", "--stderr-offset", "7"];
    expect(await cli.run("attach", ...offsets, "job1")).toBe(0);
    const gaps = cli.err.text.split("\n").filter((line) => line.includes("are gone"));
    expect(gaps).toEqual(["procman: here 1 kB of stderr are gone, by the job's log limit"]);
  });
});

describe("progress of run, on a terminal", () => {
  const BAR = "[##########----------] 50.0%";

  async function shown(...options: string[]): Promise<string> {
    const cli = new FakeCli(terminal);
    const running = cli.run("run", ...options, "x");
    await following(cli);
    cli.procman.write("job1", "1/2 files\n");
    if (options.length === 0) await eventually("the bar", () => cli.out.text.includes(BAR));
    else await sleep(200);
    const { text } = cli.out;
    cli.procman.end("job1");
    expect(await running).toBe(0);
    // It is gone afterwards.
    if (text.includes(BAR)) expect(cli.out.text.endsWith("\r\u001b[K")).toBe(true);
    return text;
  }

  test("is shown", async () => {
    expect(await shown()).toContain("1/2 files\n");
  });

  test.each(["--no-progress", "-t", "--json"])("is not shown with %s", async (option) => {
    expect(await shown(option)).not.toContain("[###");
  });
});

test("watch leaves no status line behind", async () => {
  const cli = cliWithJob(terminal);
  cli.procman.write("job1", "50%\n");
  const running = cli.run("watch", "job1");
  await eventually("the bar", () => cli.out.text.includes("50.0%"));
  cli.interrupt.abort();
  expect(await running).toBe(130);
  expect(cli.out.text.endsWith("\r\u001b[K")).toBe(true);
});

describe("the job's terminal", () => {
  test("of run -t follows this one's size until the end", async () => {
    const cli = new FakeCli(terminal);
    const running = cli.run("run", "-t", "x");
    await following(cli);
    cli.out.rows = 50;
    cli.out.emit("resize");
    await eventually("the size", () => sizes(cli).length === 1);
    expect(sizes(cli)).toEqual([{ rows: 50, columns: 100 }]);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.listenerCount("resize")).toBe(0);
  });

  test("is never resized to no rows", async () => {
    const cli = cliWithJob({ ...terminal, rows: 1 }, { pty: true, stdin: true });
    const running = cli.run("attach", "-i", "job1");
    await eventually("the sizes", () => sizes(cli).length === 2);
    expect(sizes(cli)).toEqual([
      { rows: 1, columns: 100 },
      { rows: 1, columns: 100 },
    ]);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.listenerCount("resize")).toBe(0);
  });

  test("begins with as many lines as --tail says", async () => {
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    cli.procman.end("job1");
    expect(await cli.run("attach", "-i", "--tail", "5", "job1")).toBe(0);
    expect((cli.procman.lastCall("attach")[1] as AttachOptions).tailLines).toBe(5);
  });

  test("is not lent where output goes to a file", async () => {
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    Object.assign(cli.out, { isTTY: false });
    const running = cli.run("attach", "-i", "job1");
    await following(cli);
    expect(cli.typed.isRaw).toBe(false);
    cli.procman.end("job1");
    expect(await running).toBe(0);
  });

  test("asks this one nothing in what was shown before, and everything from then on", async () => {
    const QUERY = "\u001b[6n";
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    cli.procman.attach = async function* () {
      yield { type: "opened", job: endedJob({ stdoutBytes: 10 }) };
      const chunk = { type: "chunk", stream: "stdout" } as const;
      yield { ...chunk, offset: 4, data: Buffer.from(`a${QUERY}b`) };
      yield { ...chunk, offset: 10, data: Buffer.from(`c${QUERY}d`) };
      yield { type: "ended", job: endedJob() };
    };
    expect(await cli.run("attach", "-i", "job1")).toBe(0);
    expect(cli.out.text).toContain(`abc${QUERY}d`);
  });

  test("is given back once: a later exit writes nothing", async () => {
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    const running = cli.run("attach", "-i", "job1");
    await following(cli);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    const { text } = cli.out;
    cli.exit();
    expect(cli.out.text).toBe(text);
  });

  test("a job that has ended is reported as that, not as one that takes no input", async () => {
    const cli = cliWithJob(terminal, { pty: true, stdin: true });
    const running = cli.run("attach", "-i", "job1");
    await eventually("the keys", () => cli.typed.isRaw);
    cli.procman.failure = new ProcmanError("JOB_NOT_RUNNING", "job job1 has ended");
    cli.typed.write("x");
    await eventually("the failure", () => cli.procman.failure === undefined);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.text).not.toContain("no more input");
  });
});
