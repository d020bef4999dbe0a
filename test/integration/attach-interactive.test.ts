import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, onTestFinished, test } from "vitest";
import { Status } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { MAIN, TestServer } from "../helpers/test-server.js";
import { needsTerminal, TestTerminal } from "../helpers/test-terminal.js";

const PROMPT = "bash-";

/** A person at a terminal who uses procman. */
class Person {
  readonly terminal: TestTerminal;
  #seen = 0;

  /** The terminal's settings are shown before and after. */
  constructor(server: TestServer, ...words: string[]) {
    const script = 'stty -g; "$@"; code=$?; stty -g; echo "left with $code"';
    const procman = [process.execPath, MAIN, ...words];
    const env = { PROCMAN_STATE_DIR: server.stateDir, NO_COLOR: "1" };
    this.terminal = TestTerminal.open(["sh", "-c", script, "sh", ...procman], { env });
  }

  type(keys: string): void {
    this.terminal.type(keys);
  }

  /** Waits until that is shown, after what was last waited for. */
  async sees(text: string | RegExp): Promise<void> {
    await eventually(`${text} to be shown`, () => {
      const rest = this.terminal.output.slice(this.#seen);
      const at = typeof text === "string" ? rest.indexOf(text) : rest.search(text);
      if (at < 0) throw new Error(`the rest is ${JSON.stringify(rest)}`);
      this.#seen += at + (typeof text === "string" ? text.length : 1);
      return true;
    });
  }

  /** The shell's only child. */
  procmanPid(): Promise<number> {
    const shell = this.terminal.pid;
    return eventually("procman", () =>
      Number(readFileSync(`/proc/${shell}/task/${shell}/children`, "utf8").trim().split(" ")[0]),
    );
  }

  hasRawKeys(): boolean {
    return this.terminal.settings.includes("-icanon");
  }

  /** Waits for the shell to come back, with the terminal as it was; returns procman's exit code. */
  async leaves(): Promise<number> {
    await this.terminal.ended;
    const { output } = this.terminal;
    const [before, after] = [...output.matchAll(/^[\da-f]+(?::[\da-f]+)+\r?$/gm)].map(
      ([text]) => text,
    );
    expect(before).toBeDefined();
    expect(after).toBe(before);
    return Number(/left with (\d+)/.exec(output)?.[1]);
  }
}

async function startShell(server: TestServer): Promise<string> {
  const { job } = await server.client.start({
    command: "bash",
    args: ["--norc", "-i"],
    pty: true,
    stdin: true,
    windowSize: { rows: 24, columns: 80 },
  });
  return job!.id;
}

async function leavesSoon(person: Person, leave: () => void): Promise<void> {
  const began = performance.now();
  leave();
  expect(await person.leaves()).toBe(130);
  expect(performance.now() - began).toBeLessThan(5000);
}

describe("a shell in a job", needsTerminal, () => {
  test("is used, left, come back to, and ended", async () => {
    const server = await TestServer.start();
    const first = new Person(server, "run", "-it", "--", "bash", "--norc");
    await first.sees(PROMPT);
    first.type("tty | cut -c 1-9; stty size; x=kept\r");
    await first.sees(/\/dev\/pts\/\s+24 80\s/);
    first.type("sleep 1000\r");
    await first.sees("sleep 1000\r");
    first.type("\x03");
    await first.sees(PROMPT);
    first.type("\x1d");
    expect(await first.leaves()).toBe(130);
    const id = /procman attach -i ([0-9a-z]{12})/.exec(first.terminal.output)?.[1] as string;
    expect(id).toBeDefined();

    const second = new Person(server, "attach", "-i", id);
    // A screenful of what there was.
    await second.sees("24 80");
    await second.sees(PROMPT);
    second.type("echo it is $x\r");
    await second.sees("it is kept");
    second.terminal.resize(120, 40);
    const { job: shell } = await server.client.get({ id });
    await eventually("the new size", () => {
      const terminal = `/proc/${shell!.pid}/fd/0`;
      return execFileSync("stty", ["-F", terminal, "size"]).toString() === "40 120\n";
    });
    second.type("stty size\r");
    await second.sees("\r40 120\r");
    second.type("exit 7\r");
    // As attach does.
    expect(await second.leaves()).toBe(0);
    const { job } = await server.client.get({ id });
    expect(job).toMatchObject({ status: Status.FAILED, exitCode: 7 });
  });

  test("run -it exits as it does", async () => {
    const server = await TestServer.start();
    const person = new Person(server, "run", "-it", "--", "bash", "--norc");
    await person.sees(PROMPT);
    person.type("exit 7\r");
    expect(await person.leaves()).toBe(7);
  });

  test("is shown by two at once", async () => {
    const server = await TestServer.start();
    const id = await startShell(server);
    const [one, other] = [1, 2].map(() => new Person(server, "attach", "-i", id)) as [
      Person,
      Person,
    ];
    await Promise.all([one.sees(PROMPT), other.sees(PROMPT)]);
    one.type("echo from $((0+1))\r");
    await Promise.all([one.sees("from 1"), other.sees("from 1")]);
    other.type("echo from $((1+1))\r");
    await Promise.all([one.sees("from 2"), other.sees("from 2")]);
    one.type("\x1d");
    await one.leaves();
    other.type("exit\r");
    await other.leaves();
  });

  test("goes on through kill -9 of the server, and so does who uses it", async () => {
    const server = await TestServer.start();
    const id = await startShell(server);
    const person = new Person(server, "attach", "-i", id);
    await person.sees(PROMPT);
    for (let round = 0; round < 3; round += 1) {
      await server.kill();
      person.type(`echo round $((${round} * 11 + 100))\r`);
      await server.start();
      await person.sees(`round ${round * 11 + 100}\r`);
    }
    person.type("\x1d");
    expect(await person.leaves()).toBe(130);
    const log = person.terminal.output;
    // Each once: typed, and answered.
    for (const number of [100, 111, 122]) {
      expect(log.split(`round ${number}\r`), log).toHaveLength(2);
    }
  });

  test("a program that leaves the terminal in disorder is left in order", async () => {
    const server = await TestServer.start();
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", "printf '\\033[?1049h\\033[?25l\\033[?1000hfull screen'; cat >/dev/null"],
      pty: true,
      stdin: true,
    });
    const person = new Person(server, "attach", "-i", "--detach-key", "ctrl-b", job!.id);
    await person.sees("full screen");
    person.type("\x1d");
    person.type("\x02");
    await person.leaves();
    for (const restored of ["\x1b[?1049l", "\x1b[?25h", "\x1b[?1000l"]) {
      expect(person.terminal.output).toContain(restored);
    }
  });

  test.each(["SIGTERM", "SIGHUP", "SIGQUIT"] as const)(
    "%s leaves the terminal as it was",
    async (signal) => {
      const server = await TestServer.start();
      const script = "printf '\\033[?1049h\\033[5;10r\\033(0full screen'; cat >/dev/null";
      const { job } = await server.client.start({
        command: "sh",
        args: ["-c", script],
        pty: true,
        stdin: true,
      });
      const person = new Person(server, "attach", "-i", job!.id);
      await person.sees("full screen");
      process.kill(await person.procmanPid(), signal);
      expect(await person.leaves()).toBe(130);
      for (const restored of ["\x1b[?1049l", "\x1b[r", "\x1b(B"]) {
        expect(person.terminal.output).toContain(restored);
      }
    },
  );

  test("can be left while the server is stopped, and when it is dead", async () => {
    const server = await TestServer.start();
    const id = await startShell(server);
    const people = [1, 2, 3].map(() => new Person(server, "attach", "-i", id));
    for (const person of people) await person.sees(PROMPT);
    const [one, other, third] = people as [Person, Person, Person];
    process.kill(server.pid, "SIGSTOP");
    onTestFinished(() => void process.kill(server.pid, "SIGCONT"));
    await leavesSoon(one, () => one.type("ab\x1d"));
    // Twice: the first one's way is to leave as well.
    const pid = await other.procmanPid();
    await leavesSoon(other, () => process.kill(pid, "SIGTERM"));
    process.kill(server.pid, "SIGCONT");
    await server.kill();
    await leavesSoon(third, () => third.type("ab\x1d"));
    await server.start();
  });

  test("can be left after its input was closed by somebody else", async () => {
    const server = await TestServer.start();
    const { job } = await server.client.start({
      command: "sleep",
      args: ["1000"],
      pty: true,
      stdin: true,
    });
    const person = new Person(server, "attach", "-i", job!.id);
    await eventually("the keys", () => person.hasRawKeys());
    await server.client.sendInput({ id: job!.id, close: true });
    person.type("x");
    await person.sees("takes no more input");
    await leavesSoon(person, () => person.type("\x1d"));
  });

  test("what asks the terminal something is not shown again", async () => {
    const server = await TestServer.start();
    const { job } = await server.client.start({
      command: "sh",
      args: ["-c", "printf 'a\\033[6nb\\033[cc\\r\\n'; cat"],
      pty: true,
      stdin: true,
    });
    await eventually("the output", async () => {
      const seen = await server.client.get({ id: job!.id });
      return seen.job!.stdoutBytes >= 12n;
    });
    const person = new Person(server, "attach", "-i", job!.id);
    await person.sees("abc");
    person.type("\x1d");
    await person.leaves();
  });
});

test("a job without input cannot be entered, and is told so", needsTerminal, async () => {
  const server = await TestServer.start();
  const { job } = await server.client.start({ command: "sleep", args: ["1000"] });
  const person = new Person(server, "attach", "-i", job!.id);
  expect(await person.leaves()).toBe(1);
  expect(person.terminal.output).toContain("takes no input");
});
