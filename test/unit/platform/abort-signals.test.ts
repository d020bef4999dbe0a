import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import {
  abortable,
  anyAborted,
  createLinkedAbortController,
  streamWithLinkedSignal,
  withLinkedSignal,
} from "../../../src/platform/abort-signals.js";

function listeners(...signals: readonly AbortSignal[]): number[] {
  return signals.map((signal) => getEventListeners(signal, "abort").length);
}

async function* untilAborted(signal: AbortSignal): AsyncGenerator<string> {
  yield "open";
  signal.throwIfAborted();
  await new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
  });
}

describe("createLinkedAbortController", () => {
  test.each([0, 1])("is aborted with signal %i, and with its reason", (index) => {
    const sources = [new AbortController(), new AbortController()] as const;
    const signals = sources.map(({ signal }) => signal);
    const { signal } = createLinkedAbortController(...signals);
    expect(signal.aborted).toBe(false);
    sources[index]?.abort("why");
    expect(signal).toMatchObject({ aborted: true, reason: "why" });
    expect(listeners(...signals, signal)).toEqual([0, 0, 0]);
    sources[1 - index]?.abort("later");
    expect(signal.reason).toBe("why");
  });

  test.each([0, 1])("is aborted from the start where signal %i was before", (index) => {
    const signals = [new AbortController().signal, new AbortController().signal];
    signals[index] = AbortSignal.abort("before");
    const { signal } = createLinkedAbortController(...signals);
    expect(signal).toMatchObject({ aborted: true, reason: "before" });
    expect(listeners(...signals)).toEqual([0, 0]);
  });

  test("lets go of its signals when it is aborted itself", () => {
    const source = new AbortController();
    const controller = createLinkedAbortController(source.signal, undefined);
    expect(listeners(source.signal)).toEqual([1]);
    controller.abort("own");
    expect(listeners(source.signal)).toEqual([0]);
    source.abort("source");
    expect(controller.signal.reason).toBe("own");
  });
});

describe.each(["first", "second"] as const)("aborted by the %s", (which) => {
  test("what is done with it fails with the reason, and nothing is left", async () => {
    const controllers = { first: new AbortController(), second: new AbortController() };
    const signals = [controllers.first.signal, controllers.second.signal] as const;
    const stream = streamWithLinkedSignal(signals, untilAborted);
    await stream.next();
    const next = stream.next();
    const doing = withLinkedSignal(signals, async (signal) => {
      for await (const _ of untilAborted(signal));
    });
    expect(listeners(...signals)).toEqual([2, 2]);
    controllers[which].abort(new Error(which));
    const results = await Promise.allSettled([doing, next]);
    for (const result of results) expect(result).toMatchObject({ reason: { message: which } });
    expect(listeners(...signals)).toEqual([0, 0]);
  });
});

test("a long-lived signal is let go of by what has ended", async () => {
  const closing = new AbortController().signal;
  for (let call = 0; call < 3; call += 1) {
    const { signal } = new AbortController();
    await withLinkedSignal([signal, closing], async () => {});
    for await (const item of streamWithLinkedSignal([signal, closing], untilAborted)) {
      expect(item).toBe("open");
      break;
    }
  }
  expect(listeners(closing)).toEqual([0]);
});

test("without a first one the second one is it", async () => {
  const { signal } = new AbortController();
  expect(await withLinkedSignal([undefined, signal], async (given) => given)).toBe(signal);
});

test.each([0, 1])("anyAborted resolves with signal %i and lets go of both", async (index) => {
  const sources = [new AbortController(), new AbortController()] as const;
  const signals = sources.map(({ signal }) => signal);
  const aborted = anyAborted(undefined, ...signals).then(() => "aborted");
  expect(await Promise.race([aborted, Promise.resolve("waits")])).toBe("waits");
  sources[index]?.abort();
  expect(await aborted).toBe("aborted");
  expect(listeners(...signals)).toEqual([0, 0]);
  await anyAborted(...signals);
});

describe("abortable", () => {
  const never = new Promise<never>(() => {});

  test("settles as the promise does, and lets go of the signal", async () => {
    const { signal } = new AbortController();
    expect(await abortable(Promise.resolve("done"), signal)).toBe("done");
    await expect(abortable(Promise.reject(new Error("failed")), signal)).rejects.toThrow("failed");
    await Promise.resolve();
    expect(listeners(signal)).toEqual([0]);
  });

  test("rejects with the signal's reason as soon as that is aborted, or where it was", async () => {
    const controller = new AbortController();
    const waiting = abortable(never, controller.signal);
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    await expect(abortable(never, controller.signal)).rejects.toThrow("enough");
  });
});
