import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { quoted } from "../../src/platform/shell-word.js";
import { Emulator } from "./emulator.js";
import { eventually } from "./eventually.js";
import { tempDir } from "./temp-dir.js";

export interface TestTerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
}

const HAS_SCRIPT = spawnSync("script", ["--version"]).status === 0;
if (!HAS_SCRIPT) console.warn("skipped: terminals need script (Debian's package bsdutils)");

/** For tests that need one; in CI there is one, or they fail. */
export const needsTerminal = { skip: !HAS_SCRIPT && !process.env["CI"] };

/** A command in a real terminal (of script, from util-linux), and what a person sees of it. */
export class TestTerminal {
  readonly #child: ChildProcess;
  readonly #emulator: Emulator;
  readonly #dir = tempDir();
  #output = "";
  /** Its exit code. */
  readonly ended: Promise<number | null>;

  private constructor(words: readonly string[], options: TestTerminalOptions) {
    const { columns = 80, rows = 24, env = {} } = options;
    this.#emulator = new Emulator({ columns, rows });
    const notes = `cd ${this.#dir}; tty >tty; echo $$ >pid; cd "$OLDPWD"`;
    const command = `stty cols ${columns} rows ${rows}; ${notes}; exec ${words.map(quoted).join(" ")}`;
    this.#child = spawn("script", ["-qefc", command, "/dev/null"], {
      env: { ...process.env, SHELL: "/bin/sh", TERM: "xterm-256color", ...env },
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.#child.stdout?.on("data", (data: Buffer) => {
      this.#output += data.toString("latin1");
      this.#emulator.write(data);
    });
    this.ended = once(this.#child, "close").then(([code]) => code as number | null);
    onTestFinished(async () => {
      this.#child.kill("SIGKILL");
      await this.ended;
    });
  }

  static open(words: readonly string[], options: TestTerminalOptions = {}): TestTerminal {
    return new TestTerminal(words, options);
  }

  /** Everything that was sent to the terminal, byte by byte. */
  get output(): string {
    return this.#output;
  }

  get isCursorHidden(): boolean {
    return this.#output.lastIndexOf("\u001b[?25l") > this.#output.lastIndexOf("\u001b[?25h");
  }

  /** Lets the command go on after Ctrl-Z, as a shell's "fg" does. */
  goOn(): void {
    // script stops with what it runs.
    this.#child.kill("SIGCONT");
  }

  type(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** As when a person drags the corner of the window. */
  resize(columns: number, rows: number): void {
    this.#emulator.resize(columns, rows);
    const size = ["cols", String(columns), "rows", String(rows)];
    execFileSync("stty", ["-F", this.#note("tty"), ...size]);
  }

  /** As stty tells. */
  get settings(): string {
    return execFileSync("stty", ["-F", this.#note("tty"), "-a"], { encoding: "utf8" });
  }

  /** The command's. */
  get pid(): number {
    return Number(this.#note("pid"));
  }

  /** Waits until what is seen is as it should be; returns it. */
  async sees(what: string, condition: (screen: Emulator) => boolean): Promise<Emulator> {
    await eventually(what, async () => {
      await this.#emulator.settled();
      if (condition(this.#emulator)) return true;
      throw new Error(`the screen shows:\n${this.#emulator.text}`);
    });
    return this.#emulator;
  }

  /** What is seen when the command has ended. */
  async afterEnd(): Promise<Emulator> {
    await this.ended;
    await this.#emulator.settled();
    return this.#emulator;
  }

  #note(name: string): string {
    return readFileSync(join(this.#dir, name), "utf8").trim();
  }
}
