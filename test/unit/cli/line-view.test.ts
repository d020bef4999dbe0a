import { expect, test } from "vitest";
import { LineView } from "../../../src/cli/terminal/line-view.js";
import type { OutputLine, Terminator } from "../../../src/contract/procman.js";
import { FakeCli } from "./fake-cli.js";

const CLEAR = "\r\u001b[K";

function line(text: string, terminator: Terminator = "lf", rest: Partial<OutputLine> = {}) {
  return { stream: "stdout", text, offset: 0, nextOffset: 0, terminator, ...rest } as OutputLine;
}

const half = { progress: { percent: 50, unit: "", text: "half" } };

async function shownBy(cli: FakeCli, ...lines: OutputLine[]): Promise<string> {
  const view = new LineView(cli);
  for (const each of lines) await view.show(each);
  await view.close();
  return cli.out.text;
}

test("elsewhere than on a terminal every line is one, on its own stream", async () => {
  const cli = new FakeCli();
  const text = await shownBy(
    cli,
    line("one", "crlf"),
    line("50%", "cr", half),
    line("oops", "lf", { stream: "stderr" }),
    line("a piece ", "none"),
    line("and its end"),
  );
  expect(text).toBe("one\n50%\na piece and its end\n");
  expect(cli.err.text).toBe("oops\n");
});

test("a terminal shows progress in one line at the bottom, which lines are put above", async () => {
  const cli = new FakeCli({ terminal: true, env: { NO_COLOR: "1" } });
  const bar = "[##########----------] 50.0%";
  const text = await shownBy(cli, line("one"), line("50%", "cr", half), line("two"));
  expect(text).toBe(`one\n${bar}${CLEAR}two\n${bar}${CLEAR}`);
});

test("a terminal shows what a program rewrites in one line, without its control characters", async () => {
  const cli = new FakeCli({ terminal: true });
  const text = await shownBy(cli, line("spin |", "cr"), line("\u001b[Aspin /", "cr"));
  expect(text).toBe(`spin |${CLEAR}\\u{1b}[Aspin /${CLEAR}`);
});

test("the line at the bottom fits into the terminal", async () => {
  const cli = new FakeCli({ terminal: true, columns: 10 });
  expect(await shownBy(cli, line("x".repeat(50), "cr"))).toBe(`xxxxxxxx…${CLEAR}`);
});

test("a line that comes in pieces is not torn apart", async () => {
  const cli = new FakeCli({ terminal: true, env: { NO_COLOR: "1" } });
  const bar = "[##########----------] 50.0%";
  const text = await shownBy(cli, line("50%", "cr", half), line("pie", "none"), line("ces"));
  expect(text).toBe(`${bar}${CLEAR}pieces\n${bar}${CLEAR}`);
});
