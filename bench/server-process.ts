import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createProcmanClient } from "../src/client/index.js";
import type { Job, Procman } from "../src/index.js";
import { inParallel } from "../src/platform/in-parallel.js";
import type { Target } from "./follow.js";
import { PROCMAN } from "./procman-bin.js";
import type { Scratch } from "./scratch.js";

const STOP_TIMEOUT_MS = 15_000;
const OUTPUT_TIMEOUT_MS = 10_000;
const END_JOBS_TIMEOUT_MS = 60_000;
const END_JOBS_INTERVAL_MS = 200;
/** Jobs that are ended at a time. */
const END_CONCURRENCY = 16;
const PAGE_SIZE = 1000;

export interface ServerProcessOptions {
  /** Default: a new one. */
  readonly stateDir?: string;
  /** The program, with its arguments. Default: `procman serve`. */
  readonly program?: (stateDir: string) => readonly string[];
}

/**
 * A real server process. Its jobs and itself are gone when the benchmark is over.
 * BENCH_CPU_PROF=DIR has it write a CPU profile there when it ends.
 */
export class ServerProcess {
  readonly stateDir: string;
  /** Over the unix socket; for what is not measured. */
  readonly client: Procman;
  readonly #child: ChildProcess;
  #output = "";

  static async start(scratch: Scratch, options: ServerProcessOptions = {}): Promise<ServerProcess> {
    const stateDir = options.stateDir ?? join(scratch.dir(), "state");
    const server = new ServerProcess(stateDir, options.program ?? servePlainly);
    scratch.defer(() => server.stop());
    await server.#ready();
    return server;
  }

  private constructor(stateDir: string, program: (stateDir: string) => readonly string[]) {
    const profileDir = process.env["BENCH_CPU_PROF"];
    const profile = profileDir === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profileDir}`];
    this.stateDir = stateDir;
    this.client = createProcmanClient({ socketPath: this.socketPath });
    this.#child = spawn(process.execPath, [...profile, ...program(stateDir)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (data: Buffer) => {
        this.#output += data.toString();
      });
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get socketPath(): string {
    return join(this.stateDir, "procman.sock");
  }

  get token(): string {
    return readFileSync(join(this.stateDir, "token"), "utf8").trim();
  }

  get target(): Target {
    return { authority: this.authority(), token: this.token, socketPath: this.socketPath };
  }

  /** "127.0.0.1:1234": the first address it said it listens on, or that after `name`. */
  authority(name = ""): string {
    const found = new RegExp(`${name}[^\\n]*?http://([\\w.:]+)`).exec(this.#output)?.[1];
    if (found === undefined) throw new Error(`no address of ${name} in: ${this.#output}`);
    return found;
  }

  /** Path of a job's standard output. */
  logOf({ id }: Job): string {
    return join(this.stateDir, "jobs", id, "stdout.log");
  }

  /** Sends the server a signal, and resolves with the first match in what it prints after that. */
  async askBySignal(signal: NodeJS.Signals, answer: RegExp): Promise<RegExpExecArray> {
    const before = this.#output.length;
    this.#child.kill(signal);
    const deadlineMs = performance.now() + OUTPUT_TIMEOUT_MS;
    for (;;) {
      const match = answer.exec(this.#output.slice(before));
      if (match) return match;
      if (performance.now() > deadlineMs) throw new Error(`the server did not print ${answer}`);
      await sleep(10);
    }
  }

  /** Ends the jobs and then the server. */
  async stop(): Promise<void> {
    // From here on nobody starts any with it.
    await this.client.close();
    if (this.#isRunning) await this.#endJobs();
    await this.shutDown();
  }

  /** Ends the server alone; its jobs go on. */
  async shutDown(): Promise<void> {
    if (this.#isRunning) {
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(timer);
    }
    await this.client.close();
  }

  /** A server that is not ready, or does not answer, is to go all the same. */
  async #endJobs(): Promise<void> {
    const client = createProcmanClient({ socketPath: this.socketPath });
    const deadlineMs = performance.now() + END_JOBS_TIMEOUT_MS;
    let left = Number.POSITIVE_INFINITY;
    let wasEmpty = false;
    // Twice, for a Start that was under way.
    while (this.#isRunning && !(left === 0 && wasEmpty) && performance.now() < deadlineMs) {
      wasEmpty = left === 0;
      try {
        const page = await client.list({ statuses: ["pending", "running"], pageSize: PAGE_SIZE });
        left = page.totalSize;
        await inParallel(page.jobs, END_CONCURRENCY, ({ id }) =>
          // It may have ended by now.
          client.cancel(id, { gracePeriodMs: 0 }).catch(() => {}),
        );
      } catch {
        await sleep(END_JOBS_INTERVAL_MS);
      }
    }
    await client.close();
  }

  get #isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Whoever finds the socket finds a server that is ready. */
  async #ready(): Promise<void> {
    while (!(await canConnect(this.socketPath))) {
      if (!this.#isRunning) throw new Error(`the server ended: ${this.#output}`);
      await sleep(2);
    }
  }
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

function servePlainly(stateDir: string): readonly string[] {
  const options = ["--listen", "127.0.0.1:0", "--log-level", "info"];
  return [PROCMAN, "serve", "--state-dir", stateDir, ...options];
}
