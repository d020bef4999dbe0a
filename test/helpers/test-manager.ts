import { cpSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { StartOptions } from "../../src/contract/procman.js";
import { Manager, type ManagerOptions } from "../../src/manager.js";
import { eventually } from "./eventually.js";
import { tempDir } from "./temp-dir.js";
import { endJobs } from "./test-server.js";

export type TestManagerOptions = Omit<ManagerOptions, "stateDir">;

/**
 * A manager in this process, on a state directory of its own. When the test is
 * over, it, every job and every file of it are gone.
 */
export class TestManager {
  readonly stateDir = join(tempDir(), "state");
  readonly #options: TestManagerOptions;
  #manager: Manager | undefined;

  private constructor(options: TestManagerOptions) {
    this.#options = { pollIntervalMs: 50, ...options };
  }

  static async open(options: TestManagerOptions = {}): Promise<TestManager> {
    const test = TestManager.prepare(options);
    await test.open();
    return test;
  }

  /** One that is not opened yet, so that files can be put in its place. */
  static prepare(options: TestManagerOptions = {}): TestManager {
    const test = new TestManager(options);
    mkdirSync(join(test.stateDir, "jobs"), { recursive: true, mode: 0o700 });
    onTestFinished(async () => {
      await test.close();
      await endJobs(test.stateDir);
    });
    return test;
  }

  get manager(): Manager {
    if (!this.#manager) throw new Error("the manager is not open");
    return this.#manager;
  }

  /** @param more options that this one has, besides those of all */
  async open(more: TestManagerOptions = {}): Promise<void> {
    this.#manager = await Manager.open({ ...this.#options, ...more, stateDir: this.stateDir });
  }

  async close(): Promise<void> {
    await this.#manager?.close();
    this.#manager = undefined;
  }

  /** A file in the job's directory. */
  path(id: string, name = ""): string {
    return join(this.stateDir, "jobs", id, name);
  }

  read(id: string, name: string): string {
    return readFileSync(this.path(id, name), "utf8");
  }

  /**
   * A job that has ended, whose files are there to be forged: no manager is open
   * any more.
   */
  static async withForgedJob(options: TestManagerOptions = {}) {
    const at = await TestManager.open(options);
    const { id } = await at.manager.start({ command: "true" });
    await at.manager.wait(id);
    await at.close();
    return { at, id };
  }

  /** Makes another job of the same record and files. */
  copyJob(id: string, copyId: string): void {
    cpSync(this.path(id), this.path(copyId), { recursive: true });
    this.changeRecord(copyId, { id: copyId });
  }

  /** Says in a forged job's files that it runs, and as whom. */
  claim(id: string, lines: { bootId?: string; runner: string; command: string }): void {
    const { bootId = this.#bootId(id), runner, command } = lines;
    this.write(id, "process", `${bootId}\n${runner}\n${command}\ncgroup \n`);
    this.write(id, "exit", "");
    this.changeRecord(id, { status: "running", pid: Number.parseInt(command, 10) });
  }

  /** What state.json says. */
  record(id: string): Readonly<Record<string, unknown>> {
    return JSON.parse(this.read(id, "state.json")) as Record<string, unknown>;
  }

  /** Changes what state.json says, while no manager is open. */
  changeRecord(id: string, changes: object): void {
    writeFileSync(this.path(id, "state.json"), JSON.stringify({ ...this.record(id), ...changes }));
  }

  write(id: string, name: string, text: string): void {
    writeFileSync(this.path(id, name), text);
  }

  #bootId(id: string): string {
    return this.read(id, "process").split("\n", 1)[0] as string;
  }

  /**
   * Has only its session hold a running job's processes together, as for a user who
   * may make no cgroups.
   */
  withoutCgroup(id: string): void {
    const lines = this.read(id, "process").split("\n");
    const cgroup = lines[3]?.slice("cgroup ".length);
    if (!cgroup) return;
    this.write(id, "process", [...lines.slice(0, 3), "cgroup ", ...lines.slice(4)].join("\n"));
    onTestFinished(() => removeEmpty(cgroup));
  }

  /** Runs a bash script and waits for the first line that it writes. */
  async startReady(script: string, options: Partial<StartOptions> = {}) {
    const { id } = await this.manager.start({ command: "bash", args: ["-c", script], ...options });
    const line = await eventually("its first line", () =>
      /^(.*)\n/.exec(this.read(id, "stdout.log")),
    );
    return { id, firstLine: line[1] as string };
  }
}

/** A cgroup is deleted once nobody is in it any more. */
async function removeEmpty(cgroup: string): Promise<void> {
  await eventually(`${cgroup} to be empty`, () => {
    rmdirSync(cgroup);
    return true;
  });
}
