import type { Writable } from "node:stream";
import { styleText } from "node:util";
import type { WindowSize } from "../../contract/job.js";
import { hasCode } from "../../platform/errno.js";
import { CliError } from "../exit-codes.js";

export type Style = Parameters<typeof styleText>[0];

/** A stream such as process.stdout. */
export interface OutputStream extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  hasColors?(env?: object): boolean;
}

const DEFAULT_HEIGHT = 24;

/** Thrown when nobody reads what is written any more, as in `procman attach … | head`. */
export class OutputClosed extends Error {
  override readonly name = "OutputClosed";
}

/** Stdout or stderr, written to in order and no faster than it is read. */
export class Output {
  readonly #stream: OutputStream;
  readonly #name: string;
  readonly #env: NodeJS.ProcessEnv;
  #last: Promise<void> = Promise.resolve();

  constructor(stream: OutputStream, name: string, env: NodeJS.ProcessEnv) {
    this.#stream = stream;
    this.#name = name;
    this.#env = env;
    // The write that failed rejects.
    stream.on("error", () => {});
  }

  get isTerminal(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Whether it is a terminal that can move the cursor and erase. */
  get isScreen(): boolean {
    return this.isTerminal && this.#env["TERM"] !== "dumb";
  }

  /** The columns of the terminal; unlimited elsewhere. */
  get width(): number {
    return (this.isTerminal && this.#stream.columns) || Number.POSITIVE_INFINITY;
  }

  /** The size of the terminal, where it is one that tells. */
  get windowSize(): WindowSize | undefined {
    const { rows, columns } = this.#stream;
    return this.isTerminal && rows && columns ? { rows, columns } : undefined;
  }

  /** The lines of the terminal. */
  get height(): number {
    return (this.isTerminal && this.#stream.rows) || DEFAULT_HEIGHT;
  }

  /** Calls back whenever the terminal has another size. @returns how to unsubscribe */
  onResize(listener: () => void): () => void {
    this.#stream.on("resize", listener);
    return () => this.#stream.off("resize", listener);
  }

  /** Resolves when the system has taken the data. @throws OutputClosed, CliError */
  write(data: string | Uint8Array): Promise<void> {
    this.#last = this.#last.then(() => this.#write(data));
    // Whoever awaits this write, or a later one, gets the error.
    this.#last.catch(() => {});
    return this.#last;
  }

  /** Writes at once, before what is queued: for when the process exits. */
  writeNow(data: string): void {
    this.#stream.write(data);
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  async lines(texts: readonly string[]): Promise<void> {
    for (const text of texts) await this.line(text);
  }

  /** Resolves when the system has taken everything. */
  flush(): Promise<void> {
    return this.#last;
  }

  /** Returns the text in colours and weights, where this is a terminal that wants them. */
  paint(style: Style, text: string): string {
    // Node's own check honours NO_COLOR, FORCE_COLOR and TERM.
    const colours = this.isTerminal && (this.#stream.hasColors?.(this.#env) ?? false);
    // styleText would check stdout, whichever stream this is.
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
