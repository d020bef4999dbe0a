import type { OutputLine } from "../../contract/procman.js";
import type { Cli } from "../cli.js";
import { printable } from "../format/printable.js";
import { cut, progressLine } from "../format/progress.js";

/** Carriage return, and the rest of the line erased. */
const CLEAR_LINE = "\r\u001b[K";

/**
 * Shows lines as they come. On a terminal those that a program rewrites (they
 * end with a lone "\r") and the progress that lines tell of share one line at
 * the bottom; elsewhere every line is printed.
 */
export class LineView {
  readonly #cli: Cli;
  #status = "";
  /** Whether the status line is on the screen. */
  #drawn = false;

  constructor(cli: Cli) {
    this.#cli = cli;
  }

  async show(line: OutputLine): Promise<void> {
    const { stdout } = this.#cli;
    const output = this.#cli[line.stream];
    if (!stdout.isScreen) return output.write(line.text + terminatorOf(line));

    const transient = line.terminator === "cr";
    if (line.progress) {
      this.#status = stdout.paint("cyan", progressLine(line.progress, stdout.width));
    }
    if (transient && !line.progress) this.#status = cut(printable(line.text), stdout.width);
    await this.#erase();
    if (!transient) await output.write(line.text + terminatorOf(line));
    // What goes on in the same line must not be torn apart.
    if (line.terminator !== "none") await this.#draw();
  }

  /** Tells a person something about the output. */
  async say(text: string): Promise<void> {
    const { stderr } = this.#cli;
    if (!stderr.isTerminal) return;
    await this.#erase();
    await stderr.line(stderr.paint("dim", text));
  }

  /** Takes the status line away. */
  async close(): Promise<void> {
    await this.#erase();
  }

  async #erase(): Promise<void> {
    if (!this.#drawn) return;
    this.#drawn = false;
    await this.#cli.stdout.write(CLEAR_LINE);
  }

  async #draw(): Promise<void> {
    if (this.#status === "") return;
    this.#drawn = true;
    await this.#cli.stdout.write(this.#status);
  }
}

/** A line is a line, whatever ended it; a piece of one is not. */
function terminatorOf({ terminator }: OutputLine): string {
  return terminator === "none" ? "" : "\n";
}
