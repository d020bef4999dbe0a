import { describe, expect, test } from "vitest";
import type { CallOptions, SendInputOptions } from "../../../src/contract/procman.js";
import { ProcmanError } from "../../../src/contract/errors.js";
import { parseWindowSize } from "../../../src/cli/commands/options.js";
import { parseDetachKey } from "../../../src/cli/terminal/keys.js";
import { coalesced } from "../../../src/cli/terminal/pump-input.js";
import { TerminalState, withoutQueries } from "../../../src/cli/terminal/terminal-state.js";
import { eventually } from "../../helpers/eventually.js";
import { FakeCli, type FakeCliOptions } from "./fake-cli.js";

function cliWithJob(options: FakeCliOptions = {}, job = {}): FakeCli {
  const cli = new FakeCli(options);
  cli.procman.addJob("job1", { stdin: true, ...job });
  return cli;
}

/** What sendInput was called with. */
const calls = (cli: FakeCli) =>
  cli.procman.calls
    .filter(({ method }) => method === "sendInput")
    .map(({ args }) => args[1] as SendInputOptions);

const sent = (cli: FakeCli) => cli.procman.inputOf("job1").toString();

describe("send", () => {
  test("sends all that it reads, and leaves the input open", async () => {
    const cli = cliWithJob();
    const running = cli.run("send", "job1");
    cli.typed.write("one\n");
    await eventually("the first line", () => sent(cli) === "one\n");
    cli.typed.end("two\n");
    expect(await running).toBe(0);
    expect(sent(cli)).toBe("one\ntwo\n");
    expect(cli.procman.lastCall("sendInput")[1]).not.toHaveProperty("close");
  });

  test("--close closes it after the last byte", async () => {
    const cli = cliWithJob();
    cli.typed.end("bytes");
    expect(await cli.run("send", "--close", "job1")).toBe(0);
    expect(cli.procman.lastCall("sendInput")[1]).toMatchObject({ offset: 5, close: true });
  });

  test("says what is wrong where the job takes none", async () => {
    const cli = cliWithJob();
    cli.procman.failure = new ProcmanError("INPUT_NOT_OPEN", "the input of job job1: it is closed");
    cli.typed.end("x");
    expect(await cli.run("send", "job1")).toBe(1);
    expect(cli.err.text).toContain("closed");
  });

  test("where the command does not read now, it tries again", async () => {
    const cli = cliWithJob();
    const running = cli.run("send", "job1");
    await eventually("the first call", () => calls(cli).length === 1);
    cli.procman.failure = new ProcmanError("INPUT_BACKLOG", "not now");
    cli.typed.end("late");
    expect(await running).toBe(0);
    expect(sent(cli)).toBe("late");
  });

  test("each is a sender of its own; one that was forgotten begins anew", async () => {
    const cli = cliWithJob();
    const running = cli.run("send", "job1");
    cli.typed.write("y\n");
    await eventually("the first line", () => sent(cli) === "y\n");
    cli.procman.failure = new ProcmanError("OFFSET_OUT_OF_RANGE", "of which sender?");
    cli.typed.end("y\n");
    expect(await running).toBe(0);
    expect(sent(cli)).toBe("y\ny\n");
    const senders = calls(cli).slice(1);
    expect(senders.map(({ offset }) => offset)).toEqual([0, 2, 0]);
    expect(senders[1]).toMatchObject({ sender: senders[0]?.sender });
    expect(new Set(senders.map(({ sender }) => sender)).size).toBe(2);
  });
});

describe("following with input", () => {
  test("attach -i sends stdin, leaves the input open, and shows the output", async () => {
    const cli = cliWithJob();
    const running = cli.run("attach", "-i", "job1");
    cli.typed.end("question\n");
    await eventually("the input", () => sent(cli) === "question\n");
    cli.procman.write("job1", "answer\n");
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.text).toBe("answer\n");
    expect(calls(cli).some(({ close }) => close)).toBe(false);
    expect(cli.interruptedBy).toEqual(["SIGINT"]);
  });

  test.each([
    ["piped in, the same when it is run again", { terminal: false }, true],
    ["typed", { terminal: true }, false],
  ])("run -i closes it, and is the same sender for what is %s", async (_what, options, isSame) => {
    const cli = new FakeCli(options);
    const running = cli.run("run", "-i", "cat");
    cli.typed.end("bytes");
    await eventually("the end", () => calls(cli).length === 2);
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(calls(cli)).toMatchObject([{ offset: 0 }, { offset: 5, close: true }]);
    for (const { sender } of calls(cli)) expect(sender === "run").toBe(isSame);
  });

  test("a job that takes no more is followed on", async () => {
    const cli = cliWithJob();
    const running = cli.run("attach", "-i", "job1");
    await eventually("the first calls", () => cli.procman.calls.length > 1);
    cli.procman.failure = new ProcmanError("INPUT_NOT_OPEN", "nobody reads");
    cli.typed.write("x");
    await eventually("the failure", () => cli.procman.failure === undefined);
    cli.procman.write("job1", "still here\n");
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.out.text).toBe("still here\n");
    expect(cli.err.text).toBe("");
  });

  test("what else goes wrong with the input ends it", async () => {
    const cli = cliWithJob();
    cli.typed.write("x");
    const running = cli.run("attach", "-i", "job1");
    await eventually("the first call", () => sent(cli) === "x");
    cli.procman.failure = new ProcmanError("DISK_FULL", "no space");
    cli.typed.write("y");
    expect(await running).toBe(1);
    expect(cli.err.text).toContain("no space");
  });

  test("a job without input is not attached to with -i, nor one with --no-follow", async () => {
    const cli = cliWithJob({}, { stdin: false });
    expect(await cli.run("attach", "-i", "job1")).toBe(1);
    expect(cli.err.text).toContain("takes no input");
    expect(await cliWithJob().run("attach", "-i", "--no-follow", "job1")).toBe(2);
  });
});

describe("a terminal for a terminal", () => {
  const terminal = { terminal: true, rows: 30, columns: 100 };

  test("keys go as they are, the detach key leaves, and all is as it was", async () => {
    const cli = cliWithJob(terminal, { pty: true });
    const running = cli.run("attach", "-i", "job1");
    await eventually("the keys", () => cli.typed.isRaw);
    cli.typed.write("ls\r\x03");
    await eventually("the input", () => sent(cli) === "ls\r\x03");
    cli.procman.write("job1", "\x1b[?1049h\x1b[?25l");
    await eventually("the output", () => cli.out.text.includes("\x1b[?1049h"));
    cli.typed.write("q\x1dzzz");
    expect(await running).toBe(130);
    expect(sent(cli)).toBe("ls\r\x03q");
    expect(cli.typed.isRaw).toBe(false);
    expect(cli.out.text).toContain("\x1b[?1049l\x1b[?25h");
    expect(cli.err.text).toContain("procman attach -i job1");
  });

  test("begins with a screenful, and has the job draw anew in this size, then in the next", async () => {
    const cli = cliWithJob(terminal, { pty: true });
    const running = cli.run("attach", "-i", "job1");
    const sizes = () =>
      cli.procman.calls
        .filter(({ method }) => method === "resizeWindow")
        .map(({ args }) => args[1]);
    await eventually("the sizes", () => sizes().length === 2);
    expect(sizes()).toEqual([
      { rows: 29, columns: 100 },
      { rows: 30, columns: 100 },
    ]);
    expect(cli.procman.lastCall("attach")[1]).toMatchObject({ tailLines: 30, follow: true });
    cli.out.rows = 50;
    cli.out.emit("resize");
    await eventually("the size", () => sizes().length === 3);
    expect(sizes()[2]).toEqual({ rows: 50, columns: 100 });
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.typed.isRaw).toBe(false);
  });

  test("after a job takes no more, that is said once, and the detach key still leaves", async () => {
    const cli = cliWithJob(terminal, { pty: true });
    const running = cli.run("attach", "-i", "job1");
    await eventually("the keys", () => cli.typed.isRaw);
    cli.procman.failure = new ProcmanError("INPUT_NOT_OPEN", "it is closed");
    cli.typed.write("x");
    await eventually("the note", () => cli.out.text.includes("no more input; Ctrl-] leaves"));
    cli.typed.write("y");
    cli.procman.write("job1", "still shown");
    await eventually("the output", () => cli.out.text.includes("still shown"));
    cli.typed.write("\x1d");
    expect(await running).toBe(130);
    expect(cli.out.text.match(/no more input/g)).toHaveLength(1);
    expect(cli.typed.isRaw).toBe(false);
  });

  test("the detach key leaves while nothing is answered, and with more typed than can wait", async () => {
    const cli = cliWithJob(terminal, { pty: true });
    const noAnswer = ({ signal }: CallOptions = {}) =>
      new Promise<never>((_resolve, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error));
      });
    cli.procman.sendInput = (_id, options) => noAnswer(options);
    cli.procman.resizeWindow = (_id, _size, options) => noAnswer(options);
    const running = cli.run("attach", "-i", "job1");
    await eventually("the keys", () => cli.typed.isRaw);
    for (let n = 0; n < 40; n += 1) cli.typed.write("x".repeat(64 * 1024));
    await eventually("the bell", () => cli.out.text.includes("\x07"));
    cli.typed.write("\x1b[93");
    cli.typed.write(";69u");
    expect(await running).toBe(130);
    expect(cli.typed.isRaw).toBe(false);
  });

  test("a signal is as the detach key; a second one leaves the terminal as it was, too", async () => {
    const cli = cliWithJob(terminal, { pty: true });
    const running = cli.run("attach", "-i", "job1");
    await eventually("the keys", () => cli.typed.isRaw);
    expect(cli.interruptedBy).toEqual(["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"]);
    cli.procman.write("job1", "\x1b[?1049h");
    await eventually("the output", () => cli.out.text.includes("\x1b[?1049h"));
    cli.exit();
    expect(cli.typed.isRaw).toBe(false);
    expect(cli.out.text).toContain("\x1b[?1049l");
    cli.interrupt.abort();
    expect(await running).toBe(130);
    const run = new FakeCli(terminal);
    const other = run.run("run", "-it", "bash");
    await eventually("the keys", () => run.typed.isRaw);
    expect(run.interruptedBy).toContain("SIGTERM");
    run.procman.end("job1");
    expect(await other).toBe(0);
  });

  test.each([
    ["--stdout-offset", "1"],
    ["--stderr-offset", "0"],
    ["--stream", "stdout"],
  ])("%s is not for it", async (...option) => {
    const cli = cliWithJob(terminal, { pty: true });
    expect(await cli.run("attach", "-i", ...option, "job1")).toBe(2);
    expect(cli.err.text).toContain(option[0]);
    const piped = cliWithJob({}, { pty: true });
    const running = piped.run("attach", "-i", ...option, "job1");
    piped.procman.end("job1");
    expect(await running).toBe(0);
  });

  test("run -it asks for a terminal of this size", async () => {
    const cli = new FakeCli(terminal);
    expect(await cli.run("run", "-d", "-it", "bash")).toBe(0);
    expect(cli.procman.lastCall("start")[0]).toMatchObject({
      pty: true,
      stdin: true,
      windowSize: { rows: 30, columns: 100 },
    });
    const plain = new FakeCli();
    expect(await plain.run("run", "-d", "-t", "bash")).toBe(0);
    const [request] = plain.procman.lastCall("start");
    expect(request).toMatchObject({ pty: true });
    expect(request).not.toHaveProperty("windowSize");
    expect(request).not.toHaveProperty("stdin");
    const without = new FakeCli(terminal);
    expect(await without.run("run", "-d", "bash")).toBe(0);
    expect(without.procman.lastCall("start")[0]).not.toHaveProperty("windowSize");
  });
});

describe("the detach key", () => {
  test.each([
    ["ctrl-]", "\x1d", "Ctrl-]"],
    ["ctrl-b", "\x02", "Ctrl-B"],
    ["Ctrl-\\", "\x1c", "Ctrl-\\"],
    ["^p", "\x10", "Ctrl-P"],
    ["ctrl-]", "\x1b[93;5u", "Ctrl-]"],
    ["ctrl-]", "\x1b[93;69u", "Ctrl-]"],
    ["ctrl-]", "\x1b[93;133:1u", "Ctrl-]"],
    ["ctrl-b", "\x1b[98:66;197;2u", "Ctrl-B"],
    ["ctrl-]", "\x1b[27;69;93~", "Ctrl-]"],
    ["ctrl-]", "\x1b[27;5;93~", "Ctrl-]"],
  ])("%s is found in what is typed: %j", (text, keys, name) => {
    const key = parseDetachKey(text);
    expect(key.name).toBe(name);
    expect(key.findIn(Buffer.from(`ab${keys}c`))).toBe(2);
    expect(key.findIn(Buffer.from("ab\x1b[93;1uc"))).toBe(-1);
  });

  test.each(["", "]", "ctrl-", "ctrl-1", "alt-x", "ctrl-xx", "ctrl-["])("%j is none", (text) => {
    expect(() => parseDetachKey(text)).toThrow(/ctrl-\]|Escape/);
  });
});

describe("what a program has made of the terminal", () => {
  test("is undone, but for what it has undone itself", () => {
    const state = new TerminalState();
    for (const piece of ["\x1b[?1049h\x1b[?25l\x1b[?10", "00;1006h text \x1b[?1049l"]) {
      state.observe(Buffer.from(piece));
    }
    // Also what cannot be seen: margins, lines cut at the edge, other letters.
    const usual = "\x1b7\x1b[r\x1b8\x1b[?7h\x1b(B\x0f\x1b>\x1b[0 q\x1b[0m";
    expect(state.restoreSequence()).toBe(`\x1b[?1006l\x1b[?1000l\x1b[?25h${usual}`);
    expect(new TerminalState().restoreSequence()).toBe(usual);
  });

  test("questions are not asked again; all else is shown as it is", () => {
    const questions = [
      "\x1b[c",
      "\x1b[>c",
      "\x1b[0c",
      "\x1b[6n",
      "\x1b[?6n",
      "\x1b[>q",
      "\x1b[?2026$p",
      "\x1b[18t",
      "\x1b[?u",
      "\x1b]11;?\x07",
      "\x1b]4;1;?\x1b\\",
      "\x1bP+q544e\x1b\\",
    ];
    const shown = "\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x1b[10;5H\xff\x00";
    const log = Buffer.from(questions.join("-") + shown, "latin1");
    const expected = "-".repeat(questions.length - 1) + shown;
    expect(Buffer.from(withoutQueries(log)).toString("latin1")).toBe(expected);
  });
});

test("pieces that came while the one before was used are one", async () => {
  let wait = Promise.resolve();
  async function* source() {
    for (const text of ["a", "b", "c", "d"]) yield Buffer.from(text);
    await wait;
    yield Buffer.from("e");
  }
  let more = () => {};
  wait = new Promise((resolve) => {
    more = resolve;
  });
  const pieces: string[] = [];
  for await (const piece of coalesced(source(), 3)) {
    pieces.push(Buffer.from(piece).toString());
    more();
  }
  expect(pieces.join("")).toBe("abcde");
  expect(pieces[0]).toBe("abc");
});

test.each([
  ["120x40", { columns: 120, rows: 40 }],
  [" 1x1 ", { columns: 1, rows: 1 }],
])("%j is a size", (text, size) => {
  expect(parseWindowSize(text)).toEqual(size);
});

test.each(["", "120", "x40", "0x10", "-1x5", "1.5x2"])("%j is none", (text) => {
  expect(() => parseWindowSize(text)).toThrow("120x40");
});
