import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Reconnection, type ReconnectOptions } from "../../../src/client/reconnection.js";
import { unreachable } from "../../../src/wire/error-map.js";

beforeEach(() => {
  vi.useFakeTimers();
  // The longest pause that chance gives.
  vi.spyOn(Math, "random").mockReturnValue(1);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const never = new AbortController().signal;

/** Fails a call; returns how long it then pauses, or "gives up". */
async function pauseOf(reconnection: Reconnection, signal = never): Promise<number | "gives up"> {
  const startMs = performance.now();
  const pause = reconnection.afterFailure(unreachable("there", "it is gone"), signal).then(
    () => performance.now() - startMs,
    () => "gives up" as const,
  );
  await vi.runAllTimersAsync();
  return pause;
}

async function pausesOf(options: ReconnectOptions, count: number): Promise<unknown[]> {
  const reconnection = new Reconnection(options);
  const pauses: unknown[] = [];
  for (let n = 0; n < count; n += 1) pauses.push(await pauseOf(reconnection));
  return pauses;
}

test("pauses grow to a maximum", async () => {
  expect(await pausesOf({ maxDelayMs: 300 }, 5)).toEqual([50, 100, 200, 300, 300]);
  expect(await pausesOf({}, 8)).toEqual([50, 100, 200, 400, 800, 1600, 2000, 2000]);
});

test("pauses are shorter by chance, not of no length", async () => {
  vi.spyOn(Math, "random").mockReturnValue(0);
  expect(await pausesOf({}, 3)).toEqual([37, 75, 150]);
});

test("a last attempt is made when the time is over, and none after it", async () => {
  const pauses = await pausesOf({ maxDelayMs: 300, giveUpAfterMs: 400 }, 5);
  expect(pauses).toEqual([50, 100, 200, 50, "gives up"]);
});

test("a stream's first message starts the time anew, the next ones the pauses too", async () => {
  const reconnection = new Reconnection({ giveUpAfterMs: 400 });
  const pauses: unknown[] = [];
  for (let n = 0; n < 3; n += 1) pauses.push(await pauseOf(reconnection));
  for (let messages = 1; messages < 3; messages += 1) {
    const onMessage = reconnection.watchStream();
    for (let n = 0; n < messages; n += 1) onMessage();
    pauses.push(await pauseOf(reconnection));
  }
  expect(pauses).toEqual([50, 100, 200, 400, 50]);
});

test("one that is told not to, or that cannot help, gives up at once", async () => {
  expect(await pauseOf(new Reconnection(false))).toBe("gives up");
  const lasting = Object.assign(new Error("no permission"), { code: "EACCES" });
  const failure = unreachable("there", "no permission", lasting);
  await expect(new Reconnection({}).afterFailure(failure, never)).rejects.toBe(failure);
});
