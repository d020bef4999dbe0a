import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createProcmanClient } from "../src/client/index.js";
import type { Job, Procman } from "../src/index.js";
import type { Target } from "./follow.js";
import type { Scratch } from "./scratch.js";

const MAIN = join(import.meta.dirname, "../src/cli/main.js");

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

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      await this.endJobs();
      const exited = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await exited;
    }
    await this.client.close();
  }

  async endJobs(): Promise<void> {
    const { jobs } = await this.client.list({ statuses: ["running"], pageSize: 1000 });
    // One may have ended by now.
    await Promise.allSettled(jobs.map(({ id }) => this.client.cancel(id, { gracePeriodMs: 0 })));
  }

  /** Whoever finds the socket finds a server that is ready. */
  async #ready(): Promise<void> {
    while (!(await canConnect(this.socketPath))) {
      if (this.#child.exitCode !== null) throw new Error(`the server ended: ${this.#output}`);
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
  return [MAIN, "serve", "--state-dir", stateDir, ...options];
}
