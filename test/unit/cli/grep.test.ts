import { describe, expect, test } from "vitest";
import type {
  JobsEvent,
  OutputLine,
  WatchEvent,
  WatchJobsOptions,
  WatchOptions,
} from "../../../src/contract/procman.js";
import { endedJob, runningJob } from "../client/some-job.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

const job = endedJob({ id: "abc", truncations: { stdout: 1 } });
const opened: WatchEvent = { type: "opened", job };
const ended: WatchEvent = { type: "ended", job };

function line(text: string, more: Partial<OutputLine> = {}): OutputLine {
  const offset = more.offset ?? 0;
  const nextOffset = offset + text.length;
  return { stream: "stdout", text, offset, nextOffset, terminator: "lf", ...more };
}

/** The command line, over a server that sends this of the job abc. */
async function run(
  events: readonly WatchEvent[],
  words: readonly string[],
  options: FakeCliOptions = {},
) {
  const cli = new FakeCli(options);
  cli.procman.addJob("abc");
  let asked: WatchOptions | undefined;
  cli.procman.watch = async function* (_id, options) {
    asked = options;
    yield* events;
  };
  const code = await cli.run(...words);
  return { code, asked, out: cli.out.text, error: cli.err.text };
}

describe("logs --grep", () => {
  test("each line is one, whatever ended it, and its pieces are joined", async () => {
    const events: WatchEvent[] = [
      opened,
      { type: "line", ...line("50%", { terminator: "cr", offset: 70 }) },
      { type: "line", ...line("long", { terminator: "none", offset: 100 }) },
      { type: "line", ...line("er", { terminator: "none", offset: 104 }) },
      { type: "line", ...line("other", { offset: 200 }) },
      { type: "searched", stdoutOffset: 300, stderrOffset: 0 },
      { type: "line", ...line("cut", { terminator: "none", offset: 300 }) },
      { type: "line", ...line("err", { terminator: "none", stream: "stderr" }) },
      { type: "truncated", stream: "stdout", offset: 400 },
      { type: "line", ...line("last", { terminator: "none", offset: 400 }) },
      ended,
    ];
    const { code, asked, out, error } = await run(events, ["logs", "-g", "x", "-n", "5", "abc"]);
    expect(error).toBe("err\n");
    expect(code).toBe(0);
    expect(out).toBe("50%\nlonger\nother\ncut\nlast\n");
    expect(asked).toMatchObject({ pattern: "x", invert: false, follow: false, tailLines: 5 });
  });

  test("a person is told where the command has truncated its log, and of no gaps", async () => {
    const events: WatchEvent[] = [
      opened,
      { type: "line", ...line("far", { offset: 1e6 }) },
      { type: "truncated", stream: "stdout", offset: 2e6 },
      ended,
    ];
    const { error, asked } = await run(events, ["tail", "-fv", "--grep", "x", "abc"], {
      terminal: true,
    });
    expect(error).toContain("here the command has truncated its stdout");
    expect(error).not.toMatch(/are gone|lost/);
    expect(asked).toMatchObject({ invert: true, follow: true, tailLines: 10 });
    const watched = await run(events, ["watch", "--grep", "x", "abc"], { terminal: true });
    expect(watched.error).not.toMatch(/are gone|lost/);
    expect(watched.out).toContain("far");
  });

  test("a stream that ends too soon is an error, as is -v alone", async () => {
    expect((await run([opened], ["logs", "-g", "x", "abc"])).error).toContain("ended unexpectedly");
    for (const command of ["logs", "watch"]) {
      const { code, error } = await run([], [command, "-v", "abc"]);
      expect(code).toBe(2);
      expect(error).toContain("--invert goes with --grep");
    }
  });
});

test("logs --json prints each line as an event, and does not follow", async () => {
  const events: WatchEvent[] = [opened, { type: "line", ...line("one") }, ended];
  const { out, asked } = await run(events, ["logs", "--json", "-t", "abc"]);
  const printed = out.trimEnd().split("\n");
  expect(printed.map((each) => JSON.parse(each) as object)).toMatchObject([
    { opened: { job: { id: "abc" } } },
    { line: { stream: "stdout", text: "one", offset: "0", nextOffset: "3" } },
    { ended: {} },
  ]);
  expect(asked).toMatchObject({ follow: false, writtenTimes: true });
});

describe("logs --timestamps", () => {
  const writtenBetween = (fromMs: number, toMs: number) => ({
    from: new Date(fromMs),
    to: new Date(toMs),
  });

  test("each line has its time before it, or the two times that it was written between", async () => {
    const events: WatchEvent[] = [
      opened,
      { type: "line", ...line("one", { writtenBetween: writtenBetween(0, 1500) }) },
      {
        type: "line",
        ...line("long", {
          offset: 4,
          terminator: "none",
          writtenBetween: writtenBetween(0, 60_000),
        }),
      },
      { type: "line", ...line("er", { offset: 8, writtenBetween: writtenBetween(0, 60_000) }) },
      ended,
    ];
    const since = "1970-01-01T00:00:00Z";
    const { asked, out } = await run(events, ["tail", "-t", "--since", since, "abc"]);
    expect(out).toBe(
      "1970-01-01T00:00:01.500Z one\n1970-01-01T00:00:00.000Z/1970-01-01T00:01:00.000Z longer\n",
    );
    expect(asked).toEqual({
      sinceTime: new Date(0),
      writtenTimes: true,
      follow: false,
      signal: expect.any(AbortSignal),
    });
  });

  test("what is missing is told, as without times", async () => {
    const events: WatchEvent[] = [opened, { type: "line", ...line("far", { offset: 9 }) }, ended];
    const { error } = await run(events, ["logs", "-t", "abc"], { terminal: true });
    expect(error).toContain("here 9 B of stdout are gone");
    const { error: since } = await run(events, ["logs", "-t", "--since", "1h", "abc"], {
      terminal: true,
    });
    expect(since).not.toContain("gone");
  });
});

describe("watch of several jobs", () => {
  const revision = "r";
  const named = (id: string, name: string) => runningJob({ id, name });
  const found = (id: string, text: string, more: Partial<OutputLine> = {}): JobsEvent => ({
    type: "line",
    id,
    line: line(text, more),
    revision,
  });

  async function watch(
    events: readonly JobsEvent[],
    words: readonly string[],
    options: FakeCliOptions = {},
  ) {
    const cli = new FakeCli(options);
    let asked: WatchJobsOptions | undefined;
    cli.procman.watchJobs = async function* (options) {
      asked = options;
      yield* events;
      cli.interrupt.abort();
      throw cli.interrupt.signal.reason;
    };
    const code = await cli.run("watch", ...words);
    return { code, asked, out: cli.out.text, error: cli.err.text };
  }

  test("each line has its job before it: its name, where no other has that", async () => {
    const { code, asked, out, error } = await watch(
      [
        { type: "snapshot", jobs: [named("a", "web"), runningJob({ id: "b" })], revision },
        found("a", "one"),
        found("b", "two", { stream: "stderr" }),
        { type: "changed", job: named("c", "web"), revision },
        found("a", "three"),
        { type: "searched", id: "a", stdoutOffset: 5, stderrOffset: 0, complete: true, revision },
        { type: "removed", id: "c", revision },
        { type: "resumed", revision },
        found("a", "four"),
      ],
      ["--label", "x=1", "--stream", "stdout", "--grep", "o"],
    );
    expect(out).toBe("web | one\na | three\nweb | four\n");
    expect(error).toBe("b | two\n");
    expect(code).toBe(130);
    expect(asked).toMatchObject({
      labels: { x: "1" },
      output: { pattern: "o", invert: false, streams: ["stdout"] },
    });
  });

  test("a job that has ended takes no name from the one that bears it", async () => {
    const jobs = [named("new", "web"), endedJob({ id: "old", name: "web" })];
    const { out } = await watch(
      [{ type: "snapshot", jobs, revision }, found("new", "one"), found("old", "two")],
      ["--all", "--grep", "o"],
    );
    expect(out).toBe("web | one\nold | two\n");
  });

  test("a terminal has a colour for each job", async () => {
    const { out } = await watch(
      [found("a", "1"), found("b", "2"), found("a", "3")],
      ["--all", "--grep", "."],
      { terminal: true },
    );
    expect(out.split("\n")).toEqual([
      "\u001b[36ma | \u001b[39m1",
      "\u001b[33mb | \u001b[39m2",
      "\u001b[36ma | \u001b[39m3",
      "",
    ]);
  });

  test("programs have each event", async () => {
    const { out } = await watch([found("a", "one")], ["--all", "--json", "-vg", "x"]);
    expect(JSON.parse(out)).toMatchObject({ line: { id: "a", line: { text: "one" } } });
  });

  test.each([
    [["--all"], "takes --grep"],
    [["--all", "--grep", "x", "--tail", "5"], "are for a single job"],
    [["--all", "--grep", "x", "--since", "5m"], "are for a single job"],
    [["abc", "--all", "--grep", "x"], "give either ids"],
  ])("%j is refused", async (words, message) => {
    const { code, error } = await watch([], words);
    expect(code).toBe(2);
    expect(error).toContain(message);
  });

  test("another failure is one", async () => {
    const cli = new FakeCli();
    // oxlint-disable-next-line require-yield
    cli.procman.watchJobs = async function* () {
      throw new Error("broken");
    };
    expect(await cli.run("watch", "--all", "--grep", "x")).toBe(1);
    expect(cli.err.text).toContain("broken");
  });
});
