import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { isMissing, SocketWatch } from "../../../src/cli/socket-watch.js";
import { WATCHED_POLL_RATIO } from "../../../src/platform/watch-path.js";
import { tempDir } from "../../helpers/temp-dir.js";

/** So long that no poll ends a test's wait. */
const NO_POLL = { pollIntervalMs: 3_600_000 };
const NEVER = new Promise(() => {});

function watchIn(dir: string, options: { readonly pollIntervalMs?: number } = NO_POLL) {
  const path = join(dir, "procman.sock");
  const watch = new SocketWatch(path, options);
  onTestFinished(() => watch.close());
  return { path, watch };
}

/** Makes it as a server does, in the place of one that is there. */
function makeSocket(path: string): void {
  writeFileSync(`${path}.new`, "");
  renameSync(`${path}.new`, path);
}

test("a socket that is made later is noticed", async () => {
  const { path, watch } = watchIn(tempDir());
  const noticed = watch.change();
  expect(isMissing(path)).toBe(true);
  makeSocket(path);
  await noticed;
});

test("one that is there is told of at once, and then no more until another takes its place", async () => {
  const dir = tempDir();
  makeSocket(join(dir, "procman.sock"));
  const { path, watch } = watchIn(dir);
  await watch.change(NEVER);
  const changed = watch.change(NEVER);
  let isTold = false;
  void changed.then(() => (isTold = true));
  await setImmediate();
  expect(isTold).toBe(false);
  makeSocket(path);
  await changed;
});

test("what ends the wait ends it", async () => {
  const { watch } = watchIn(tempDir());
  await watch.change(Promise.resolve());
});

describe("the poll", () => {
  const POLL_INTERVAL_MS = 20;

  test.each([
    ["while a server starts, seldom", true, NEVER, POLL_INTERVAL_MS * WATCHED_POLL_RATIO],
    ["while it waits for something else, often", true, undefined, POLL_INTERVAL_MS],
    ["where the directory is made later, often", false, NEVER, POLL_INTERVAL_MS],
  ])("ends the wait %s", async (_, isThere, end, afterMs) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    onTestFinished(() => void vi.useRealTimers());
    const dir = isThere ? tempDir() : join(tempDir(), "missing");
    const { watch } = watchIn(dir, { pollIntervalMs: POLL_INTERVAL_MS });
    let isOver = false;
    void watch.change(end).then(() => (isOver = true));
    await vi.advanceTimersByTimeAsync(afterMs - 1);
    expect(isOver).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(isOver).toBe(true);
  });
});
