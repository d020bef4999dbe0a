import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { sharedTempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";
import { Meeting } from "./meeting.js";

/** Root can give a server a disk and a user of its own, and take from them. */
export const IS_ROOT = process.getuid?.() === 0;

/** Far more than the scenarios write. */
const DISK_BYTES = 4 * 2 ** 30;

/** Less than any server has: one more of it is one too many. */
const LIMITS = { nproc: 1, nofile: 10 };

/** Users that nobody else is: a limit on processes counts all that a user has. */
let lastUser = 54_400;

/**
 * A server and what its clients do to it all at once: restart it, or take away
 * what it lives on.
 */
export class Stage {
  readonly server: TestServer;
  readonly unreadableJob = "unreadable";
  readonly #user = ++lastUser;
  #meeting = new Meeting(0);
  /** As it was before it was lowered. */
  #limit = "";

  /** For all tests of a file. @param args more words for `procman serve` */
  constructor(args: readonly string[]) {
    const dir = sharedTempDir();
    const stateDir = join(dir, "state");
    beforeAll(() => this.#prepare(dir, stateDir));
    if (IS_ROOT) afterAll(() => execFileSync("umount", ["-l", stateDir]));
    this.server = TestServer.shared({
      stateDir,
      args,
      // Not root's, parts of which others may not enter.
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
      ...(IS_ROOT ? { wrapper: this.#asUser() } : {}),
    });
  }

  /** So many clients come next. */
  open(clients: number): void {
    this.#meeting = new Meeting(clients);
  }

  /** One of them has gone. */
  leave(): void {
    this.#meeting.leave();
  }

  /** Waits for all of them; then it is done once. */
  together(action?: () => unknown): Promise<void> {
    return this.#meeting.together(action);
  }

  inTurn<T>(action: () => Promise<T>): Promise<T> {
    return this.#meeting.inTurn(action);
  }

  /** What the server has read so far, from files at least. */
  bytesRead(): number {
    const io = readFileSync(`/proc/${this.server.pid}/io`, "utf8");
    return Number(/^rchar: (\d+)$/m.exec(io)?.[1]);
  }

  withoutJobsDirectory(action: () => Promise<void>): Promise<void> {
    const [jobs, elsewhere] = ["jobs", "jobs.elsewhere"].map((name) =>
      join(this.server.stateDir, name),
    ) as [string, string];
    return this.#without(
      () => renameSync(jobs, elsewhere),
      () => renameSync(elsewhere, jobs),
      action,
    );
  }

  withFullDisk(action: () => Promise<void>): Promise<void> {
    const disk = this.server.stateDir;
    const resize = (bytes: number) =>
      execFileSync("mount", ["-o", `remount,size=${bytes}`, disk], { stdio: "pipe" });
    return this.#without(
      () => {
        const { bsize, blocks, bfree } = statfsSync(disk);
        resize(bsize * (blocks - bfree));
      },
      () => resize(DISK_BYTES),
      action,
    );
  }

  withLimit(resource: keyof typeof LIMITS, action: () => Promise<void>): Promise<void> {
    const pid = `--pid=${this.server.pid}`;
    const run = (...words: string[]) => {
      // Of its own user: a container's root may not be allowed to.
      const [program, ...args] = [...this.#asUser(), "prlimit", pid, ...words] as const;
      return execFileSync(program as string, args)
        .toString()
        .trim();
    };
    return this.#without(
      async () => {
        this.#limit = run(`--${resource}`, "--output=SOFT", "--noheadings");
        run(`--${resource}=${LIMITS[resource]}:`);
        // The runner that waits for the next Start has the limits of before.
        await this.server.client.start({ command: "true" }).catch(() => {});
      },
      () => run(`--${resource}=${this.#limit}:`),
      action,
    );
  }

  async #without(
    take: () => unknown,
    giveBack: () => unknown,
    action: () => Promise<void>,
  ): Promise<void> {
    await this.together(take);
    try {
      await action();
    } finally {
      await this.together(giveBack);
    }
  }

  #prepare(dir: string, stateDir: string): void {
    mkdirSync(stateDir, { mode: 0o700 });
    const damaged = join(stateDir, "jobs", this.unreadableJob);
    if (IS_ROOT) {
      chmodSync(dir, 0o755);
      const options = `size=${DISK_BYTES},mode=700,uid=${this.#user},gid=${this.#user}`;
      execFileSync("mount", ["-t", "tmpfs", "-o", options, "tmpfs", stateDir]);
    }
    mkdirSync(damaged, { recursive: true, mode: 0o700 });
    writeFileSync(join(damaged, "state.json"), "{");
    if (!IS_ROOT) return;
    for (const path of [join(stateDir, "jobs"), damaged, join(damaged, "state.json")]) {
      chownSync(path, this.#user, this.#user);
    }
  }

  #asUser(): string[] {
    const user = String(this.#user);
    return ["setpriv", `--reuid=${user}`, `--regid=${user}`, "--clear-groups"];
  }
}
