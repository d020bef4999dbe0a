import { PassThrough, Writable } from "node:stream";
import type { RawProcess } from "../../../src/cli/command-line-bytes.js";
import type { Cli, ServerPlace } from "../../../src/cli/cli.js";
import { Input, type InputStream } from "../../../src/cli/terminal/input.js";
import { Output, type OutputStream } from "../../../src/cli/terminal/output.js";
import { runCli } from "../../../src/cli/run-cli.js";
import type { JobPage, ListOptions, Procman } from "../../../src/contract/procman.js";
import { FakeProcman } from "../../helpers/fake-procman.js";

export interface FakeCliOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly terminal?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  /** The current directory; undefined where it was deleted. */
  readonly workDir?: string | undefined;
}

/** A stream that keeps what is written. */
export class Captured extends Writable implements OutputStream {
  readonly isTTY: boolean;
  columns: number;
  rows: number;
  /** What writes fail with: "EPIPE". */
  errorCode: string | undefined;
  /** How long each write takes. */
  delayMs = 0;
  readonly #pieces: Buffer[] = [];

  constructor({ terminal = false, columns = 80, rows = 24 }: FakeCliOptions = {}) {
    super();
    this.isTTY = terminal;
    this.columns = columns;
    this.rows = rows;
  }

  get bytes(): Buffer {
    return Buffer.concat(this.#pieces);
  }

  get text(): string {
    return this.bytes.toString();
  }

  hasColors(env: NodeJS.ProcessEnv = {}): boolean {
    return this.isTTY && !env["NO_COLOR"];
  }

  override _write(data: Buffer, _encoding: string, done: (error?: Error) => void): void {
    const { errorCode } = this;
    if (errorCode !== undefined) {
      return done(Object.assign(new Error(errorCode), { code: errorCode }));
    }
    this.#pieces.push(data);
    if (this.delayMs === 0) done();
    else setTimeout(done, this.delayMs);
  }
}

/** What is typed, or piped in. */
export class Typed extends PassThrough implements InputStream {
  readonly isTTY: boolean;
  /** Whether keys come as they are pressed. */
  isRaw = false;

  constructor({ terminal = false }: FakeCliOptions = {}) {
    super();
    this.isTTY = terminal;
  }

  setRawMode(raw: boolean): void {
    this.isRaw = raw;
  }
}

/** Jobs in pages, whose token is where the page begins; filtered by status. */
export class PagedProcman extends FakeProcman {
  isClosed = false;

  override async close(): Promise<void> {
    this.isClosed = true;
  }

  override async list(options: ListOptions = {}): Promise<JobPage> {
    const { statuses = [], pageSize = 100, pageToken = "" } = options;
    const { jobs, unreadable, unreadableSize } = await super.list(options);
    const matching = jobs.filter(
      ({ status }) => statuses.length === 0 || statuses.includes(status),
    );
    const begin = Number(pageToken);
    const end = begin + pageSize;
    return {
      jobs: matching.slice(begin, end),
      nextPageToken: end < matching.length ? String(end) : "",
      totalSize: matching.length,
      ...(begin === 0 ? { unreadable, unreadableSize } : { unreadable: [], unreadableSize: 0 }),
    };
  }
}

/** The command line in this process, over jobs that are what the test says. */
export class FakeCli implements Cli {
  readonly procman = new PagedProcman();
  readonly env: NodeJS.ProcessEnv;
  raw: RawProcess = {
    words: () => undefined,
    variables: () => undefined,
    workDir: () => undefined,
  };
  attributes = () => ({ umask: 0o022, nice: 0, softLimits: { nofile: 1024 } });
  readonly typed: Typed;
  readonly stdin: Input;
  readonly out: Captured;
  readonly err: Captured;
  readonly stdout: Output;
  readonly stderr: Output;
  /** The signals that are taken for Ctrl-C. */
  interruptedBy: readonly string[] = [];
  /** Ctrl-C. */
  readonly interrupt = new AbortController();
  /** What is done when the process ends. */
  exit: () => void = () => {};
  /** What Ctrl-Z does, and what follows when the process goes on. */
  suspension: { before: () => Promise<void>; after: () => void } | undefined;
  readonly #workDir: string | undefined;
  /** The state directories, or URLs, whose servers were asked for. */
  readonly connected: string[] = [];

  constructor(options: FakeCliOptions = {}) {
    this.env = options.env ?? {};
    this.#workDir = "workDir" in options ? options.workDir : "/home/me";
    this.typed = new Typed(options);
    this.stdin = new Input(this.typed);
    this.out = new Captured(options);
    this.err = new Captured(options);
    this.stdout = new Output(this.out, "stdout", this.env);
    this.stderr = new Output(this.err, "stderr", this.env);
  }

  workDir(): string {
    if (this.#workDir === undefined) throw new Error("ENOENT: uv_cwd");
    return this.#workDir;
  }

  interruption(signals: readonly string[] = ["SIGINT"]): AbortSignal {
    this.interruptedBy = signals;
    return this.interrupt.signal;
  }

  onExit(listener: () => void): () => void {
    this.exit = listener;
    return () => {
      this.exit = () => {};
    };
  }

  onSuspension(before: () => Promise<void>, after: () => void): () => void {
    this.suspension = { before, after };
    return () => {
      this.suspension = undefined;
    };
  }

  async connect(server: ServerPlace): Promise<Procman> {
    this.connected.push("host" in server ? server.host.url : server.stateDir);
    return this.procman;
  }

  run(...words: string[]): Promise<number> {
    return runCli(words, this);
  }
}
