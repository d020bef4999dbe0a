import type { OutputLine } from "../../contract/procman.js";
import type { Cli } from "../cli.js";
import { cut } from "../format/columns.js";
import { printable } from "../format/printable.js";
import { progressLine } from "../format/progress.js";

const ERASE_LINE = "\r\u001b[K";

/**
 * Shows lines as they come. On a terminal one line at the bottom holds the progress
 * that lines tell of, and the lines that a program rewrites, which end with a lone
 * "\r". Elsewhere every line is printed.
 */
export class LineView {
  readonly #cli: Cli;
  #status = "";
  /** Whether the status line is on the screen. */
  #isDrawn = false;

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
    if (transient && !line.progress) this.#status = cut(printable(line.text), stdout.width - 1);
    await this.#erase();
    if (!transient) await output.write(line.text + terminatorOf(line));
    // A line that is still to go on must not be torn apart.
    if (line.terminator !== "none") await this.#draw();
  }

  /** Tells a person something about the output. */
  async note(text: string): Promise<void> {
    const { stderr } = this.#cli;
    if (!stderr.isTerminal) return;
    await this.#erase();
    await stderr.line(stderr.paint("dim", text));
  }

  /** Erases the status line. */
  async close(): Promise<void> {
    await this.#erase();
  }

  async #erase(): Promise<void> {
    if (!this.#isDrawn) return;
    this.#isDrawn = false;
    await this.#cli.stdout.write(ERASE_LINE);
  }

  async #draw(): Promise<void> {
    if (this.#status === "") return;
    this.#isDrawn = true;
    await this.#cli.stdout.write(this.#status);
  }
}

/** A line is printed as one, whatever ended it; a piece of one is not. */
function terminatorOf({ terminator }: OutputLine): string {
  return terminator === "none" ? "" : "\n";
}
