import fc from "fast-check";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import type { Cli } from "../../../src/cli/cli.js";
import { Output, type OutputStream } from "../../../src/cli/terminal/output.js";
import { RawView } from "../../../src/cli/terminal/raw-view.js";
import type { Stream } from "../../../src/contract/job.js";
import { eventually } from "../../helpers/eventually.js";
import { Emulator } from "../../helpers/emulator.js";
import { FakeCli } from "./fake-cli.js";

const SIZE = { columns: 60, rows: 12, convertEol: true };

/** Stdout and stderr of one terminal. */
class OnTerminal extends Writable implements OutputStream {
  readonly isTTY = true;
  readonly columns = SIZE.columns;
  readonly emulator = new Emulator(SIZE);

  hasColors(): boolean {
    return true;
  }

  override _write(data: Buffer, _encoding: string, done: () => void): void {
    this.emulator.write(data);
    done();
  }
}

/** A view on a terminal, and beside it a terminal that gets the same bytes and nothing else. */
function setUp({ progress = true } = {}) {
  const terminal = new OnTerminal();
  const env = { TERM: "xterm" };
  const stdout = new Output(terminal, "stdout", env);
  const stderr = new Output(terminal, "stderr", env);
  const view = new RawView({ stdout, stderr } as Cli, { progress, refreshIntervalMs: 10 });
  onTestFinished(() => view.close());
  const plain = new Emulator(SIZE);
  const seen = terminal.emulator;
  const settled = async () => {
    await seen.settled();
    await plain.settled();
  };
  const show = async (data: string | Buffer, stream: Stream = "stdout") => {
    plain.write(data);
    await view.show(stream, Buffer.from(data));
    await settled();
  };
  const sees = (lines: readonly string[]) =>
    eventually(lines.join("|"), async () => {
      await settled();
      expect(seen.lines).toEqual(lines);
      return true;
    });
  /** Lets time pass. */
  const pass = async (ms: number) => {
    await sleep(ms);
    await settled();
  };
  const close = async () => {
    await view.close();
    await settled();
  };
  return { seen, plain, show, sees, pass, close };
}

const bar = "[##########----------] 50.0%  1 of 2 files";

describe("on a terminal", () => {
  test("progress is shown below the output, and gone before the next output", async () => {
    const { seen, show, sees, pass, close } = setUp();
    await show("begin\n1/2 files\n");
    await sees(["begin", "1/2 files", bar]);
    await show("on");
    expect(seen.lines).toEqual(["begin", "1/2 files", "on"]);
    await pass(30);
    expect(seen.lines).toEqual(["begin", "1/2 files", "on"]);
    await show(" it goes\n");
    expect(seen.lines).toEqual(["begin", "1/2 files", "on it goes", bar]);
    await close();
    expect(seen.lines).toEqual(["begin", "1/2 files", "on it goes"]);
  });

  test("is brought up to date while lines keep coming, and goes when it is long ago", async () => {
    const { seen, show, sees } = setUp();
    const lines = Array.from({ length: 9 }, (_, n) => `${n + 1}/10 files`);
    for (const line of lines) await show(`${line}\n`, "stderr");
    await sees([...lines, "[##################--] 90.0%  9 of 10 files"]);
    // Of the other stream it is still the last word.
    await show("a result\n".repeat(2000));
    await eventually("the progress", () => seen.lines.at(-1)?.includes("90.0%"));
    await show("a line of something else\n".repeat(1000), "stderr");
    await eventually("no progress", () => seen.lines.at(-1) === "a line of something else");
  });

  test("what a program draws itself is not repeated", async () => {
    const { seen, show, pass } = setUp();
    await show("\r10%\r20%");
    await show("\r100%\nnext\n");
    await pass(30);
    expect(seen.lines).toEqual(["100%", "next"]);
  });

  test("nothing is shown where it is not wanted", async () => {
    const { seen, show, pass } = setUp({ progress: false });
    await show("1/2 files\n");
    await pass(30);
    expect(seen.lines).toEqual(["1/2 files"]);
  });

  test("progress wider than the terminal stays on one line, and goes", async () => {
    const { seen, plain, show, close } = setUp();
    const unit = "漢字".repeat(16);
    await show(`{"progress": {"current": 1, "total": 2, "unit": "${unit}"}}\n`);
    await eventually("the progress", async () => {
      await seen.settled();
      return seen.lines.length === plain.lines.length + 1;
    });
    await show("next\n");
    await close();
    expect(seen.painted).toEqual(plain.painted);
  });
});

test.each([
  ["elsewhere", {}],
  ["on a dumb terminal", { terminal: true, env: { TERM: "dumb" } }],
])("%s every byte is passed on, and nothing else", async (_where, options) => {
  const cli = new FakeCli(options);
  const view = new RawView(cli, { progress: true, refreshIntervalMs: 1 });
  await view.show("stdout", Buffer.from("1/2 files\n\0\xff", "latin1"));
  await view.show("stderr", Buffer.from("50%\r"));
  await sleep(10);
  await view.close();
  expect(cli.out.bytes.toString("latin1")).toBe("1/2 files\n\0\xff");
  expect(cli.err.text).toBe("50%\r");
});

/** Cuts output into reads, with time between them. */
const pace = (bytes: fc.Arbitrary<number>) =>
  fc.array(fc.record({ bytes, ms: fc.constantFrom(0, 0, 0, 1, 12) }), {
    minLength: 1,
    maxLength: 20,
  });

/** What a program may print: lines, progress, colours, and whatever moves the cursor. */
const output = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom("1/3 files\n", "45%\n", "text\n", "\n", "more") },
      { weight: 3, arbitrary: fc.constantFrom("\r", "\r\n", "\r45%", "\t", "漢字", "é", "\b") },
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          "\x1b[31m",
          "\x1b[44;1m",
          "\x1b[22m\x1b[39;49m",
          "\x1b[0m",
          "\x1b[K",
          "\x1b]0;title\x07",
          "\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\",
        ),
      },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          "\x1b[A",
          "\x1b[2A\r",
          "\x1b[3;5H",
          "\x1b[2J",
          "\x1b7",
          "\x1b8",
          "\x1b[s",
          "\x1b[u",
          "\x1bM",
          "\x1b[2;5r",
          "\x1b[?1049h",
          "\x1b[?1049l",
          "\x1b[?7l",
          "\x1b[4h",
          "\x1b(0",
          "\x1b(B",
          "\x1b[1L",
          "\x1b[2M",
        ),
      },
    ),
    { maxLength: 40 },
  )
  .map((pieces) => Buffer.from(pieces.join("")));

/** Shows output at a pace, and holds what is seen against what would be seen without progress. */
async function undisturbed(
  data: Buffer,
  steps: readonly { readonly bytes: number; readonly ms: number }[],
): Promise<void> {
  const { seen, plain, show, pass, close } = setUp();
  const check = () => {
    // The cursor, and all lines but the one that it is in, are what they would be.
    expect(seen.cursor).toEqual(plain.cursor);
    const [shown, expected] = [seen.painted, plain.painted];
    const { row } = plain.cursor;
    if (expected[row] === "") shown[row] = "";
    expect(shown).toEqual(expected);
  };
  let offset = 0;
  for (let n = 0; offset < data.length; n += 1) {
    const { bytes, ms } = steps[n % steps.length] as { bytes: number; ms: number };
    await show(data.subarray(offset, offset + bytes), n % 3 ? "stdout" : "stderr");
    offset += bytes;
    check();
    await pass(ms);
    check();
  }
  await close();
  expect(seen.cursor).toEqual(plain.cursor);
  expect(seen.painted).toEqual(plain.painted);
  expect(seen.lines).toEqual(plain.lines);
}

test("lines that a program goes back to are left alone", async () => {
  const lines = "a\nb\n1/2 files\n\x1b[3A\n";
  await undisturbed(Buffer.from(lines), [{ bytes: lines.length, ms: 30 }]);
});

test("a line that a program has painted keeps its colour", async () => {
  for (const lines of ["\x1b[44m1/2 files\n\x1b[K", "1/2 files\n\x1b[44m\x1b[K\x1b[0m"]) {
    await undisturbed(Buffer.from(lines), [{ bytes: lines.length, ms: 30 }]);
    await undisturbed(Buffer.from(`${"\n".repeat(20)}${lines}`), [{ bytes: 100, ms: 30 }]);
  }
});

test("output looks, at every moment, as if no progress were shown", async () => {
  await fc.assert(fc.asyncProperty(output, pace(fc.integer({ min: 1, max: 30 })), undisturbed), {
    numRuns: 100,
  });
});

const FIXTURES = join(import.meta.dirname, "../../fixtures/progress");

test.each(readdirSync(FIXTURES))("%s looks as if no progress were shown", async (name) => {
  const data = readFileSync(join(FIXTURES, name)).subarray(0, 8000);
  await fc.assert(
    fc.asyncProperty(pace(fc.integer({ min: 20, max: 800 })), (steps) => undisturbed(data, steps)),
    { numRuns: 1 },
  );
});
