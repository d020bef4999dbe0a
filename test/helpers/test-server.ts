import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, onTestFinished } from "vitest";
import { ProcmanService } from "../../gen/procman/v1/procman_pb.js";
import { JobDir } from "../../src/core/job-dir.js";
import { LocalEngine } from "../../src/engine/local/local-engine.js";
import { eventually } from "./eventually.js";
import { sharedTempDir, tempDir } from "./temp-dir.js";

export const MAIN = join(import.meta.dirname, "../../dist/bin/procman.cjs");

export interface TestServerOptions {
  readonly stateDir?: string;
  /** The program; default: what was built. */
  readonly main?: string;
  /** More words for `procman serve`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Put before the command: ["prlimit", "--nofile=40"], say. */
  readonly wrapper?: readonly string[];
}

/**
 * A real server process on a state directory of its own. When the test is over,
 * it, every job and every file of it are gone.
 */
export class TestServer {
  readonly stateDir: string;
  readonly #options: TestServerOptions;
  #child: ChildProcess | undefined;
  #log = "";

  private constructor(stateDir: string, options: TestServerOptions) {
    this.stateDir = stateDir;
    this.#options = options;
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const server = TestServer.prepare(options);
    await server.start();
    return server;
  }

  /** One that is not started yet. */
  static prepare(options: TestServerOptions = {}): TestServer {
    const stateDir = options.stateDir ?? join(tempDir(), "state");
    const server = new TestServer(stateDir, options);
    onTestFinished(() => server.#cleanUp());
    return server;
  }

  /**
   * One for all tests of a file or a `describe`, where none of them minds the
   * others' jobs. To be called outside of tests; it runs once they do.
   */
  static shared(options: TestServerOptions = {}): TestServer {
    const stateDir = options.stateDir ?? join(sharedTempDir(), "state");
    const server = new TestServer(stateDir, options);
    beforeAll(() => server.start());
    afterAll(() => server.#cleanUp());
    return server;
  }

  get socketPath(): string {
    return join(this.stateDir, "procman.sock");
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error("the server does not run");
    return this.#child.pid;
  }

  /** What the server said, on stdout and stderr, since the first start. */
  get log(): string {
    return this.#log;
  }

  get token(): string {
    return readFileSync(join(this.stateDir, "token"), "utf8").trim();
  }

  /** Where it listens on TCP: "http://127.0.0.1:7420". */
  get baseUrl(): string {
    const urls = [...this.#log.matchAll(/https?:\/\/[\w.:[\]]+/g)];
    const url = urls.at(-1)?.[0];
    if (url === undefined) throw new Error(`no address in: ${this.#log}`);
    return url;
  }

  /**
   * Waits until the server holds what it will hold while nothing is asked of it (Linux):
   * from its first job on it keeps a runner that waits for the next, and connections of
   * clients that have gone are closed some seconds after their last use.
   */
  async settle(): Promise<void> {
    const { job } = await this.client.start({ command: "true" });
    await this.client.wait({ id: job!.id });
    await this.client.remove({ id: job!.id });
    let held = this.openFiles().join();
    await eventually("a quiet server", async () => {
      await sleep(1000);
      const before = held;
      held = this.openFiles().join();
      return held === before;
    });
  }

  /** Paths of the files that the server has open (Linux). */
  openFiles(): string[] {
    const dir = `/proc/${this.pid}/fd`;
    return readdirSync(dir).flatMap((fd) => {
      try {
        return [readlinkSync(join(dir, fd))];
      } catch {
        return [];
      }
    });
  }

  /** A client over the unix socket; a new connection pool each time. */
  get client(): Client<typeof ProcmanService> {
    const transport = createConnectTransport({
      baseUrl: "http://localhost",
      httpVersion: "1.1",
      nodeOptions: { socketPath: this.socketPath },
    });
    return createClient(ProcmanService, transport);
  }

  /** Starts the process and waits until it answers; without `ready` only the former. */
  async start({ ready = true, env = {} }: { ready?: boolean; env?: Record<string, string> } = {}) {
    mkdirSync(this.stateDir, { recursive: true, mode: 0o700 });
    const words = [
      ...(this.#options.wrapper ?? []),
      process.execPath,
      this.#options.main ?? MAIN,
      "serve",
      "--state-dir",
      this.stateDir,
      ...(this.#options.args ?? ["--listen", "127.0.0.1:0"]),
    ];
    const [program, ...args] = words as [string, ...string[]];
    const said = this.#log.length;
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...this.#options.env, ...env },
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (data: Buffer) => {
        this.#log += data.toString();
      });
    }
    if (!ready) return;
    // It says where it listens once it does.
    const saysWhere = () => this.#log.slice(said).includes("procman listens on ");
    await eventually("the server to answer", async () => {
      if (this.hasEnded) throw new Error(`the server ended: ${this.#log}`);
      return saysWhere() && canConnect(this.socketPath);
    });
  }

  get hasEnded(): boolean {
    const child = this.#child;
    return !child || child.exitCode !== null || child.signalCode !== null;
  }

  /** Ends the process with a signal and waits for it; returns its exit code or signal. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<number | NodeJS.Signals | null> {
    const child = this.#child;
    if (!child) return null;
    if (!this.hasEnded) {
      const exited = once(child, "exit");
      child.kill(signal);
      await exited;
    }
    return child.exitCode ?? child.signalCode;
  }

  /** Waits for the process to end by itself. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    await eventually("the server's end", () => this.hasEnded);
    return this.#child?.exitCode ?? this.#child?.signalCode ?? null;
  }

  async restart(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    await this.kill(signal);
    await this.start();
  }

  async #cleanUp(): Promise<void> {
    await this.kill();
    await endJobs(this.stateDir);
  }
}

/** Ends every process of every job in a state directory, whoever is its server. */
export async function endJobs(stateDir: string): Promise<void> {
  const engine = new LocalEngine({ pollIntervalMs: 100 });
  const jobs = join(stateDir, "jobs");
  for (const id of readdirIfAny(jobs)) {
    const job = engine.open(new JobDir(join(jobs, id)));
    await job.stop(0, AbortSignal.timeout(20_000));
    await eventually(`the end of job ${id}`, async () => {
      const seen = await job.inspect();
      if (seen.kind === "alive" && seen.isEnding) job.drainOrKill();
      return seen.kind !== "alive";
    });
    job.release();
  }
}

function readdirIfAny(dir: string): string[] {
  try {
    return readdirSync(dir, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? [entry.name] : [],
    );
  } catch {
    return [];
  }
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
