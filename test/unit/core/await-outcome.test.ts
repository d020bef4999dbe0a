import { describe, expect, test } from "vitest";
import { awaitOutcome } from "../../../src/core/await-outcome.js";
import type { WaitOptions } from "../../../src/contract/procman.js";
import type { JobLogs } from "../../../src/core/ports.js";
import { eventually } from "../../helpers/eventually.js";

/** A job that listens on a port when the test says so. */
class Job {
  port: number | undefined;
  looks: number[] = [];
  onLook = (): void => {};
  readonly #ended = new AbortController();
  readonly #noneRemain = new AbortController();
  readonly #stop = new AbortController();

  end(): void {
    this.#ended.abort();
  }

  loseTheLast(): void {
    this.#noneRemain.abort();
  }

  stop(reason: Error): void {
    this.#stop.abort(reason);
  }

  wait(options: WaitOptions) {
    const job = {
      ended: this.#ended.signal,
      noneRemain: this.#noneRemain.signal,
      process: {
        listeningPort: async (port: number) => {
          this.looks.push(port);
          this.onLook();
          return this.port;
        },
      },
      logs: {} as JobLogs,
    };
    return awaitOutcome(job, options, this.#stop.signal);
  }
}

const until = { type: "port", port: 3000 } as const;

describe("none left", () => {
  const none = { until: { type: "no-remaining" } } as const;

  test("is waited for beyond the job's end", async () => {
    const job = new Job();
    const waiting = job.wait(none);
    job.end();
    const isSettled = await Promise.race([waiting.then(() => true), nextTurn()]);
    expect(isSettled).toBe(false);
    job.loseTheLast();
    expect(await waiting).toBeUndefined();
  });

  test("is waited for no longer than the timeout, or the caller", async () => {
    const job = new Job();
    job.end();
    expect(await job.wait({ ...none, timeoutMs: 1 })).toBeUndefined();
    const waiting = job.wait(none);
    job.stop(new Error("left"));
    await expect(waiting).rejects.toThrow("left");
  });
});

async function nextTurn(): Promise<boolean> {
  await new Promise(setImmediate);
  return false;
}

describe("a port", () => {
  test("is looked for until it is listened on", async () => {
    const job = new Job();
    const waiting = job.wait({ until });
    await eventually("some looks", () => job.looks.length > 3);
    job.port = 3000;
    expect(await waiting).toEqual({ type: "port", port: 3000 });
    expect(new Set(job.looks)).toEqual(new Set([3000]));
  });

  test("is looked for once where there is no time, and at the end of the time", async () => {
    const job = new Job();
    expect(await job.wait({ until, timeoutMs: 0 })).toBeUndefined();
    expect(job.looks).toHaveLength(1);
    expect(await job.wait({ until, timeoutMs: 1 })).toBeUndefined();
    job.port = 3000;
    expect(await job.wait({ until, timeoutMs: 0 })).toEqual({ type: "port", port: 3000 });
  });

  test("comes to nothing when the job ends, also where what it left behind listens", async () => {
    const job = new Job();
    const waiting = job.wait({ until });
    await eventually("a look", () => job.looks.length > 0);
    job.end();
    expect(await waiting).toBeUndefined();
    job.looks = [];
    expect(await job.wait({ until })).toBeUndefined();
    expect(job.looks).toEqual([]);

    const leaving = new Job();
    leaving.port = 3000;
    leaving.onLook = () => leaving.end();
    expect(await leaving.wait({ until })).toBeUndefined();
  });

  test("fails with the caller's reason when the caller leaves", async () => {
    const job = new Job();
    const waiting = job.wait({ until }).catch((error: unknown) => error);
    await eventually("a look", () => job.looks.length > 0);
    job.stop(new Error("left"));
    expect(await waiting).toMatchObject({ message: "left" });
  });

  test.each([-1, 65_536, 1.5, Number.NaN])("%d is none", async (port) => {
    const job = new Job();
    await expect(job.wait({ until: { type: "port", port } })).rejects.toMatchObject({
      reason: "INVALID_ARGUMENT",
      violations: [{ field: "port" }],
    });
    expect(job.looks).toEqual([]);
  });
});
