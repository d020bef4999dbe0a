import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Output } from "../../../src/cli/terminal/output.js";
import { Screen } from "../../../src/cli/terminal/screen.js";
import { Emulator } from "../../helpers/emulator.js";
import { eventually } from "../../helpers/eventually.js";
import { Captured, FakeCli } from "./fake-cli.js";

const ENTER = "\u001b[?1049h\u001b[?25l\u001b[?7l";
const LEAVE = "\u001b[?7h\u001b[?25h\u001b[?1049l";
const CLEAR = "\u001b[2J";
const size = { terminal: true, rows: 10, columns: 90, env: { NO_COLOR: "1" } };

/** `ls --watch` on a terminal, with one job in the table. */
async function watching() {
  const cli = new FakeCli(size);
  cli.procman.addJob("job1", { startedTime: new Date() });
  const running = cli.run("ls", "--watch");
  await eventually("the table", () => cli.out.text.includes("1 running, 0 ended"));
  return { cli, running };
}

function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

describe("ls --watch on a terminal", () => {
  test("shows what changes, and leaves the terminal as it was", async () => {
    const { cli, running } = await watching();
    expect(cli.interruptedBy).toEqual(["SIGINT", "SIGTERM", "SIGHUP"]);
    cli.procman.end("job1");
    await eventually("the end", () => cli.out.text.includes("0 running, 1 ended"));
    cli.interrupt.abort();
    expect(await running).toBe(130);
    expect(cli.out.text.startsWith(ENTER)).toBe(true);
    expect(cli.out.text.endsWith(LEAVE)).toBe(true);
    expect(count(cli.out.text, ENTER)).toBe(1);
    expect(count(cli.out.text, LEAVE)).toBe(1);
    expect(cli.out.listenerCount("resize")).toBe(0);
    expect(cli.suspension).toBeUndefined();
    const { text } = cli.out;
    await sleep(1200);
    expect(cli.out.text).toBe(text);
  });

  test("times go on where nothing happens", async () => {
    const { cli, running } = await watching();
    const { text } = cli.out;
    await eventually("another time", () => cli.out.text.length > text.length);
    cli.interrupt.abort();
    expect(await running).toBe(130);
  });

  test("is drawn anew for another size", async () => {
    const { cli, running } = await watching();
    const before = cli.out.text.length;
    cli.out.emit("resize");
    await eventually("all of it", () => cli.out.text.indexOf(CLEAR, before) >= 0);
    expect(cli.out.text.indexOf("COMMAND", before)).toBeGreaterThan(before);
    cli.interrupt.abort();
    expect(await running).toBe(130);
  });

  test("gives the terminal back while it is suspended", async () => {
    const { cli, running } = await watching();
    await cli.suspension?.before();
    expect(cli.out.text.endsWith(LEAVE)).toBe(true);
    const before = cli.out.text.length;
    cli.procman.end("job1");
    await sleep(300);
    expect(cli.out.text).toHaveLength(before);
    cli.suspension?.after();
    await eventually("all of it", () => cli.out.text.indexOf(ENTER, before) >= 0);
    expect(cli.out.text.slice(before)).toContain(CLEAR);
    cli.interrupt.abort();
    expect(await running).toBe(130);
  });

  test("ends when nobody sees it", async () => {
    const { cli, running } = await watching();
    cli.out.errorCode = "EPIPE";
    cli.procman.end("job1");
    expect(await running).toBe(0);
    expect(cli.procman.openStreams).toBe(0);
  });

  test("is lines where the terminal cannot draw", async () => {
    const cli = new FakeCli({ ...size, env: { TERM: "dumb" } });
    cli.procman.addJob("job1");
    const running = cli.run("ls", "--watch");
    await eventually("a line", () => cli.out.text !== "");
    cli.interrupt.abort();
    expect(await running).toBe(130);
    expect(cli.out.text).toBe("job1  running             sleep 1\n");
  });
});

describe("a screen", () => {
  function setUp() {
    const stream = new Captured(size);
    return { stream, screen: new Screen(new Output(stream, "stdout", {})) };
  }

  test("shows the last lines and no others, with what differs alone written", async () => {
    const { stream, screen } = setUp();
    const emulator = new Emulator({ columns: 20, rows: 10 });
    const draw = async (...lines: string[]) => {
      const before = stream.text.length;
      await screen.draw(lines);
      const written = stream.text.slice(before);
      emulator.write(written);
      await emulator.settled();
      expect(emulator.lines).toEqual(lines);
      return written;
    };
    await draw("one", "two", "three");
    expect(await draw("one", "2", "three")).toBe("\u001b[2;1H\u001b[2K2");
    await draw("one");
    expect(await draw("one")).toBe("");
    screen.invalidate();
    expect(await draw("one")).toContain(`${CLEAR}\u001b[1;1H`);
  });

  test("that was not drawn on is not left, and one is left once", async () => {
    const { stream, screen } = setUp();
    await screen.leave();
    expect(stream.text).toBe("");
    await screen.draw(["x"]);
    await screen.leave();
    await screen.leave();
    expect(count(stream.text, LEAVE)).toBe(1);
  });
});
