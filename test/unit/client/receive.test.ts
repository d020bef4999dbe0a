import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { receive } from "../../../src/client/receive.js";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const SILENCE_MS = 1000;

/** Two messages, and then nothing until the call is aborted. */
async function* twoMessages(signal: AbortSignal): AsyncGenerator<string> {
  yield "a";
  yield "b";
  await new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")));
  });
}

function open(signal = new AbortController().signal) {
  const onMessage = () => {};
  return receive(twoMessages, { server: "there", silenceMs: SILENCE_MS, signal, onMessage });
}

test("only a server that is waited for can be silent", async () => {
  const messages = open();
  expect((await messages.next()).value).toBe("a");
  await vi.advanceTimersByTimeAsync(100 * SILENCE_MS);
  expect((await messages.next()).value).toBe("b");

  let failure: unknown;
  messages.next().catch((error: unknown) => {
    failure = error;
  });
  await vi.advanceTimersByTimeAsync(SILENCE_MS * 0.9);
  expect(failure).toBeUndefined();
  await vi.advanceTimersByTimeAsync(SILENCE_MS);
  expect(failure).toMatchObject({ reason: "UNREACHABLE" });
  expect(vi.getTimerCount()).toBe(0);
});

test("ends the call when the consumer leaves, and says of each message that it came", async () => {
  let callSignal: AbortSignal | undefined;
  const onMessage = vi.fn<() => void>();
  const messages = receive(
    (signal) => {
      callSignal = signal;
      return twoMessages(signal);
    },
    { server: "there", silenceMs: SILENCE_MS, signal: new AbortController().signal, onMessage },
  );
  await messages.next();
  await messages.next();
  expect(onMessage).toHaveBeenCalledTimes(2);
  expect(callSignal?.aborted).toBe(false);
  await messages.return();
  expect(callSignal?.aborted).toBe(true);
});

test("lets go of everything when the consumer leaves, or gives up", async () => {
  for await (const message of open()) {
    expect(message).toBe("a");
    break;
  }
  expect(vi.getTimerCount()).toBe(0);

  const stop = new AbortController();
  const messages = open(stop.signal);
  await messages.next();
  await messages.next();
  const third = messages.next();
  stop.abort(new Error("enough"));
  await expect(third).rejects.toThrow("enough");
  expect(vi.getTimerCount()).toBe(0);
});
