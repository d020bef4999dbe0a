import { getEventListeners } from "node:events";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LogLimiter } from "../../../src/logs/retention/log-limiter.js";
import type { LogTrimmer } from "../../../src/logs/retention/log-trimmer.js";
import { deferred } from "../../helpers/deferred.js";
import { JobDir } from "../../../src/core/job-dir.js";

const POLL_MS = 1000;
const PACE_MS = 25;
const MIB = 1024 * 1024;
/** More than the slack of any of the limits here. */
const MUCH = 100 * MIB;
/** So many checks that find nothing new make a log a quiet one. */
const QUIET_CHECKS = 8;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** A limiter whose logs, watches and pace the test plays. */
class Limited {
  checks = 0;
  trims = 0;
  lateTrims = 0;
  readonly errors: unknown[] = [];
  readonly headrooms: number[] = [];
  readonly watches = new Map<string, { onChange: () => void; onLost: () => void }>();
  readonly ended = new AbortController();
  readonly pace = {
    growing: 0,
    delayMs: (headroomBytes: number) => {
      this.headrooms.push(headroomBytes);
      return PACE_MS;
    },
  };
  /** Whether the next check finds something new. */
  grows = false;
  canWatch = (_path: string) => true;
  /** Called by each trim; what it does to the excess is up to it. */
  onTrim = async () => {
    this.#trimmer.excessBytes = 0;
  };
  readonly #trimmer = {
    excessBytes: 0,
    owesHole: false,
    starts: async () => {},
    measure: () => {
      this.checks += 1;
      const { grows } = this;
      this.grows = false;
      return grows;
    },
    trim: () => {
      this.trims += 1;
      return this.onTrim();
    },
  };
  readonly limiter: LogLimiter;

  constructor(limitBytes = MIB) {
    this.limiter = new LogLimiter({
      dir: new JobDir("/job"),
      trimmer: this.#trimmer as unknown as LogTrimmer,
      limitBytes,
      ended: this.ended.signal,
      pollIntervalMs: POLL_MS,
      watch: (path, onChange, onLost) => {
        if (!this.canWatch(path)) return undefined;
        this.watches.set(path, { onChange, onLost });
        return { close: () => this.watches.delete(path) };
      },
      pace: this.pace,
      onLateTrim: () => {
        this.lateTrims += 1;
      },
      onError: (error) => this.errors.push(error),
    });
  }

  set excessBytes(bytes: number) {
    this.#trimmer.excessBytes = bytes;
  }

  set owesHole(owes: boolean) {
    this.#trimmer.owesHole = owes;
  }

  /** How many checks a time brings. */
  async checksIn(ms: number): Promise<number> {
    const before = this.checks;
    await vi.advanceTimersByTimeAsync(ms);
    return this.checks - before;
  }

  /** Begins, and lets the logs be quiet until they are watched. */
  static async quiet(canWatch = (_path: string) => true): Promise<Limited> {
    const limited = new Limited();
    limited.canWatch = canWatch;
    await limited.limiter.begin();
    await vi.advanceTimersByTimeAsync(QUIET_CHECKS * PACE_MS);
    return limited;
  }
}

test("logs that grow are checked at the pace, which is told how much room is left", async () => {
  const limited = new Limited();
  await limited.limiter.begin();
  expect(limited.checks).toBe(1);
  for (let check = 0; check < 2 * QUIET_CHECKS; check += 1) {
    limited.grows = true;
    limited.excessBytes = -check;
    expect(await limited.checksIn(PACE_MS)).toBe(1);
    expect(limited.headrooms.at(-1)).toBe(MIB + check);
  }
  expect(limited.pace.growing).toBe(1);
  expect(limited.watches.size).toBe(0);
  expect(limited.trims).toBe(0);
});

test("after some checks that found nothing new they are watched, and polled ten times less often", async () => {
  const limited = new Limited();
  await limited.limiter.begin();
  await vi.advanceTimersByTimeAsync((QUIET_CHECKS - 2) * PACE_MS);
  expect([limited.checks, limited.watches.size]).toEqual([QUIET_CHECKS - 1, 0]);
  await vi.advanceTimersByTimeAsync(PACE_MS);
  expect(limited.watches.size).toBe(2);
  expect(limited.pace.growing).toBe(0);
  expect(await limited.checksIn(10 * POLL_MS - 1)).toBe(0);
  expect(await limited.checksIn(1)).toBe(1);
  expect(await limited.checksIn(10 * POLL_MS)).toBe(1);
});

test("they are polled at the interval while one of them cannot be watched", async () => {
  const limited = await Limited.quiet((path) => path.includes("stdout"));
  expect(limited.watches.size).toBe(1);
  expect(await limited.checksIn(3 * POLL_MS)).toBe(3);
  limited.canWatch = () => true;
  await limited.checksIn(POLL_MS);
  expect(limited.watches.size).toBe(2);
  expect(await limited.checksIn(9 * POLL_MS)).toBe(0);
});

test("what came right before the watch was there is not missed", async () => {
  const limited = new Limited();
  await limited.limiter.begin();
  limited.canWatch = () => {
    limited.grows = true;
    return true;
  };
  await vi.advanceTimersByTimeAsync((QUIET_CHECKS - 1) * PACE_MS);
  expect(limited.watches.size).toBe(2);
  expect(await limited.checksIn(PACE_MS)).toBe(1);
});

test("a notice ends its watch, and the logs are checked at once and at the pace again", async () => {
  const limited = await Limited.quiet();
  const [path = ""] = limited.watches.keys();
  const before = limited.checks;
  limited.watches.get(path)?.onChange();
  expect(limited.checks).toBe(before + 1);
  expect([...limited.watches.keys()]).not.toContain(path);
  expect(limited.pace.growing).toBe(1);
  expect(await limited.checksIn(3 * PACE_MS)).toBe(3);
});

test("a watch that was lost is replaced at the next poll", async () => {
  const limited = await Limited.quiet();
  const [path = ""] = limited.watches.keys();
  limited.watches.get(path)?.onLost();
  expect(limited.watches.size).toBe(1);
  await vi.advanceTimersByTimeAsync(10 * POLL_MS);
  expect(limited.watches.size).toBe(2);
});

test.each([
  ["a mebibyte", 1000, MIB],
  ["an eighth of the limit", 80 * MIB, 10 * MIB],
])("a log is trimmed once it is %s beyond its limit", async (_, limitBytes, slackBytes) => {
  const limited = new Limited(limitBytes);
  limited.excessBytes = slackBytes;
  await limited.limiter.begin();
  expect(limited.trims).toBe(0);
  limited.excessBytes = slackBytes + 1;
  await limited.checksIn(PACE_MS);
  expect(limited.trims).toBe(1);
  expect(limited.lateTrims).toBe(0);
});

test("a hole that is owed is made, however short the logs are", async () => {
  const limited = new Limited();
  limited.owesHole = true;
  limited.onTrim = async () => {
    limited.owesHole = false;
  };
  await limited.limiter.begin();
  expect(limited.trims).toBe(1);
});

test("the first check, and the trim that it led to, are over when begin is", async () => {
  const limited = new Limited();
  limited.excessBytes = MUCH;
  const trimming = deferred();
  limited.onTrim = () => trimming.promise;
  let hasBegun = false;
  const beginning = limited.limiter.begin().then(() => {
    hasBegun = true;
  });
  await vi.advanceTimersByTimeAsync(PACE_MS);
  expect([limited.trims, hasBegun]).toEqual([1, false]);
  limited.excessBytes = 0;
  trimming.resolve();
  await beginning;
  // A trim is followed by a check.
  expect(limited.checks).toBe(2);
});

test("there is one trim at a time, whatever happens meanwhile", async () => {
  const limited = await Limited.quiet();
  const trimming = deferred();
  limited.onTrim = () => trimming.promise;
  limited.excessBytes = MUCH;
  const [first, second] = [...limited.watches.values()];
  first?.onChange();
  second?.onChange();
  limited.ended.abort();
  await vi.advanceTimersByTimeAsync(10 * POLL_MS);
  expect(limited.trims).toBe(1);
  limited.onTrim = async () => {
    limited.excessBytes = 0;
  };
  limited.excessBytes = 1;
  trimming.resolve();
  await vi.advanceTimersByTimeAsync(0);
  // The job has ended during the first one, so a byte is too much.
  expect(limited.trims).toBe(2);
});

test("the end of the job has the logs trimmed to the limit, once, and the late cut is told", async () => {
  const limited = await Limited.quiet();
  limited.excessBytes = 1;
  limited.ended.abort();
  await vi.advanceTimersByTimeAsync(0);
  expect([limited.trims, limited.lateTrims]).toEqual([1, 1]);
  // What writes on has its slack again.
  limited.excessBytes = 1;
  await vi.advanceTimersByTimeAsync(3600_000);
  expect(limited.trims).toBe(1);
  limited.excessBytes = MUCH;
  await vi.advanceTimersByTimeAsync(3600_000);
  expect([limited.trims, limited.lateTrims]).toEqual([2, 2]);
});

test("an ended job is checked less and less often, unless something writes on", async () => {
  const limited = new Limited();
  limited.ended.abort();
  await limited.limiter.begin();
  expect([limited.checks, limited.watches.size]).toEqual([1, 0]);
  for (const restMs of [2, 4, 8, 16].map((times) => times * POLL_MS)) {
    expect(await limited.checksIn(restMs - 1)).toBe(0);
    expect(await limited.checksIn(1)).toBe(1);
  }
  limited.grows = true;
  expect(await limited.checksIn(32 * POLL_MS)).toBe(1);
  expect(await limited.checksIn(QUIET_CHECKS * PACE_MS)).toBe(QUIET_CHECKS);
  expect(await limited.checksIn(2 * POLL_MS)).toBe(1);
  await vi.advanceTimersByTimeAsync(24 * 3600_000);
  // The longest interval is ten minutes.
  expect(await limited.checksIn(3600_000)).toBe(6);
});

test("a trim that fails is tried again at the interval, and only the first failure in a row is told", async () => {
  const limited = new Limited();
  limited.excessBytes = MUCH;
  limited.onTrim = async () => {
    throw new Error(`trim ${limited.trims}`);
  };
  await limited.limiter.begin();
  expect(limited.trims).toBe(1);
  await vi.advanceTimersByTimeAsync(POLL_MS - 1);
  expect(limited.trims).toBe(1);
  await vi.advanceTimersByTimeAsync(1 + POLL_MS);
  expect(limited.trims).toBe(3);
  expect(limited.errors).toEqual([new Error("trim 1")]);

  const failing = limited.onTrim;
  limited.onTrim = async () => {
    limited.excessBytes = 0;
  };
  await vi.advanceTimersByTimeAsync(POLL_MS);
  expect(limited.trims).toBe(4);
  limited.onTrim = failing;
  limited.excessBytes = MUCH;
  await vi.advanceTimersByTimeAsync(PACE_MS);
  expect(limited.errors).toEqual([new Error("trim 1"), new Error("trim 5")]);
});

test("close waits for the trim under way, and leaves nothing behind", async () => {
  const limited = await Limited.quiet();
  const trimming = deferred();
  limited.onTrim = () => trimming.promise;
  limited.excessBytes = MUCH;
  [...limited.watches.values()][0]?.onChange();
  let isClosed = false;
  const closing = limited.limiter.close().then(() => {
    isClosed = true;
  });
  await vi.advanceTimersByTimeAsync(POLL_MS);
  expect([limited.trims, isClosed]).toEqual([1, false]);
  trimming.reject(new Error("its directory is gone"));
  await closing;
  expect(limited.errors).toEqual([]);
  expect([vi.getTimerCount(), limited.watches.size, limited.pace.growing]).toEqual([0, 0, 0]);
  expect(getEventListeners(limited.ended.signal, "abort")).toHaveLength(0);
  const { checks } = limited;
  limited.ended.abort();
  await vi.advanceTimersByTimeAsync(3600_000);
  expect(limited.checks).toBe(checks);
});

test("what was trimmed when it was closed already is told to nobody", async () => {
  const limited = await Limited.quiet();
  const trimming = deferred();
  limited.onTrim = () => trimming.promise;
  limited.excessBytes = MUCH;
  limited.ended.abort();
  const closing = limited.limiter.close();
  trimming.resolve();
  await closing;
  expect([limited.trims, limited.lateTrims]).toEqual([1, 0]);
});

test("one that is closed counts as growing no more", async () => {
  const limited = new Limited();
  await limited.limiter.begin();
  expect(limited.pace.growing).toBe(1);
  await limited.limiter.close();
  expect([limited.pace.growing, vi.getTimerCount()]).toEqual([0, 0]);
});

test("one that is closed before it has begun does nothing", async () => {
  const limited = new Limited();
  await limited.limiter.close();
  await limited.limiter.begin();
  await vi.advanceTimersByTimeAsync(3600_000);
  expect(limited.checks).toBe(0);
});

test("one that is closed while it begins does nothing", async () => {
  const limited = new Limited();
  const beginning = limited.limiter.begin();
  await limited.limiter.close();
  await beginning;
  expect([limited.checks, vi.getTimerCount()]).toEqual([0, 0]);
  expect(getEventListeners(limited.ended.signal, "abort")).toHaveLength(0);
});

test("it keeps no process alive", async () => {
  const setTimeout = vi.spyOn(globalThis, "setTimeout");
  const limited = new Limited();
  await limited.limiter.begin();
  expect(setTimeout.mock.results.map(({ value }) => (value as NodeJS.Timeout).hasRef())).toEqual([
    false,
  ]);
  setTimeout.mockRestore();
});
