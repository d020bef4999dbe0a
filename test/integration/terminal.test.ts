import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { eventually } from "../helpers/eventually.js";
import { tempDir } from "../helpers/temp-dir.js";
import { MAIN, TestServer } from "../helpers/test-server.js";
import { needsTerminal, TestTerminal, type TestTerminalOptions } from "../helpers/test-terminal.js";

const server = TestServer.shared({
  args: ["--listen", "127.0.0.1:0", "--poll-interval", "50ms"],
});

function procman(words: readonly string[], options: TestTerminalOptions = {}): TestTerminal {
  const env = { PROCMAN_STATE_DIR: server.stateDir, NO_COLOR: "1", ...options.env };
  return TestTerminal.open([process.execPath, MAIN, ...words], { ...options, env });
}

/** A script whose `step N` waits until the test says so. */
function stepped(script: string): { words: readonly string[]; step: (n: number) => void } {
  const dir = tempDir();
  const wait = 'step() { while [ ! -e "$0/$1" ]; do sleep 0.02; done; }';
  return {
    words: ["sh", "-c", `${wait}; ${script}`, dir],
    step: (n) => writeFileSync(join(dir, String(n)), ""),
  };
}

async function start(script: string, label: string) {
  const { words, step } = stepped(script);
  const [command = "", ...args] = words;
  const { job } = await server.client.start({ command, args, labels: { label } });
  return { id: job!.id, step };
}

describe("run", needsTerminal, () => {
  test("shows progress below the output while there is none, and leaves only the output", async () => {
    const { words, step } = stepped(
      "echo 1/4 files; step 1; echo note; step 2; printf 'in a '; step 3",
    );
    const terminal = procman(["run", "--", ...words]);
    const bar = "[#####---------------] 25.0%  1 of 4 files";
    await terminal.sees("the progress", ({ lines }) => lines.at(-1) === bar);
    step(1);
    await terminal.sees("it below the next line", ({ lines }) => {
      return lines.at(-2) === "note" && lines.at(-1) === bar;
    });
    step(2);
    await terminal.sees("no progress in the middle of a line", ({ lines }) => {
      return lines.at(-1) === "in a ";
    });
    step(3);
    const { lines, cursor } = await terminal.afterEnd();
    expect(await terminal.ended).toBe(0);
    expect(lines.slice(1, 3)).toEqual(["1/4 files", "note"]);
    expect(lines[3]).toMatch(/^in a procman: \w+ completed/);
    expect(lines).toHaveLength(4);
    expect(cursor).toEqual({ column: 0, row: 4 });
  });

  test("leaves a bar that the program draws, in colours and in several lines, to the program", async () => {
    const draw =
      "printf '\\033[31ma 10%%\\033[0m\\nb 20%%\\n'; step 1; printf '\\033[2A\\r\\033[31ma 90%%\\033[0m\\n\\033[Bend\\n'";
    const { words, step } = stepped(draw);
    const terminal = procman(["run", "--merge-output", "--", ...words]);
    await terminal.sees("the bars", ({ lines }) => lines.includes("b 20%"));
    step(1);
    const { lines } = await terminal.afterEnd();
    expect(lines.slice(1, 4)).toEqual(["a 90%", "b 20%", "end"]);
  });

  test.each([
    ["--no-progress", ["--no-progress"], {}],
    ["a dumb terminal", [], { TERM: "dumb" }],
  ])("%s: passes on the output and nothing else", async (_what, options, env) => {
    const { words, step } = stepped("echo 1/4 files; step 1; echo end");
    const terminal = procman(["run", ...options, "--", ...words], { env });
    await terminal.sees("the output", ({ lines }) => lines.includes("1/4 files"));
    step(1);
    const { lines } = await terminal.afterEnd();
    expect(lines.slice(1, 3)).toEqual(["1/4 files", "end"]);
    expect(terminal.output).not.toContain("\u001b");
  });

  test("Ctrl-C takes the progress away", async () => {
    const { words } = stepped("echo 1/4 files; step 1");
    const terminal = procman(["run", "--", ...words]);
    await terminal.sees("the progress", ({ lines }) => lines.at(-1)?.includes("25.0%") === true);
    terminal.type("\u0003");
    const { text } = await terminal.afterEnd();
    expect(await terminal.ended).toBe(130);
    expect(text).toContain("detached; job");
    expect(text).not.toContain("25.0%");
  });
});

describe("ls --watch", needsTerminal, () => {
  test("shows several jobs with their progress, while it changes, and how they end", async () => {
    const label = "several";
    const jobs = [
      await start("echo 10%; step 1; echo 60%; step 2; exit 3", label),
      await start("echo 20%; step 1", label),
      await start(
        'echo \'{"progress": {"current": 3, "total": 4, "unit": "files"}}\'; step 1',
        label,
      ),
    ];
    const terminal = procman(["ls", "--watch", "--label", `label=${label}`], { columns: 140 });
    const row = (lines: string[], n: number) =>
      lines.find((line) => line.startsWith(jobs[n]?.id ?? "")) ?? "";
    const shows = (n: number, text: string) =>
      terminal.sees(`${text} of job ${n}`, ({ lines }) => row(lines, n).includes(text));
    await shows(0, "[#---------]  10%");
    await shows(1, "[##--------]  20%");
    await shows(2, "[########--]  75%  3 of 4 files");
    const later = await start("step 1", label);
    await terminal.sees("the new job", ({ text }) => text.includes(later.id));
    jobs[0]?.step(1);
    await shows(0, "[######----]  60%");
    jobs[0]?.step(2);
    await shows(0, "exit 3");
    // Those that have not ended come first, and of each kind the newest.
    const { lines } = await terminal.sees("the order", ({ text }) => text.includes("1 ended"));
    const order = [later, jobs[2], jobs[1], jobs[0]].map((job) => job?.id);
    expect(lines.slice(2).map((line) => line.slice(0, 12))).toEqual(order);
    await server.client.remove({ id: jobs[0]!.id });
    await terminal.sees("it gone", ({ text }) => !text.includes(jobs[0]!.id));
  });

  test("keeps within the terminal, also when that changes its size", async () => {
    const label = "size";
    for (let n = 0; n < 12; n += 1) await start(`echo ${n}0%; step ${"x".repeat(100)}`, label);
    const terminal = procman(["ls", "--watch", "--label", `label=${label}`], {
      columns: 100,
      rows: 10,
    });
    const { lines } = await terminal.sees("what fits", ({ lines }) => lines.length === 10);
    expect(lines.at(-1)).toBe("… and 5 more");
    terminal.resize(40, 20);
    const all = await terminal.sees("all of them", ({ lines }) => lines.length === 14);
    expect(all.text).not.toContain("more");
    terminal.resize(120, 6);
    const few = await terminal.sees("few of them", ({ lines }) => lines.at(-1) === "… and 9 more");
    expect(few.lines).toHaveLength(6);
  });

  test.each([
    ["Ctrl-C", (terminal: TestTerminal) => terminal.type("\u0003")],
    ["SIGTERM", (terminal: TestTerminal) => void process.kill(terminal.pid, "SIGTERM")],
  ])("%s leaves the terminal as it was", async (_what, end) => {
    const label = "leave";
    const { id } = await start("step 1", label);
    const watch = `echo before; exec "$@"`;
    const words = [process.execPath, MAIN, "ls", "--watch", "--label", `label=${label}`];
    const terminal = TestTerminal.open(["sh", "-c", watch, "sh", ...words], {
      env: { PROCMAN_STATE_DIR: server.stateDir },
    });
    await terminal.sees("the job", ({ isOnAlternateScreen, text }) => {
      return isOnAlternateScreen && text.includes(id);
    });
    expect(terminal.isCursorHidden).toBe(true);
    end(terminal);
    const { isOnAlternateScreen, lines, cursor } = await terminal.afterEnd();
    expect(await terminal.ended).toBe(130);
    expect({ isOnAlternateScreen, lines }).toEqual({
      isOnAlternateScreen: false,
      lines: ["before"],
    });
    expect(cursor).toEqual({ column: 0, row: 1 });
    expect(terminal.isCursorHidden).toBe(false);
    // Long lines are wrapped again.
    expect(terminal.output.lastIndexOf("\u001b[?7h")).toBeGreaterThan(
      terminal.output.lastIndexOf("\u001b[?7l"),
    );
  });

  test("Ctrl-Z gives the terminal back until it goes on", async () => {
    const label = "suspend";
    const { id } = await start("step 1", label);
    const terminal = procman(["ls", "--watch", "--label", `label=${label}`]);
    await terminal.sees("the job", ({ text }) => text.includes(id));
    terminal.type("\u001a");
    const stopped = /\) T /;
    await eventually("the stop", () =>
      stopped.test(readFileSync(`/proc/${terminal.pid}/stat`, "utf8")),
    );
    // What was sent before the stop may come only now: script stops as well, at
    // a moment of its own.
    await terminal.sees("the job again", ({ isOnAlternateScreen, text }) => {
      terminal.goOn();
      const screens = terminal.output.match(/(?<=\[\?1049)[hl]/g);
      return screens?.join("") === "hlh" && isOnAlternateScreen && text.includes(id);
    });
  });

  test("a dumb terminal gets lines", async () => {
    const label = "dumb";
    const { id, step } = await start("echo 10%; step 1; echo 60%; step 2; exit 3", label);
    const terminal = procman(["ls", "--watch", "--label", `label=${label}`], {
      env: { TERM: "dumb" },
      columns: 300,
    });
    const last = (text: string) =>
      terminal.sees(text, ({ lines }) => lines.at(-1)?.startsWith(`${id}  ${text}`) === true);
    await last("running 10%");
    step(1);
    await last("running 60%");
    step(2);
    await last("failed        3");
    expect(terminal.output).not.toContain("\u001b");
  });
});
