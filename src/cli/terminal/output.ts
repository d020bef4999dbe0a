import type { Writable } from "node:stream";
import { styleText } from "node:util";
import type { WindowSize } from "../../contract/job.js";
import { hasCode } from "../../platform/errno.js";
import { CliError } from "../cli-error.js";

export type Style = Parameters<typeof styleText>[0];

/** A stream such as process.stdout. */
export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  hasColors?(env?: object): boolean;
}

const USUAL_HEIGHT = 24;

/** Nobody reads what is written any more, as in `procman attach … | head`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** stdout or stderr: written to in order, and no faster than it is read. */
export class Output {
  readonly #stream: OutputStream;
  readonly #name: string;
  readonly #env: NodeJS.ProcessEnv;
  #last: Promise<void> = Promise.resolve();

  constructor(stream: OutputStream, name: string, env: NodeJS.ProcessEnv) {
    this.#stream = stream;
    this.#name = name;
    this.#env = env;
    // The write that failed tells.
    stream.on("error", () => {});
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Whether what was written can be written over: a terminal that knows how. */
  get isScreen(): boolean {
    return this.isTerminal && this.#env["TERM"] !== "dumb";
  }

  /** Columns of the terminal; unlimited elsewhere. */
  get width(): number {
    return (this.isTerminal && this.#stream.columns) || Number.POSITIVE_INFINITY;
  }

  /** The size of the terminal, where this is one that tells. */
  get windowSize(): WindowSize | undefined {
    const { rows, columns } = this.#stream;
    return this.isTerminal && rows && columns ? { rows, columns } : undefined;
  }

  /** Lines of the terminal. */
  get height(): number {
    return (this.isTerminal && this.#stream.rows) || USUAL_HEIGHT;
  }

  /** Calls back whenever the terminal has another size. Returns how to stop that. */
  onResize(listener: () => void): () => void {
    this.#stream.on("resize", listener);
    return () => this.#stream.off("resize", listener);
  }

  /** Resolves when the data has been handed over. @throws OutputClosed, CliError */
  write(data: string | Uint8Array): Promise<void> {
    this.#last = this.#last.then(() => this.#write(data));
    // Whoever waits for this write, or a later one, gets the error.
    this.#last.catch(() => {});
    return this.#last;
  }

  /** Before what is still to be written: for when the process ends. */
  writeNow(data: string): void {
    this.#stream.write(data);
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** Resolves when everything has been handed over. */
  flush(): Promise<void> {
    return this.#last;
  }

  /** The text in colours and weights, where this is a terminal that wants them. */
  paint(style: Style, text: string): string {
    // Node's own check honours NO_COLOR, FORCE_COLOR and TERM.
    const colours = this.isTerminal && (this.#stream.hasColors?.(this.#env) ?? false);
    // Which stream it is for was checked just now; styleText would look at stdout.
    return colours ? styleText(style, text, { validateStream: false }) : text;
  }

  #write(data: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#stream.write(data, (error) => {
        if (!error) return resolve();
        if (hasCode(error, "EPIPE", "ERR_STREAM_DESTROYED")) return reject(new OutputClosed());
        reject(new CliError(`cannot write to ${this.#name}: ${error.message}`, { cause: error }));
      });
    });
  }
}
