import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { streamUntilEither, untilEither } from "../../../src/platform/abort-signals.js";

function listeners(signal: AbortSignal): number {
  return getEventListeners(signal, "abort").length;
}

async function* untilAborted(signal: AbortSignal): AsyncGenerator<string> {
  yield "open";
  signal.throwIfAborted();
  await new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

describe.each(["first", "second"] as const)("aborted by the %s", (which) => {
  test("what is done with it fails with the reason, and nothing is left", async () => {
    const controllers = { first: new AbortController(), second: new AbortController() };
    const { first, second } = controllers;
    const stream = streamUntilEither(first.signal, second.signal, untilAborted);
    await stream.next();
    const next = stream.next();
    const doing = untilEither(first.signal, second.signal, async (signal) => {
      for await (const _ of untilAborted(signal));
    });
    expect([first, second].map(({ signal }) => listeners(signal))).toEqual([2, 2]);
    controllers[which].abort(new Error(which));
    const results = await Promise.allSettled([doing, next]);
    for (const result of results) expect(result).toMatchObject({ reason: { message: which } });
    expect([first, second].map(({ signal }) => listeners(signal))).toEqual([0, 0]);
  });
});

test("a long-lived signal is let go of by what has ended", async () => {
  const closing = new AbortController().signal;
  for (let call = 0; call < 3; call += 1) {
    const { signal } = new AbortController();
    await untilEither(signal, closing, async () => {});
    for await (const item of streamUntilEither(signal, closing, untilAborted)) {
      expect(item).toBe("open");
      break;
    }
  }
  expect(listeners(closing)).toBe(0);
});

test("without a first one the second one is it", async () => {
  const { signal } = new AbortController();
  expect(await untilEither(undefined, signal, async (given) => given)).toBe(signal);
});
