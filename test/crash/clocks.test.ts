import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { type Job, Status } from "../../gen/procman/v1/procman_pb.js";
import { eventually } from "../helpers/eventually.js";
import { tempDir } from "../helpers/temp-dir.js";
import { TestServer } from "../helpers/test-server.js";

const LIBRARY = findLibrary();
if (LIBRARY === undefined) {
  if (process.env["CI"]) throw new Error("CI needs libfaketime: apt-get install faketime");
  console.warn("skipped: clocks that jump need libfaketime (Debian's package faketime)");
}

function findLibrary(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const dirs = ["/usr/lib", ...readdirSync("/usr/lib").map((name) => `/usr/lib/${name}`)];
  return dirs
    .map((dir) => join(dir, "faketime", "libfaketimeMT.so.1"))
    .find((path) => {
      try {
        return readFileSync(path).length > 0;
      } catch {
        return false;
      }
    });
}

const DAY_MS = 24 * 60 * 60 * 1000;
/** Node rounds its timers to a millisecond; the rest is for two processes' clocks. */
const SLACK_MS = 20;

/**
 * A server whose wall clock can be set while it runs. Its monotonic clock stays
 * the kernel's, as it does where an administrator or NTP sets the wall clock.
 */
class ServerWithClock {
  readonly server: TestServer;
  readonly #file: string;

  private constructor(server: TestServer, file: string) {
    this.server = server;
    this.#file = file;
  }

  static async start(): Promise<ServerWithClock> {
    const file = join(tempDir(), "clock");
    const server = TestServer.prepare({
      env: {
        LD_PRELOAD: LIBRARY as string,
        FAKETIME_TIMESTAMP_FILE: file,
        FAKETIME_NO_CACHE: "1",
        FAKETIME_DONT_FAKE_MONOTONIC: "1",
      },
    });
    const clock = new ServerWithClock(server, file);
    clock.set(0);
    await server.start();
    return clock;
  }

  /** Puts the wall clock that many days off the machine's. */
  set(days: number): void {
    // By rename: the library reads the file at every look at the clock.
    writeFileSync(`${this.#file}.new`, `${days < 0 ? "" : "+"}${days}d\n`);
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** A job that has the machine's clock: it inherits nothing of the server's. */
  async startJob(script: string, timeoutMs?: number): Promise<Job> {
    const nanos = ((timeoutMs ?? 0) % 1000) * 1e6;
    const { job } = await this.server.client.start({
      command: "/bin/sh",
      args: ["-c", script],
      clearEnv: true,
      env: { PATH: "/usr/bin:/bin" },
      ...(timeoutMs === undefined
        ? {}
        : { timeout: { seconds: BigInt(Math.floor(timeoutMs / 1000)), nanos } }),
    });
    return job as Job;
  }

  /** How far the server is off, by what it stamps on a new job. */
  async daysOff(): Promise<number> {
    const { id, createdTime } = await this.startJob("exit 0");
    await this.ended(id);
    return Math.round((timestampMs(createdTime!) - Date.now()) / DAY_MS);
  }

  async ended(id: string): Promise<Job> {
    const { job } = await this.server.client.wait({ id }, { timeoutMs: 20_000 });
    return job as Job;
  }
}

const STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done";

describe.skipIf(LIBRARY === undefined).each([30, -30])(
  "a wall clock that jumps %i days",
  (days) => {
    test("moves no time limit, neither of a job nor of a Wait", async () => {
      const clock = await ServerWithClock.start();
      const startedAt = performance.now();
      const { id } = await clock.startJob("sleep 1000", 2000);
      const other = await clock.startJob("sleep 1000");
      const waitedAt = performance.now();
      const waiting = clock.server.client.wait(
        { id: other.id, timeout: { seconds: 1n, nanos: 0 } },
        { timeoutMs: 20_000 },
      );
      clock.set(days);
      expect(await clock.daysOff()).toBe(days);
      const { job: meanwhile } = await waiting;
      expect(performance.now() - waitedAt).toBeGreaterThan(1000 - SLACK_MS);
      expect(meanwhile!.status).toBe(Status.RUNNING);
      const job = await clock.ended(id);
      expect(performance.now() - startedAt).toBeGreaterThan(2000 - SLACK_MS);
      expect(job).toMatchObject({ status: Status.FAILED, error: "timed out after 2000 ms" });
    });

    test("while no server runs: a job still has the whole of its time limit", async () => {
      const clock = await ServerWithClock.start();
      const startedAt = performance.now();
      const { id } = await clock.startJob("sleep 1000", 4000);
      await clock.server.kill();
      clock.set(days);
      await clock.server.start();
      expect(await clock.daysOff()).toBe(days);
      const job = await clock.ended(id);
      expect(performance.now() - startedAt).toBeGreaterThan(4000 - SLACK_MS);
      expect(job).toMatchObject({ status: Status.FAILED, error: "timed out after 4000 ms" });
    });

    test("moves no grace period", async () => {
      const clock = await ServerWithClock.start();
      const { id } = await clock.startJob(STUBBORN);
      const dir = join(clock.server.stateDir, "jobs", id);
      await eventually("the trap", () => readFileSync(join(dir, "stdout.log")).length > 0);
      const startedAt = performance.now();
      const cancelling = clock.server.client.cancel(
        { id, gracePeriod: { seconds: 1n, nanos: 500_000_000 } },
        { timeoutMs: 20_000 },
      );
      await eventually("the cancel's record", () =>
        readFileSync(join(dir, "state.json"), "utf8").includes("cancel"),
      );
      clock.set(days);
      const { job } = await cancelling;
      expect(performance.now() - startedAt).toBeGreaterThan(1500 - SLACK_MS);
      expect(job).toMatchObject({ status: Status.CANCELLED, signal: "SIGKILL" });
      expect(await clock.daysOff()).toBe(days);
    });

    test("makes no job old that has just ended", async () => {
      const clock = await ServerWithClock.start();
      const { client } = clock.server;
      const before = await clock.startJob("exit 0");
      const across = await clock.startJob("sleep 1000");
      await clock.ended(before.id);
      clock.set(days);
      expect(await clock.daysOff()).toBe(days);
      await client.cancel({ id: across.id });
      const after = await clock.startJob("exit 3");
      await clock.ended(after.id);
      expect((await client.cleanup({})).removedIds).toEqual([]);
      for (const { id } of [before, across, after]) await client.get({ id });
      // Newest first, by the order of the Starts and not by the clock.
      const { jobs } = await client.list({});
      const mine = [after.id, across.id, before.id];
      expect(jobs.map(({ id }) => id).filter((id) => mine.includes(id))).toEqual(mine);
      const noAge = { seconds: 0n, nanos: 0 };
      expect((await client.cleanup({ olderThan: noAge })).removedIds).toHaveLength(4);
    });
  },
);
